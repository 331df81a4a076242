"""`python -m fastlander.warmup`: compile every kernel now, so that no later command has to wait for it."""

import os
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from fastlander.terminal import exit_status, print_lines

PROG = "fastlander warmup"


def compile_everything() -> dict[str, float]:
    """Compile every kernel of this package, or load those that were compiled before: seconds of each group."""
    from fastlander.kernels.compile_ahead import HELPERS
    from fastlander.signatures import GROUPS, compile_group

    first, *others = GROUPS
    HELPERS.start(tuple(others))
    seconds = {}
    for name in (first, *others):
        start = time.perf_counter()
        compile_group(name)
        seconds[name] = time.perf_counter() - start
    return seconds


def be_helper(work: Sequence[str]) -> None:
    """Compile groups of kernels for the process that started this one, and end when it ends.

    A kernel that some process compiles at this moment is left to it.
    """
    from fastlander.kernels.compile_ahead import HELPERS
    from fastlander.signatures import compile_group

    HELPERS.allowed = False
    threading.Thread(target=_end_with_starter, daemon=True).start()
    for group in work:
        compile_group(group, lambda kernel: kernel._cache.is_free())


def _end_with_starter() -> None:
    os.read(0, 1)  # returns when the other end is closed
    os._exit(0)


@dataclass(frozen=True)
class Arguments:
    """Compile every kernel now, so that no later command on this machine has to wait for it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Compile everything and print how long it took; exit status as of `exit_status`."""
    from fastlander.arguments import parse

    def run() -> int:
        parse(Arguments, argv, PROG, {})
        for name, seconds in compile_everything().items():
            print_lines(f"{name:<20}{seconds:6.1f} s")
        return 0

    return exit_status(PROG, run)


if __name__ == "__main__":
    sys.exit(main())
