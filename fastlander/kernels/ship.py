"""`python -m fastlander.kernels.ship LEVEL FOLDER`: compile every kernel for a level of processors into a folder.

`hatch_build.py` calls it. Nothing is executed, so the level may be one that this machine does not have.
"""

import os
import pathlib
import sys
import tempfile

from fastlander.kernels.shipped import LEVELS, features_of

_ARM = "aarch64-unknown-linux-gnu"


def ship(level: str, folder: pathlib.Path) -> int:
    """Compile for the level, in this process, which has compiled nothing before; the number of kernels."""
    if level not in LEVELS:
        raise ValueError(f"level must be one of {', '.join(LEVELS)}, got {level!r}")
    os.environ["NUMBA_CPU_NAME"] = "generic" if level == "aarch64" else level
    os.environ["NUMBA_CPU_FEATURES"] = "" if level == "aarch64" else features_of(level)
    if level == "aarch64":
        _aim_at_arm()
    # Numba cannot write again what it loaded, so there must be nothing to load.
    with tempfile.TemporaryDirectory() as cache:
        os.environ["NUMBA_CACHE_DIR"] = cache
        return _compile_into(folder, level)


def _compile_into(folder: pathlib.Path, level: str) -> int:
    from fastlander.signatures import every_kernel

    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    for kernel, arguments in every_kernel():
        kernel.compile(arguments)
        kernel._cache.ship(arguments, kernel.overloads[arguments], folder, level)
        count += 1
    return count


def _aim_at_arm() -> None:
    """Let Numba compile for 64-bit Arm. llvmlite has LLVM's code for every processor."""
    import llvmlite.binding as llvm

    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    llvm.get_process_triple = llvm.get_default_triple = lambda: _ARM
    llvm.Target.from_default_triple = classmethod(lambda cls: cls.from_triple(_ARM))


if __name__ == "__main__":
    print(ship(sys.argv[1], pathlib.Path(sys.argv[2])), "kernels")
