"""What Numba does to a part of a kernel, from Python's bytecode to LLVM's intermediate code: `PartPasses`.

These are the passes of Numba's default pipeline that parts need. The others look for what parts do not have: closures,
`with`, arrays that are computed as a whole, overloads that are inlined, generators. Nor is the lifetime of variables
computed anew after each pass, which only the last one uses. Both took half as long again.
"""

from llvmlite import ir
from numba import _dynfunc
from numba.core import funcdesc
from numba.core.analysis import dead_branch_prune, rewrite_semantic_constants
from numba.core.base import BaseContext
from numba.core.compiler import StateDict, _LowerResult
from numba.core.ir_utils import build_definitions, check_and_legalize_ir
from numba.core.lowering import Lower
from numba.core.rewrites import rewrite_registry
from numba.core.ssa import reconstruct_ssa
from numba.core.transforms import canonicalize_cfg
from numba.core.typed_passes import NoPythonBackend, NopythonTypeInference, PreLowerStripPhis
from numba.core.untyped_passes import FixupArgs, TranslateByteCode

from fastlander.kernels.part_libraries import PartLibrary
from fastlander.kernels.part_typing import TypingMemory

_sizes: dict[str, int] = {}  # bytes, by LLVM's text for a type; equal on all 64-bit processors


class PartPasses:
    """The one pipeline of a part, in the place of Numba's PassManager."""

    pipeline_name = "part"

    def __init__(self) -> None:
        self.exec_times: dict = {}

    def run(self, state: StateDict) -> None:
        """Compile one function."""
        TranslateByteCode().run_pass(state)
        FixupArgs().run_pass(state)
        _prune(state)
        rewrite_registry.apply("before-inference", state)
        state.func_ir = reconstruct_ssa(state.func_ir)
        state.func_ir._definitions = build_definitions(state.func_ir.blocks)
        _infer_types(state)
        state.func_ir = PreLowerStripPhis()._strip_phi_nodes(state.func_ir)
        state.func_ir._definitions = build_definitions(state.func_ir.blocks)
        check_and_legalize_ir(state.func_ir, flags=state.flags)
        _lower(state)
        NoPythonBackend().run_pass(state)


def _prune(state: StateDict) -> None:
    """Leave out what tests for None of this call's types exclude."""
    function = state.func_ir
    function.blocks = canonicalize_cfg(function.blocks)
    rewrite_semantic_constants(function, state.args)
    dead_branch_prune(function, state.args)
    function.blocks = canonicalize_cfg(function.blocks)


def _infer_types(state: StateDict) -> None:
    context = state.typingctx
    state.typingctx = TypingMemory(context)
    try:
        NopythonTypeInference().run_pass(state)
    finally:
        state.typingctx = context


def _lower(state: StateDict) -> None:
    """Numba's NativeLowering without its last step, which makes machine code.

    Python cannot call the result; only other compiled functions can.
    """
    context, flags = state.targetctx, state.flags
    context.get_abi_sizeof = _size_of(context)
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
        lower = Lower(context, library, description, state.func_ir, metadata=state.metadata)
        lower.lower()
    name = description.qualname.split(".")[-1]
    stand_in = _dynfunc.make_function(description.lookup_module(), name, name, 0, lower.env, (library,))
    context.insert_user_function(stand_in, description, [library])
    state["cr"] = _LowerResult(description, lower.call_helper, cfunc=stand_in, env=lower.env)
    state.metadata["prune_stats"] = state.metadata["llvm_pass_timings"] = None


def _size_of(context: BaseContext):
    """Numba's `get_abi_sizeof`, for which LLVM reads a module each time, asked once about each type."""
    ask = context.get_abi_sizeof

    def size_of(kind: ir.Type) -> int:
        name = str(kind)
        if "%" in name:  # not what is in it, but a name that it was given
            return ask(kind)
        if name not in _sizes:
            _sizes[name] = ask(kind)
        return _sizes[name]

    return size_of
