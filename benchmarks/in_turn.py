"""The native lander beside EnvPool, a round of each in turn: what a noisy machine does to one it does to the other.

python -m benchmarks.in_turn [--rounds 15]
"""

import argparse
import time

import numpy as np

from benchmarks.bench_env import make_envpool, stepper
from fastlander import LunarLanderVectorEnv

STEPS = 12_000  # of landers, in a round of EnvPool; ten times as many in one of the native lander


def seconds(function):
    """How long a call takes."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def main():
    """Print a row for each number of landers: microseconds of a lander's step, and the ratios of the rounds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    print("| landers | EnvPool, µs | native, µs | EnvPool / native: median | least and most |\n|---|---|---|---|---|")
    for num_envs in (16, 256, 1024):
        steps = STEPS // num_envs
        peer = stepper(make_envpool(num_envs), num_envs, steps, np.int32)
        env = LunarLanderVectorEnv(num_envs, num_threads=1)
        own = stepper(env, num_envs, 10 * steps)
        times = np.array([(seconds(peer), seconds(own) / 10) for _ in range(rounds)]) / (steps * num_envs) * 1e6
        ratios, (theirs, ours) = times[:, 0] / times[:, 1], np.median(times, axis=0)
        row = (
            f"{num_envs:,} | {theirs:.1f} | {ours:.2f} | {np.median(ratios):.1f} | {min(ratios):.1f}, {max(ratios):.1f}"
        )
        print(f"| {row} |")
        env.close()


if __name__ == "__main__":
    main()
