"""How this package compiles its kernels: cached on disk, without the interpreter lock, IEEE division, no fastmath."""

from collections.abc import Callable

import numba


def kernel(function: Callable) -> Callable:
    """`function` compiled by Numba at its first call; kept on disk where some cache directory can be written."""
    options = {"nogil": True, "error_model": "numpy"}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # Numba found no place to write its cache: compile in each process instead.
        return numba.njit(**options)(function)
