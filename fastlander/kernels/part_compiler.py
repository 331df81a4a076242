"""How parts of kernels are compiled: to LLVM's intermediate form, not to machine code, which only the kernels need.

Numba makes machine code of every function by itself before it inlines it; a physics of 300 little functions would take
half again as long to compile. This uses Numba's documented pipeline customization, and in it names that are not.
"""

from numba import _dynfunc
from numba.core import funcdesc
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder, _LowerResult
from numba.core.compiler_machinery import register_pass
from numba.core.typed_passes import NativeLowering


class PartLibrary(JITCodeLibrary):
    """LLVM code to be linked into a kernel's, and optimized there."""

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._finalized = True


@register_pass(mutates_CFG=True, analysis_only=False)
class PartLowering(NativeLowering):
    """NativeLowering that ends with the intermediate form."""

    _name = "part_lowering"

    def run_pass(self, state):
        """Lower one function; what stands for it among Numba's functions cannot be called."""
        context, flags = state.targetctx, state.flags
        library = state.library = PartLibrary(context.codegen(), state.func_id.func_qualname)
        description = funcdesc.PythonFunctionDescriptor.from_specialized_function(
            state.func_ir,
            state.typemap,
            state.return_type,
            state.calltypes,
            mangler=context.mangler,
            inline=flags.forceinline,
            noalias=flags.noalias,
            abi_tags=[flags.get_mangle_string()],
        )
        with context.push_code_library(library):
            lower = self.lowering_class(context, library, description, state.func_ir, metadata=state.metadata)
            lower.lower()
        name = description.qualname.split(".")[-1]
        stand_in = _dynfunc.make_function(description.lookup_module(), name, name, 0, lower.env, (library,))
        context.insert_user_function(stand_in, description, [library])
        state["cr"] = _LowerResult(description, lower.call_helper, cfunc=stand_in, env=lower.env)
        state.metadata["prune_stats"] = state.metadata["llvm_pass_timings"] = None
        return True


class PartCompiler(CompilerBase):
    """Numba's default pipeline with PartLowering at its end."""

    def define_pipelines(self):
        """One nopython pipeline."""
        pipeline = DefaultPassBuilder.define_nopython_pipeline(self.state)
        pipeline.passes = [(PartLowering, why) if p is NativeLowering else (p, why) for p, why in pipeline.passes]
        pipeline.finalize()
        return [pipeline]
