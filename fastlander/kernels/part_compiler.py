"""How parts of kernels are compiled: to LLVM's intermediate form only. Machine code is made of whole kernels.

Numba makes machine code of every function by itself before it inlines the function. The physics has 300 small
functions, and compiling would take half again as long. This module uses Numba's pipeline customization, which is
documented, and a few names of Numba that are not.
"""

from numba import _dynfunc
from numba.core import funcdesc
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder, _LowerResult
from numba.core.compiler_machinery import register_pass
from numba.core.typed_passes import NativeLowering


class PartLibrary(JITCodeLibrary):
    """LLVM code that is linked into a kernel and optimized there."""

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._finalized = True


@register_pass(mutates_CFG=True, analysis_only=False)
class PartLowering(NativeLowering):
    """Numba's NativeLowering without its last step, which makes machine code."""

    _name = "part_lowering"

    def run_pass(self, state):
        """Lower one function. Python cannot call the result; only other compiled functions can."""
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
    """Numba's default pipeline with PartLowering in place of NativeLowering."""

    def define_pipelines(self):
        """The list of pipelines that Numba tries: this one."""
        pipeline = DefaultPassBuilder.define_nopython_pipeline(self.state)
        pipeline.passes = [(PartLowering, why) if p is NativeLowering else (p, why) for p, why in pipeline.passes]
        pipeline.finalize()
        return [pipeline]
