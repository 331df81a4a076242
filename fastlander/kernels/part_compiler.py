"""How parts of kernels are compiled: to LLVM's intermediate form only. Machine code is made of whole kernels.

Numba makes machine code of every function by itself before it inlines the function. The physics has 300 small
functions, and compiling would take half again as long. This module uses Numba's pipeline customization, which is
documented, and a few names of Numba that are not.
"""

import functools
import operator

from llvmlite.binding import Linkage, ModuleRef, parse_bitcode
from numba import _dynfunc
from numba.core import funcdesc
from numba.core.codegen import Codegen, JITCodeLibrary
from numba.core.compiler import Compiler, CompilerBase, _LowerResult
from numba.core.compiler_machinery import PassManager, register_pass
from numba.core.typed_passes import (
    IRLegalization,
    NativeLowering,
    NoPythonBackend,
    NopythonTypeInference,
    PreLowerStripPhis,
)
from numba.core.typing.context import Context
from numba.core.typing.templates import ConcreteTemplate
from numba.core.untyped_passes import (
    DeadBranchPrune,
    FixupArgs,
    GenericRewrites,
    IRProcessing,
    ReconstructSSA,
    RewriteSemanticConstants,
    TranslateByteCode,
)


class PartLibrary(JITCodeLibrary):
    """LLVM code that is linked into a kernel and optimized there."""

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._finalized = True


class KernelLibrary(JITCodeLibrary):
    """The machine code of a kernel. Other kernels do not see the names of the functions in it.

    Numba tells functions of one name apart by a number that counts what its process has compiled. Machine code on disk
    comes from several processes, so that two functions can have one name and number, and LLVM would link to the first
    that is loaded.
    """

    _bitcode: bytes | None = None  # LLVM's form of a kernel that was loaded; few are ever linked into another one

    def _optimize_final_module(self) -> None:
        super()._optimize_final_module()
        for function in self._final_module.functions:
            if not function.is_declaration and function.linkage == Linkage.linkonce_odr:
                function.linkage = Linkage.internal

    def serialize_using_object_code(self) -> tuple[str, str, tuple[bytes, bytes, list[str]]]:
        """(name, kind, (machine code, bitcode, the names that it defines))."""
        name, kind, (code, bitcode) = super().serialize_using_object_code()
        defined = (f for f in self._final_module.functions if not f.is_declaration)
        return name, kind, (code, bitcode, [f.name for f in defined if f.linkage == Linkage.external])

    @classmethod
    def _unserialize(cls, codegen: Codegen, state: tuple[str, str, tuple[bytes, bytes, list[str]]]) -> "KernelLibrary":
        """What `serialize_using_object_code` gave, ready to be called. Numba would parse the bitcode, too."""
        name, _, (code, bitcode, names) = state
        library = cls(codegen, name)
        library.enable_object_caching()
        library._set_compiled_object(code)
        library._bitcode = bitcode
        library._finalize_final_module()
        codegen._engine._defined_symbols.update(names)
        return library

    def _get_module_for_linking(self) -> ModuleRef:
        if self._shared_module is None and self._bitcode is not None:
            self._shared_module = parse_bitcode(self._bitcode)
        return super()._get_module_for_linking()


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
    """Those passes of Numba's default pipeline that parts of kernels need, with PartLowering for NativeLowering.

    The others look for what parts do not have: closures, `with`, arrays that are computed as a whole, overloads that
    are inlined. Looking took a fifth of the time.
    """

    def define_pipelines(self):
        """The list of pipelines that Numba tries: this one."""
        _put_own_rules_first(self.state.typingctx)
        pipeline = PassManager("part")
        for compiler_pass in _PASSES:
            pipeline.add_pass(compiler_pass, compiler_pass._name)
        pipeline.finalize()
        return [pipeline]


class KernelCompiler(Compiler):
    """Numba's pipeline for whole kernels, with a KernelLibrary."""

    def define_pipelines(self):
        """The list of pipelines that Numba tries: its own."""
        library = KernelLibrary(self.state.targetctx.codegen(), self.state.func_id.func_qualname)
        library.enable_object_caching()
        self.state.library = library
        return super().define_pipelines()


_OPERATORS = [f for f in vars(operator).values() if callable(f)]


@functools.cache
def _put_own_rules_first(typing_context: Context) -> None:
    """Let Numba try this package's typing rules for operators before those for NumPy's arrays.

    A rule that does not fit costs more than one that does. Rules for plain numbers stay in front.
    """
    for function in _OPERATORS:
        known = typing_context._lookup_global(function)
        templates = getattr(known, "templates", ())
        own = [t for t in templates if any(c.__module__.startswith("fastlander.") for c in t.__mro__)]
        if own:
            plain = [t for t in templates if issubclass(t, ConcreteTemplate)]
            others = [t for t in templates if t not in own and t not in plain]
            typing_context._remove_global(function)
            typing_context._insert_global(function, type(known)([*plain, *own, *others]))


_PASSES = (
    TranslateByteCode,
    FixupArgs,
    IRProcessing,
    RewriteSemanticConstants,
    DeadBranchPrune,  # of tests for None
    GenericRewrites,
    ReconstructSSA,
    NopythonTypeInference,
    PreLowerStripPhis,
    IRLegalization,
    PartLowering,
    NoPythonBackend,
)
