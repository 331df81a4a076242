"""How this package compiles its kernels: cached on disk, without the interpreter lock, IEEE division, no fastmath."""

import contextlib
import os
from collections.abc import Callable
from typing import Any

import numba
import numba.extending
from numba.core.compiler_lock import global_compiler_lock

from fastlander.kernels.kernel_cache import KernelCache
from fastlander.kernels.part_compiler import KernelCompiler, PartCompiler


class NoCompilerError(RuntimeError):
    """Numba was told not to compile. The message is one line."""

    exit_status = 2  # of a command


if numba.config.DISABLE_JIT:
    raise NoCompilerError("fastlander needs Numba's compiler: NUMBA_DISABLE_JIT must be unset or 0, got 1")

if hasattr(os, "register_at_fork"):
    # A child that is forked while another thread compiles would wait for ever for the lock which that thread had.
    _give_back = global_compiler_lock.release
    os.register_at_fork(before=global_compiler_lock.acquire, after_in_parent=_give_back, after_in_child=_give_back)

_OPTIONS = {"nogil": True, "error_model": "numpy"}
# "_nrt" is Numba's reference counting. Where nothing is allocated it is not needed, and in the physics it took as much
# time as all the rest.
_UNCOUNTED = {**_OPTIONS, "_nrt": False}
_INTERNAL = {**_UNCOUNTED, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}

KERNELS: list[Callable] = []
"""All kernels of the modules that are loaded."""


def kernel(function: Callable) -> Callable:
    """`function`, compiled at its first call. Its machine code is kept on disk (`KernelCache`) if that is possible."""
    return _cached(function, _OPTIONS, function)


def uncounted_kernel(function: Callable, cached_as: Callable | None = None) -> Callable:
    """A `kernel` that allocates nothing and is built from `inlined`, `part` and `shared` functions.

    Args:
        function: what is compiled.
        cached_as: for a function that is made inside another one: the function of a module under whose name its
            machine code is kept.
    """
    return _cached(function, _UNCOUNTED, cached_as or function)


def _cached(function: Callable, options: dict[str, bool], cached_as: Callable) -> Callable:
    dispatcher = numba.njit(pipeline_class=KernelCompiler, **options)(function)
    # A function inside a function has no name of its own to be kept under. It is compiled in each process, and so is
    # every kernel where no directory can be written.
    if "<locals>" not in cached_as.__qualname__:
        with contextlib.suppress(RuntimeError, OSError):
            dispatcher._cache = KernelCache(cached_as)
    KERNELS.append(dispatcher)
    return dispatcher


def is_compiled(kernel: Any, arguments: tuple[numba.types.Type, ...]) -> bool:
    """Whether a kernel is compiled for arguments of these types, here or on disk."""
    return arguments in kernel.overloads or (is_kept(kernel) and kernel._cache.holds(arguments, kernel.targetctx))


def is_kept(kernel: Any) -> bool:
    """Whether a kernel's machine code is kept on disk."""
    return isinstance(kernel._cache, KernelCache)


def inlined(function: Callable) -> Callable:
    """A part of kernels that is compiled into each caller, for the number types it is called with: scalars or lanes."""
    return _as_part(numba.njit(forceinline=True, pipeline_class=PartCompiler, **_INTERNAL)(function))


def part(function: Callable) -> Callable:
    """A part of kernels that stays a function of its own: it is big, runs rarely, or is called from several places."""
    # Said explicitly, because Numba would otherwise take "forceinline" over from a caller that has it.
    return _as_part(numba.njit(forceinline=False, pipeline_class=PartCompiler, **_INTERNAL)(function))


def _as_part(dispatcher: Any) -> Any:
    """A part that is compiled for numbers, and not once more for each number that is written out where it is called."""
    template = dispatcher.get_call_template

    def template_for_numbers(args: Any, kws: Any) -> Any:
        unliteral = numba.types.unliteral
        return template([unliteral(a) for a in args], {name: unliteral(a) for name, a in kws.items()})

    dispatcher.get_call_template = template_for_numbers
    return dispatcher


def shared(function: Callable) -> Callable:
    """A function that stays ordinary Python and that kernels can call too."""
    return numba.extending.register_jitable(pipeline_class=PartCompiler, **_INTERNAL)(function)
