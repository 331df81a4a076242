"""What each part of the algorithm is worth: the preset with one thing changed, over several seeds.

python -m benchmarks.ablation [--preset best] [--seeds 10] [--only NAME ...] [--output-dir DIR] [--output PAGE.html]

What is in DIR already is not trained again.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks.variants import Both, Dueling, Prioritized, TorchVariant
from fastlander import DQN, Config
from fastlander.compare import new_files, summary, write_comparison
from fastlander.storage.seeds_directory import is_seeds_directory
from fastlander.training.multi_seed import resume_seeds, train_seeds

CHANGES = {
    "preset": {},
    "no mirror augmentation": {"mirror_augmentation": False},
    "no double DQN": {"double_dqn": False},
    "double DQN": {"double_dqn": True},
    **{f"{n}-step returns": {"n_step": n} for n in range(1, 13)},
    "one epsilon for all": {"per_env_epsilon": False},
    "batch 64": {"batch_size": 64},
    "batch 128": {"batch_size": 128},
    "16 environments": {"num_envs": 16},
    "64 environments": {"num_envs": 64},
    "Huber loss, reward scale 0.2": {"loss": "huber", "reward_scale": 0.2},
    "MSE, reward scale 0.05": {"loss": "mse", "reward_scale": 0.05},
    "MSE, reward scale 0.02": {"loss": "mse", "reward_scale": 0.02},
}
BEFORE_SWEEP = {"train_freq": 32, "n_step": 5, "gamma": 0.995, "tau": 0.02, "epsilon_end": 0.03}
"""What the default preset had before a sweep found better values."""
OF_PRESET = {
    "default": {
        "learning rate to a tenth": {"learning_rate_end": 3e-4, "total_timesteps": 400_000},
        "the weights judged, not their average": {"judged_average": 0},
        "an average of 16,384 steps": {"judged_average": 16_384},
        "90% landings": {"solved_landings": 0.9},
        "95% landings": {"solved_landings": 0.95},
        "any landings": {"solved_landings": 0.0},
        "any landings, a mean of 250": {"solved_landings": 0.0, "solved_score": 250},
        "any landings, the weights judged": {"solved_landings": 0.0, "judged_average": 0},
        "settings before the sweep": BEFORE_SWEEP,
        "settings and rule before": {**BEFORE_SWEEP, "solved_landings": 0.0, "judged_average": 0},
    },
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


def train(config, count, kind, directory):
    """Train `count` seeds in a directory, or those of them that are missing there."""
    if is_seeds_directory(directory):
        resume_seeds(directory, lambda line: None, kind)
    else:
        settings = {**vars(config), "output_dir": str(directory), "progress": False}
        train_seeds(Config(**settings), count, lambda line: None, kind, compact=True)


def main():
    """Train the seeds of each row, and compare the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", choices=("default", "best"), default="default")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--only", nargs="+", default=None, help="rows to make")
    parser.add_argument(
        "--output-dir", default=None, help="keeps a seeds directory of each row; None is a temporary one"
    )
    parser.add_argument("--output", default="ablation.html", help="page to make, with a CSV beside it")
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
    rows = {name: row for name, row in rows.items() if not arguments.only or name in arguments.only}
    if not rows:
        parser.error("--only names no row of this preset")
    new_files(arguments.output)  # or an error, before anything is trained
    with tempfile.TemporaryDirectory() as temporary:
        directories = {name: Path(arguments.output_dir or temporary, name) for name in rows}
        for name, (change, kind) in rows.items():
            config = Config.preset(arguments.preset, **{**base, "seed": 100, **change})
            train(config, arguments.seeds, kind, directories[name])
            print(f"{name}: trained", file=sys.stderr, flush=True)
        print(summary(write_comparison(directories, arguments.output)))


if __name__ == "__main__":
    main()
