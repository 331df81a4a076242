"""What the processors of this machine can do for kernels.

Numba is imported late: a process that only counts processors needs none of it.
"""

import os


def has_avx512() -> bool:
    """Whether kernels are compiled for a processor with AVX-512: 32 registers of sixteen numbers, not 16 of eight."""
    from numba.core.registry import cpu_target

    return "+avx512f" in cpu_target.target_context.codegen().magic_tuple()[2].split(",")


def available_processors() -> int:
    """Number of processors that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
