"""`python -m fastlander.verify`: compare the native lander with Gymnasium's on this machine, byte for byte."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from fastlander.validation import Count, Natural, check

PROG = "fastlander verify"


@dataclass(frozen=True)
class Arguments:
    """Compare the native lander with Gymnasium's Box2D lander on this machine, byte for byte."""

    episodes: Count = 200
    """Episodes with random actions. The other groups play a fixed share of this number."""
    num_envs: Count = 16
    """Landers that step together."""
    num_threads: Count = 1
    """Threads that step the landers."""
    seed: Natural = 0
    """Seed of the first episode of each group."""


def main(argv: Sequence[str] | None = None) -> int:
    """Print how many steps were compared and how many differ; exit status 0, 1 if any differs, 2 for bad input."""
    from fastlander.arguments import exit_status, parse

    def run() -> int:
        hints = {"episodes": Count, "num_envs": Count, "num_threads": Count, "seed": Natural}
        arguments = parse(Arguments, argv, PROG, hints)
        for name, hint in hints.items():
            check(name, hint, getattr(arguments, name))
        # Imported here, so that --help does not wait for numba.
        from fastlander.lander.parity import GROUPS, Parity, compare, environment

        print(environment())
        print(f"{'':<22}{'episodes':>9}{'steps':>11}{'mismatches':>12}")
        total = Parity()
        start = time.perf_counter()
        for name, group in GROUPS.items():
            count = max(1, round(group.share * arguments.episodes))
            part = compare(
                group, range(arguments.seed, arguments.seed + count), arguments.num_envs, arguments.num_threads
            )
            where = f"   first: {part.first}" if part.first else ""
            print(f"{name:<22}{part.episodes:>9,}{part.steps:>11,}{part.mismatches:>12,}{where}", flush=True)
            total.episodes += part.episodes
            total.steps += part.steps
            total.mismatches += part.mismatches
        print(f"{'all':<22}{total.episodes:>9,}{total.steps:>11,}{total.mismatches:>12,}")
        verdict = "differ" if total.mismatches else "are the same, byte for byte"
        print(f"The two landers {verdict} ({time.perf_counter() - start:.0f} s).")
        return 1 if total.mismatches else 0

    return exit_status(PROG, run)


if __name__ == "__main__":
    sys.exit(main())
