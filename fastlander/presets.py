"""What the presets and the other environments have in the place of the defaults of `Config`, as plain data."""

from typing import Any, Literal

PresetName = Literal["default", "best", "finest", "lecture"]

# Squared error on small rewards notices rare crashes. Huber loss does not. Seen from both sides, the lander errs less.
# Landings differ by fuel and by where they end, and a discounted learner rushes past both: so both weigh more.
_BEST: dict[str, Any] = {
    "total_timesteps": 2_000_000,
    "solved_by": "never",
    "judged_average": 0,
    "eval_episodes": 250,
    "candidates": 8,
    "mirror_acting": True,
    "log_episodes": 100,
    "buffer_size": 150_000,
    "batch_size": 128,
    "train_freq": 32,
    "learning_rate": 2e-3,
    "learning_rate_end": 1e-5,
    "adam_betas": (0.9, 0.999),
    "loss": "mse",
    "double_dqn": False,
    "n_step": 8,
    "gamma": 0.995,
    "tau": 0.005,
    "reward_scale": 0.02,
    "fuel_weight": 3.0,
    "distance_weight": 5.0,
    "epsilon_end": 0.03,
}

PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    "best": _BEST,  # the best lander of two million steps
    "finest": {**_BEST, "total_timesteps": 12_000_000, "buffer_size": 600_000, "eval_episodes": 1_000},
    # The lecture: one update per step once 5,000 transitions are stored, no target network, mean squared error.
    "lecture": {
        "buffer_size": 5_000,
        "learning_starts": 5_000,
        "batch_size": 64,
        "train_freq": 1,
        "learning_rate": 1e-4,
        "adam_betas": (0.9, 0.999),
        "loss": "mse",
        "max_grad_norm": None,
        "double_dqn": False,
        "n_step": 1,
        "gamma": 0.99,
        "tau": 1.0,
        "target_update_freq": 1,
        "reward_scale": 1.0,
        "mirror_augmentation": False,
        "epsilon_schedule": "per-episode",
        "epsilon_end": 0.0,
        "per_env_epsilon": False,
        "max_episodes": 2_000,
        "solved_by": "training",
        "judged_average": 0,
    },
}
"""The settings of each preset that differ from the defaults of `Config`, which are LunarLander's."""

_EASY: dict[str, Any] = {
    "total_timesteps": 300_000,
    "judged_average": 0,
    "train_freq": 8,
    "n_step": 5,
    "gamma": 0.995,
    "tau": 0.02,
    "epsilon_end": 0.03,
}
ENV_DEFAULTS: dict[str, dict[str, Any]] = {
    "CartPole-v1": _EASY,
    "Acrobot-v1": _EASY,
    # Every step costs 1 until the hill is climbed or 200 steps are over. Single random actions never climb it, repeated
    # ones do now and then. So epsilon falls late, and until then training scores say little: the gate is low.
    "MountainCar-v0": {
        "judged_average": 0,
        "eval_gate": -190.0,
        "eval_interval": 10_000,
        "hidden_sizes": (64, 64),
        "buffer_size": 100_000,
        "train_freq": 8,
        "n_step": 5,
        "gamma": 0.99,
        "tau": 0.02,
        "epsilon_timesteps": 300_000,
        "per_env_epsilon": False,
        "epsilon_zeta": 2.0,
    },
}
"""By environment: the settings of its own default preset that differ from the defaults of `Config`."""
