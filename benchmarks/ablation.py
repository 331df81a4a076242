"""What each part of the algorithm is worth: the preset with one thing changed, over several seeds.

python -m benchmarks.ablation [--preset best] [--seeds 10] [--only NAME ...]
"""

import argparse
import tempfile

import numpy as np

from benchmarks.variants import Both, Dueling, Prioritized, TorchVariant
from fastlander import DQN, Config
from fastlander.evaluation.statistics import interquartile_mean
from fastlander.training.multi_seed import train_seeds

CHANGES = {
    "preset": {},
    "no mirror augmentation": {"mirror_augmentation": False},
    "no double DQN": {"double_dqn": False},
    "double DQN": {"double_dqn": True},
    "1-step returns": {"n_step": 1},
    "3-step returns": {"n_step": 3},
    "5-step returns": {"n_step": 5},
    "8-step returns": {"n_step": 8},
    "12-step returns": {"n_step": 12},
    "one epsilon for all": {"per_env_epsilon": False},
    "batch 64": {"batch_size": 64},
    "batch 128": {"batch_size": 128},
    "16 environments": {"num_envs": 16},
    "64 environments": {"num_envs": 64},
    "Huber loss, reward scale 0.2": {"loss": "huber", "reward_scale": 0.2},
    "MSE, reward scale 0.05": {"loss": "mse", "reward_scale": 0.05},
    "MSE, reward scale 0.02": {"loss": "mse", "reward_scale": 0.02},
}
OF_PRESET = {
    "default": {"learning rate to a tenth": {"learning_rate_end": 3e-4, "total_timesteps": 400_000}},
    "best": {
        "constant learning rate": {"learning_rate_end": None},
        "no averages (the last parameters)": {"candidates": 0},
        "one update per 16": {"train_freq": 16},
    },
}
VARIANTS = {
    "default": {
        "the preset in plain torch": TorchVariant,
        "dueling (torch)": Dueling,
        "prioritized (torch)": Prioritized,
        "dueling and prioritized (torch)": Both,
    },
    "best": {},
}


def measure(config, count, kind):
    """The outcomes of `count` seeds: solved, steps and seconds until then, greedy means."""
    with tempfile.TemporaryDirectory() as directory:
        settings = {**vars(config), "output_dir": f"{directory}/runs", "progress": False}
        rows = train_seeds(Config(**settings), count, lambda line: None, kind, compact=True).rows.values()
    solved = [row for row in rows if row.solved]
    return (
        len(solved),
        [row.timesteps for row in solved],
        [row.seconds for row in solved],
        [row.eval_mean for row in rows],
    )


def cell(values, form):
    """Interquartile mean and 95% interval."""
    if len(values) < 2:
        return "-"
    mean, low, high = interquartile_mean(values)
    return f"{mean:{form}} ({low:{form}} to {high:{form}})"


def main():
    """Print the table, a row as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", choices=("default", "best"), default="default")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--only", nargs="+", default=None, help="rows to make")
    arguments = parser.parse_args()
    base = {"total_timesteps": 400_000} if arguments.preset == "default" else {}
    plain = Config.preset(arguments.preset)
    rows = {**CHANGES, **OF_PRESET[arguments.preset]}
    rows = {
        name: (change, DQN)
        for name, change in rows.items()
        if name == "preset" or any(getattr(plain, key) != value for key, value in change.items())
    }
    rows |= {name: ({}, kind) for name, kind in VARIANTS[arguments.preset].items()}
    print("| changed | solved | steps until solved | seconds until solved | greedy mean | worst seed |")
    print("|---|---|---|---|---|---|")
    for name, (change, kind) in rows.items():
        if arguments.only and name not in arguments.only:
            continue
        solved, steps, seconds, means = measure(
            Config.preset(arguments.preset, **{**base, "seed": 100, **change}), arguments.seeds, kind
        )
        print(
            f"| {name} | {solved} of {arguments.seeds} | {cell(steps, ',.0f')} | {cell(seconds, '.1f')} "
            f"| {cell(means, '.1f')} | {np.min(means):.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
