"""Whether solved is solved: fresh episodes that no run has seen, with the policy of every seed of a directory.

python -m fastlander.train --seeds 200 --output-dir DIR
python -m benchmarks.hidden DIR [DIR ...] [--episodes 1000] [--first COUNT] [--csv FILE] [--plot FILE]

Prints a row for each directory, quantiles over its seeds, and its worst ones. The CSV file has a row for each seed
(with one DIR only); in the place of a directory such a file is read, and nothing is played.
"""

import argparse
import csv
import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fastlander.evaluation.episodes import evaluate, make_eval_env
from fastlander.evaluation.statistics import interquartile_mean
from fastlander.kernels.processor import available_processors
from fastlander.learner.fused.policy import FusedPolicy
from fastlander.storage.model_file import load_model
from fastlander.storage.seeds_directory import SeedsDirectory
from fastlander.streams import draw_seeds
from fastlander.training.pool import ONE_THREAD

STREAM = 20261126
"""Beside the seed of a run, what its hidden episodes are drawn from: another stream than any of the run."""
WORST = 5
"""Seeds of a directory that are shown."""
SHARES = ("below_200", "landings", "crashes", "timeouts")
TITLES = {"timesteps": "timesteps of the run", "mean": "mean return, hidden", "landings": "landings, hidden"}
QUANTILES = "| least | 5% | 25% | median | 75% | 95% | most |\n|---|---|---|---|---|---|---|---|"


class HiddenRow(NamedTuple):
    """A seed that has ended, and its policy on hidden episodes."""

    seed: int
    solved: bool
    timesteps: int
    updates: int
    seconds: float  # wall clock of training and judging, beside the other workers
    mean: float
    std: float
    worst: float  # return
    below_200: float  # share of episodes, as the next three
    landings: float
    crashes: float
    timeouts: float


def play(directory, episodes):
    """The `Evaluation` of a run's policy on hidden episodes, in one thread."""
    q_network, config = load_model(directory)
    seeds = draw_seeds(np.random.default_rng([config.seed, STREAM]), episodes)
    with closing(make_eval_env(config, episodes, processors=1)) as env:
        return evaluate(FusedPolicy.of(q_network).greedy, env, seeds)


def measure(directory, row, episodes):
    """The `HiddenRow` of one seed."""
    played = play(directory, episodes)
    shares = [values.mean() for values in (played.returns < 200, played.landings, played.crashes, played.timeouts)]
    returns = [played.mean, played.std, played.returns.min()]
    return HiddenRow(*row[:5], *(round(float(number), 4) for number in (*returns, *shares)))


def measure_all(path, episodes, first):
    """The rows of a directory of seeds, or of its `first` seeds, by worker processes."""
    directory = SeedsDirectory.read(path)
    rows = [row for _, row in sorted(directory.rows.items())][:first]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(available_processors(), mp_context=context) as pool:
        tasks = [pool.submit(measure, directory.run(row.seed), row, episodes) for row in rows]
        return [task.result() for task in tasks]


def read_csv(path):
    """The rows of a file that `--csv` made."""
    with open(path, newline="", encoding="utf-8") as file:
        return [
            HiddenRow(
                int(row["seed"]),
                row["solved"] == "True",
                int(row["timesteps"]),
                int(row["updates"]),
                *(float(row[name]) for name in HiddenRow._fields[4:]),
            )
            for row in csv.DictReader(file)
        ]


def quantiles(rows):
    """Lines with the 5%, 25%, 50%, 75% and 95% quantiles over seeds, and the ends."""
    lines = []
    for name, form in (("timesteps", ",.0f"), ("mean", ".1f"), ("std", ".1f"), *((share, ".1%") for share in SHARES)):
        values = np.quantile([getattr(row, name) for row in rows], (0, 0.05, 0.25, 0.5, 0.75, 0.95, 1))
        lines.append(f"| {name} | {' | '.join(f'{value:{form}}' for value in values)} |")
    return lines


