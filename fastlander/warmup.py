"""`python -m fastlander.warmup`: compile every kernel now, so that no later command has to wait for it."""

import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from fastlander.terminal import exit_status, print_lines

PROG = "fastlander warmup"


def compile_everything() -> dict[str, float]:
    """Compile every kernel of this package, or load those that were compiled before: seconds of each group."""
    seconds = {}
    for name, work in {"lander": _lander, "single lander": _single_lander, "buffer and learner": _learner}.items():
        start = time.perf_counter()
        work()
        seconds[name] = time.perf_counter() - start
    return seconds


def _lander() -> None:
    from fastlander.lander.vector_env import LunarLanderVectorEnv

    env = LunarLanderVectorEnv(1)
    env.reset(seed=0)
    env.step([0])
    env.close()


def _single_lander() -> None:
    from fastlander.lander.env import LunarLanderEnv

    LunarLanderEnv().reset(seed=0)


def _learner() -> None:
    from fastlander.config import Config
    from fastlander.training.trainer import Trainer

    with tempfile.TemporaryDirectory() as directory:
        Trainer(
            Config(
                num_envs=2,
                total_timesteps=64,
                learning_starts=16,
                batch_size=16,
                train_freq=2,
                eval_episodes=1,
                progress=False,
                output_dir=f"{directory}/run",
            )
        ).run(interrupted=threading.Event())  # which is never set: Ctrl-C is to end all, not only this run


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
