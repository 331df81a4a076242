"""`python -m fastlander.verify`: compare the native lander with Gymnasium's on this machine, byte for byte."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from fastlander.memory import check_memory
from fastlander.terminal import exit_status, print_lines
from fastlander.validation import Count, Seed, check

PROG = "fastlander verify"
BYTES_PER_EPISODE = 40
BYTES_PER_LANDER = 100_000  # with Gymnasium's beside it


@dataclass(frozen=True)
class Arguments:
    """Compare the native lander with Gymnasium's Box2D lander on this machine, byte for byte."""

    episodes: Count = 200
    """Episodes with random actions. The other groups play a fixed share of this number."""
    num_envs: Count = 16
    """Landers that step together."""
    num_threads: Count = 1
    """Threads that step the landers."""
    seed: Seed = 0
    """Seed of the first episode of each group."""


def main(argv: Sequence[str] | None = None) -> int:
    """Print how many steps were compared and how many differ; exit status 1 if any does, else as of `exit_status`."""
    from fastlander.arguments import parse

    def run() -> int:
        hints = {"episodes": Count, "num_envs": Count, "num_threads": Count, "seed": Seed}
        arguments = parse(Arguments, argv, PROG, hints)
        for name, hint in hints.items():
            check(name, hint, getattr(arguments, name))
        check_memory("episodes", arguments.episodes, arguments.episodes * BYTES_PER_EPISODE)
        check_memory("num_envs", arguments.num_envs, arguments.num_envs * BYTES_PER_LANDER)
        from fastlander.environments import check_box2d

        check_box2d("verify")
        # Imported here, so that --help does not wait for numba.
        from fastlander.lander.parity import (
            GROUPS,
            SINGLE_GROUPS,
            SINGLE_SHARE,
            Parity,
            causes_of_difference,
            compare,
            compare_single,
            environment,
        )

        print_lines(environment())
        print_lines(f"{'':<22}{'episodes':>9}{'steps':>11}{'mismatches':>12}")
        parts = []
        start = time.perf_counter()

        def show(name: str, part: Parity) -> None:
            parts.append(part)
            where = f"   first: {part.first}" if part.first else ""
            print_lines(f"{name:<22}{part.episodes:>9,}{part.steps:>11,}{part.mismatches:>12,}{where}")

        def seeds(share: float) -> range:
            return range(arguments.seed, arguments.seed + max(1, round(share * arguments.episodes)))

        for name, group in GROUPS.items():
            show(name, compare(group, seeds(group.share), arguments.num_envs, arguments.num_threads))
        for name in filter(GROUPS.__contains__, SINGLE_GROUPS):
            show(f"gym.make: {name}", compare_single(GROUPS[name], seeds(SINGLE_SHARE)))
        total = Parity(*(sum(getattr(part, field) for part in parts) for field in ("episodes", "steps", "mismatches")))
        print_lines(f"{'all':<22}{total.episodes:>9,}{total.steps:>11,}{total.mismatches:>12,}")
        verdict = "differ" if total.mismatches else "are the same, byte for byte"
        print_lines(f"The two landers {verdict} ({time.perf_counter() - start:.0f} s).")
        if total.mismatches and (causes := causes_of_difference()):
            print_lines(causes)
        return 1 if total.mismatches else 0

    return exit_status(PROG, run)


if __name__ == "__main__":
    sys.exit(main())
