"""How this package compiles its kernels: cached on disk, without the interpreter lock, IEEE division, no fastmath."""

import functools
import hashlib
import pathlib
from collections.abc import Callable

import numba
import numba.extending

from fastlander.kernels.part_compiler import PartCompiler
from fastlander.validation import UnsupportedError

if numba.config.DISABLE_JIT:
    raise UnsupportedError("fastlander needs Numba's compiler: NUMBA_DISABLE_JIT must be unset or 0, got 1")

_OPTIONS = {"nogil": True, "error_model": "numpy"}
# Where nothing is allocated no reference has to be counted ("_nrt"); in the physics that cost as much as the rest.
_UNCOUNTED = {**_OPTIONS, "_nrt": False}
_INTERNAL = {**_UNCOUNTED, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}


def kernel(function: Callable) -> Callable:
    """`function` compiled by Numba at its first call; kept on disk where some cache directory can be written."""
    return _cached(function, _OPTIONS)


def uncounted_kernel(function: Callable) -> Callable:
    """A `kernel` that allocates nothing and is built from `inlined`, `part` and `shared` functions."""
    return _cached(function, _UNCOUNTED)


def _cached(function: Callable, options: dict[str, bool]) -> Callable:
    try:
        dispatcher = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # Numba found no place to write its cache: compile in each process instead.
        return numba.njit(**options)(function)
    # Numba's own stamp covers the kernel's file alone: a kernel built from others would outlive a change in them.
    index = getattr(getattr(dispatcher, "_cache", None), "_cache_file", None)
    if hasattr(index, "_source_stamp"):
        index._source_stamp = _package_stamp()
    return dispatcher


def inlined(function: Callable) -> Callable:
    """A part of kernels, compiled into each of them for the number types it is called with: scalars or lanes."""
    return numba.njit(forceinline=True, pipeline_class=PartCompiler, **_INTERNAL)(function)


def part(function: Callable) -> Callable:
    """A part of kernels that stays a function of its own: big, rarely run, or called from several places."""
    return numba.njit(pipeline_class=PartCompiler, **_INTERNAL)(function)


def shared(function: Callable) -> Callable:
    """A function that stays ordinary Python and that kernels can call too."""
    return numba.extending.register_jitable(**_INTERNAL)(function)


@functools.cache
def _package_stamp() -> str:
    """A digest of every source file of this package."""
    digest = hashlib.sha256()
    for path in sorted(pathlib.Path(__file__).parents[1].rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
