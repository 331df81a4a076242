"""What the processors of this machine can do for kernels.

Numba is imported late: a process that only counts processors needs none of it.
"""

import os

from fastlander.kernels.shipped import usable_level


def has_avx512() -> bool:
    """Whether kernels are for a processor with AVX-512: 32 registers of sixteen numbers, not 16 of eight."""
    level = usable_level()
    if level is not None:
        return level == "x86-64-v4"
    from numba.core.registry import cpu_target

    return "+avx512f" in cpu_target.target_context.codegen().magic_tuple()[2].split(",")


def available_processors() -> int:
    """Number of processors that this process may run on. Slow and fast ones count alike.

    From Python 3.13 on, PYTHON_CPU_COUNT and `python -X cpu_count` say another number.
    """
    if hasattr(os, "process_cpu_count"):
        return os.process_cpu_count() or 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
