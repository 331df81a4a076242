"""The memory that a run takes, at least, by the settings that ask for it."""

import itertools

from fastlander.config import Config
from fastlander.environments import bytes_per_env
from fastlander.evaluation.episodes import most_eval_envs
from fastlander.evaluation.evaluation import BYTES_PER_EPISODE
from fastlander.experience.replay_buffer import bytes_per_item, transition_fields
from fastlander.memory import available_memory, check_total

FLOAT = 4  # bytes
COPIES = 16
"""Vectors as long as the network's parameters: gradients, moments, target, and what a checkpoint gathers."""
BYTES_PER_WORKER = 250_000_000
"""Memory that a worker process takes before it trains, at least: its imports and kernels."""


def needed_memory(config: Config, obs_size: int, num_actions: int) -> dict[str, int]:
    """Bytes by the name of the setting that asks for them.

    Args:
        config: the settings of a run.
        obs_size: numbers per observation.
        num_actions: actions to choose from.
    """
    sizes = (obs_size, *config.hidden_sizes, num_actions)
    parameters = FLOAT * sum((rows + 1) * columns for rows, columns in itertools.pairwise(sizes))
    row = bytes_per_item(transition_fields(obs_size))
    filled = min(config.buffer_size, config.total_timesteps)
    per_env = bytes_per_env(config.env_id, config.backend)
    eval_envs = min(config.eval_episodes, most_eval_envs(config))
    return {
        "buffer_size": (config.buffer_size + 2 * filled) * row,  # a checkpoint holds what is filled twice more
        "num_envs": config.num_envs * per_env,
        "n_step": 2 * config.num_envs * config.n_step * row,
        "hidden_sizes": COPIES * parameters,
        "batch_size": config.batch_size * (row + FLOAT * sum(sizes)),
        "eval_episodes": config.eval_episodes * BYTES_PER_EPISODE + eval_envs * per_env,
        "candidates": config.candidates * (parameters + eval_envs * per_env),
    }


def check_run_fits(config: Config, obs_size: int, num_actions: int) -> None:
    """ValueError if a run does not fit in this machine's memory."""
    needed = needed_memory(config, obs_size, num_actions)
    check_total(needed, {name: getattr(config, name) for name in needed})


def runs_that_fit(config: Config, obs_size: int, num_actions: int, most: int) -> int:
    """How many runs fit in this machine's memory at once, each in a worker process, from 1 to `most`.

    ValueError if not even one does.
    """
    check_run_fits(config, obs_size, num_actions)
    available = available_memory()
    if available is None:
        return most
    each = BYTES_PER_WORKER + sum(needed_memory(config, obs_size, num_actions).values())
    return min(max(available // each, 1), most)
