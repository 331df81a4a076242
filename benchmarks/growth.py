"""How the native lander grows with N: steps per second and memory, as a table and a plot.

python benchmarks/growth.py [--plot docs/growth.png]
"""

import argparse
import statistics
import time

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import numpy as np

from fastlander import LunarLanderVectorEnv
from fastlander.lander.step import workspace_size
from fastlander.physics.state import memory_size

SIZES = [4**k for k in range(9)] + [2 * 4**k for k in range(8)]


def steps_per_second(num_envs, num_threads, rounds=5):
    """Median over rounds of at least 100,000 steps, random policy, after 120 warm-up steps."""
    env = LunarLanderVectorEnv(num_envs, num_threads=num_threads)
    env.reset(seed=0)
    actions = np.random.default_rng(0).integers(4, size=(31, num_envs))
    for k in range(120):
        env.step(actions[k % 31])
    rates, steps = [], max(2, 60_000 // num_envs)
    for _ in range(rounds):
        start = time.perf_counter()
        for k in range(steps):
            env.step(actions[k % 31])
        rates.append(steps * num_envs / (time.perf_counter() - start))
    env.close()
    return statistics.median(rates)


def main():
    """Print the table, draw the plot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plot", default=None, help="where to write the plot")
    plot = parser.parse_args().plot
    print("| N | steps/s, 1 thread | steps/s, 2 threads | ratio | KB per lander |\n|---|---|---|---|---|")
    table = []
    for n in sorted(SIZES):
        one = steps_per_second(n, 1)
        two = steps_per_second(n, 2) if n > 16 else one
        size = (memory_size(n) + workspace_size(n)) / n / 1024
        table.append((n, one, two))
        print(f"| {n:,} | {one:,.0f} | {two:,.0f} | {two / one:.2f} | {size:.1f} |", flush=True)
    if plot:
        n, one, two = zip(*table, strict=True)
        figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
        axes.plot(n, one, "o-", label="1 thread")
        axes.plot(n, two, "s--", label="2 threads")
        axes.set(xscale="log", yscale="log", xlabel="landers stepped together (N)", ylabel="steps per second")
        axes.grid(alpha=0.3)
        axes.legend()
        figure.savefig(plot, dpi=120)


if __name__ == "__main__":
    main()
