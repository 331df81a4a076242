"""The inputs and outputs of a step, in one block of memory that the environment and the kernels share."""

from typing import NamedTuple

import numpy as np

from fastlander.kernels.jit import shared
from fastlander.kernels.tables import viewer

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


_actions, _observations = viewer(np.float64, 2), viewer(np.float32, OBSERVATION_SIZE)
_rewards, _flags = viewer(np.float64), viewer(np.bool_)


@shared
def unpack_exchange(block: np.ndarray, num_envs: int, start: int = 0) -> Exchange:
    """The fields of an exchange as views of exchange_size(num_envs) bytes of `block`, uint8[...], from `start`."""
    n = num_envs
    actions_end = start + 16 * n
    reward_end = actions_end + 8 * n
    obs_end = reward_end + 4 * OBSERVATION_SIZE * n
    return Exchange(
        action=_actions(block, start, n),
        todo=_flags(block, obs_end, n),
        fresh=_flags(block, obs_end + n, n),
        obs=_observations(block, reward_end, n),
        reward=_rewards(block, actions_end, n),
        terminated=_flags(block, obs_end + 2 * n, n),
        truncated=_flags(block, obs_end + 3 * n, n),
    )
