"""What many seeds cost beside one: wall clock, and CPU time of all processes. Each is a command, imports and all.

python -m benchmarks.many_seeds [--seeds 10 100] [--rounds 3]

One thread trains a seed in a worker process, while a run alone learns in a second thread. So the CPU time of a run's
training and judging is measured in one thread, by `Trainer.run(processors=1)`, over the same seeds.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np

from fastlander import Config, Trainer
from fastlander.kernels.processor import available_processors


def command(*arguments):
    """Wall clock and CPU time of a `train` command, in seconds."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    with tempfile.TemporaryDirectory() as directory:
        argv = ["-m", "fastlander.train", "--no-progress", "--output-dir", f"{directory}/run", *map(str, arguments)]
        subprocess.run([sys.executable, *argv], stdout=subprocess.DEVNULL, check=True)
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, sum(getattr(after, name) - getattr(before, name) for name in ("ru_utime", "ru_stime"))


def training_times(seeds):
    """CPU time of training and judging for each seed in turn, in one thread of this process."""
    times = []
    with tempfile.TemporaryDirectory() as directory:
        for seed in [seeds[0], *seeds]:  # the first one loads the kernels
            config = Config(seed=seed, progress=False, output_dir=f"{directory}/{len(times)}")
            began = time.process_time()
            Trainer(config).run(processors=1, compact=True)
            times.append(time.process_time() - began)
    return times[1:]


def main():
    """Print a row for one run, and one for each number of seeds."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[10, 100])
    parser.add_argument("--rounds", type=int, default=3, help="runs alone, of seeds 0, 1, ...")
    arguments = parser.parse_args()
    cores = available_processors()
    print(f"{cores} processors, load {os.getloadavg()[0]:.1f} before")
    alone = [command("--seed", seed)[0] for seed in range(max(arguments.seeds))[: arguments.rounds]]
    one = float(np.median(alone))
    print(f"one run, from prompt to prompt: median {one:.2f} s of {', '.join(f'{value:.2f}' for value in alone)}")
    print("| seeds | seconds | times one run | CPU s per seed | of these, training and judging | cores' share |")
    print("|---|---|---|---|---|---|")
    times = training_times(range(max(arguments.seeds)))
    for count in arguments.seeds:
        seconds, cpu = command("--seeds", count)
        training = sum(times[:count])
        print(
            f"| {count} | {seconds:.1f} | {seconds / one:.1f} | {cpu / count:.2f} | {training / count:.2f} "
            f"| {training / cores / seconds:.0%} |",
            flush=True,
        )
    print(f"load {os.getloadavg()[0]:.1f} after")


if __name__ == "__main__":
    main()
