"""The inputs and outputs of a step, in one block of memory that the environment and the kernels share."""

from typing import NamedTuple

import numpy as np

from fastlander.kernels.jit import shared

OBSERVATION_SIZE = 8


class Exchange(NamedTuple):
    """The inputs and outputs of a step of N landers."""

    action: np.ndarray  # float64[N, 2]: a discrete action in column 0, or main and side engine
    todo: np.ndarray  # bool[N]: the landers to step; the others stand still
    fresh: np.ndarray  # bool[N]: the landers among them to reset first
    obs: np.ndarray  # float32[N, OBSERVATION_SIZE], the last one of each lander
    reward: np.ndarray  # float64[N], 0 for landers that were reset or stood still
    terminated: np.ndarray  # bool[N], False for landers that were reset or stood still
    truncated: np.ndarray  # bool[N], False for landers that were reset or stood still


def exchange_size(num_envs: int) -> int:
    """Bytes of an Exchange for `num_envs` landers."""
    return (8 * 2 + 8 + 4 * OBSERVATION_SIZE + 4) * num_envs


@shared
def unpack_exchange(block: np.ndarray, num_envs: int) -> Exchange:
    """The fields of an exchange as views of uint8[exchange_size(num_envs)]."""
    n = num_envs
    actions_end = 16 * n
    reward_end = actions_end + 8 * n
    obs_end = reward_end + 4 * OBSERVATION_SIZE * n
    return Exchange(
        action=block[:actions_end].view(np.float64).reshape(n, 2),
        todo=block[obs_end : obs_end + n].view(np.bool_),
        fresh=block[obs_end + n : obs_end + 2 * n].view(np.bool_),
        obs=block[reward_end:obs_end].view(np.float32).reshape(n, OBSERVATION_SIZE),
        reward=block[actions_end:reward_end].view(np.float64),
        terminated=block[obs_end + 2 * n : obs_end + 3 * n].view(np.bool_),
        truncated=block[obs_end + 3 * n : obs_end + 4 * n].view(np.bool_),
    )