def draw(named, path):
    """Over the seeds of each directory: timesteps, mean return, landings."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(10, 3.2), layout="constrained")
    for ax, (name, title) in zip(axes, TITLES.items(), strict=True):
        for label, rows in named.items():
            values = np.sort([getattr(row, name) for row in rows])
            ax.step(values, np.arange(1, len(values) + 1) / len(values), where="post", label=f"{label} ({len(rows)})")
        ax.set(xlabel=title, ylim=(0, 1))
        ax.grid(alpha=0.3)
    axes[0].set_ylabel("share of the seeds, at most")
    axes[0].xaxis.set_major_formatter(lambda value, _: f"{value / 1000:.0f}k")
    axes[2].xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes[0].legend(loc="lower right", fontsize="small")
    figure.savefig(path, dpi=90)


def summary(name, rows):
    """A row of a Markdown table, and lines of the worst seeds."""
    column = {name: np.array([getattr(row, name) for row in rows], float) for name in HiddenRow._fields}
    steps, (means, landings) = column["timesteps"], (column["mean"], column["landings"])
    low, high = interquartile_mean(np.where(column["solved"], steps, np.inf))[1:]
    cells = [
        name,
        len(rows),
        sum(row.solved for row in rows),
        f"{np.median(steps):,.0f} ({low:,.0f} to {high:,.0f})",
        f"{np.median(column['seconds']):.2f}",
        f"{np.median(means):.1f}",
        f"{means.min():.1f}",
        np.count_nonzero(means < 200),
        f"{np.median(landings):.1%}",
        f"{landings.min():.1%}",
        np.count_nonzero(landings < 0.9),
    ]
    line = f"| {' | '.join(map(str, cells))} |"
    worst = sorted(rows, key=lambda row: row.mean)[:WORST]
    worst += [row for row in sorted(rows, key=lambda row: row.landings)[:WORST] if row not in worst]
    shown = [
        f"  seed {row.seed}: {row.timesteps:,} steps, mean {row.mean:.1f}, landings {row.landings:.1%}, "
        f"crashes {row.crashes:.1%}, time-outs {row.timeouts:.1%}, worst {row.worst:.0f}"
        for row in worst
    ]
    return line, shown


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("directories", nargs="+", metavar="DIR", help="seeds directories")
    parser.add_argument("--episodes", type=int, default=1_000)
    parser.add_argument("--first", type=int, default=None, help="only so many seeds of each directory")
    parser.add_argument("--csv", default=None, help="a row for each seed, of one directory")
    parser.add_argument("--plot", default=None, help="picture of the distributions over seeds")
    arguments = parser.parse_args()
    if arguments.csv and len(arguments.directories) > 1:
        parser.error("--csv takes one directory")
    os.environ.update(ONE_THREAD)  # of the workers
    print(
        f"{arguments.episodes:,} hidden episodes of each seed\n\n"
        "| | seeds | solved | steps: median (95% of the IQM) | s | mean: median | worst | below 200 "
        "| landings: median | worst | below 90% |\n|---|---|---|---|---|---|---|---|---|---|---|"
    )
    notes, named = [], {}
    for path in map(Path, arguments.directories):
        if path.is_file():
            rows = read_csv(path)[: arguments.first]
        else:
            rows = measure_all(path, arguments.episodes, arguments.first)
        named[path.stem] = rows
        line, worst = summary(path.stem, rows)
        print(line, flush=True)
        notes += [f"\n| {path.stem} {QUANTILES}", *quantiles(rows), "\nthe worst by mean and by landings:", *worst]
        if arguments.csv:
            with open(arguments.csv, "w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file, lineterminator="\n")
                writer.writerow(HiddenRow._fields)
                writer.writerows(rows)
    print(*notes, sep="\n")
    if arguments.plot:
        draw(named, arguments.plot)
    return 0


if __name__ == "__main__":
    sys.exit(main())
