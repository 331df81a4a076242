"""What the processor can do for which kernels are compiled."""

from numba.core.registry import cpu_target


def has_avx512() -> bool:
    """Whether kernels are compiled for a processor with AVX-512: 32 registers of sixteen numbers, not 16 of eight."""
    return "+avx512f" in cpu_target.target_context.codegen().magic_tuple()[2].split(",")
