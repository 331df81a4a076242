"""Machine code of kernels that came with the package (a platform wheel, `hatch_build.py`), by level of the processor.

It is taken where nothing is compiled on this machine: for the highest level that the processor has, if it is of the
same sources, Numba and llvmlite. FASTLANDER_JIT=1 compiles all the same.
"""

import functools
import os
import pathlib
import platform
import sys

FOLDER = pathlib.Path(__file__).parents[1] / "compiled"
"""A folder for each level, in it the files of `KernelFiles`."""

# The x86-64 psABI's levels, the highest first, by LLVM's names of what each adds to the level below. A processor with
# AVX-512 has more than x86-64-v4 asks for; every other level is named as LLVM names it.
_X86 = {
    "x86-64-v4": "avx512f avx512bw avx512cd avx512dq avx512vl",
    "x86-64-v3": "avx avx2 bmi bmi2 f16c fma lzcnt movbe",
    "x86-64-v2": "cx16 popcnt sse3 sse4.1 sse4.2 ssse3",
}
LEVELS = (*_X86, "aarch64")
"""What `hatch_build.py` compiles for. aarch64 is what every 64-bit Arm processor has."""


def features_of(level: str) -> str:
    """What a level of x86-64 has, as Numba's NUMBA_CPU_FEATURES wants it."""
    levels = list(_X86)
    return ",".join(f"+{name}" for known in levels[levels.index(level) :] for name in _X86[known].split())


def levels_of(machine: str, features: dict[str, bool]) -> list[str]:
    """The levels that a processor has, the highest first.

    Args:
        machine: as `platform.machine` names it.
        features: as llvmlite gives them.
    """
    if machine in ("aarch64", "arm64"):
        return ["aarch64"]
    if machine.lower() not in ("x86_64", "amd64"):
        return []
    wanted = {level: features_of(level).replace("+", "").split(",") for level in _X86}
    return [level for level, names in wanted.items() if all(features.get(name) for name in names)]


def machine_levels() -> list[str]:
    """The levels that this machine's processor has, the highest first."""
    import llvmlite.binding  # here: a process that only counts processors needs none of it

    return levels_of(platform.machine(), llvmlite.binding.get_host_cpu_features())


@functools.cache
def usable_level() -> str | None:
    """The level whose machine code this process uses, or None.

    Only Linux is shipped for, since other systems call functions and link code in other ways. Who asks Numba for
    another processor than this one gets no code that was shipped.
    """
    asked_for = os.environ.get("NUMBA_CPU_NAME") or os.environ.get("NUMBA_CPU_FEATURES")
    if sys.platform != "linux" or asked_for or os.environ.get("FASTLANDER_JIT", "0") not in ("", "0"):
        return None
    if not FOLDER.is_dir():
        return None
    return next((level for level in machine_levels() if (FOLDER / level).is_dir()), None)
