"""Epsilon-greedy actions, and how much each environment explores."""

import numpy as np

from fastlander.config import Config


def epsilon_exponents(config: Config) -> np.ndarray:
    """float64[num_envs]: environment i explores with epsilon to this power, 1 for the first (Horgan et al. 2018)."""
    if not config.per_env_epsilon:
        return np.ones(config.num_envs)
    return 1 + 2 * np.arange(config.num_envs) / max(1, config.num_envs - 1)


def epsilon_greedy(
    greedy: np.ndarray, epsilon: np.ndarray | float, num_actions: int, rng: np.random.Generator
) -> np.ndarray:
    """One coin per environment: a uniformly random action where it falls below epsilon, else the greedy one.

    int64[N], float64[N] or one float for all -> int64[N]
    """
    random = rng.random(len(greedy)) < epsilon
    return np.where(random, rng.integers(num_actions, size=len(greedy)), greedy)
