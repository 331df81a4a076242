"""How parts of kernels are compiled: to LLVM's intermediate form only. Machine code is made of whole kernels.

Numba makes machine code of every function by itself before it inlines the function. The physics has 300 small
functions, and compiling would take half again as long. This module uses Numba's pipeline customization, which is
documented, and a few names of Numba that are not.
"""

import functools
import operator

from numba.core.compiler import Compiler, CompilerBase
from numba.core.typing.context import Context
from numba.core.typing.templates import ConcreteTemplate

from fastlander.kernels.part_libraries import KernelLibrary
from fastlander.kernels.part_passes import PartPasses


class PartCompiler(CompilerBase):
    """Numba's compiler with PartPasses."""

    def define_pipelines(self):
        """The list of pipelines that Numba tries: this one."""
        _put_own_rules_first(self.state.typingctx)
        return [PartPasses()]


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
