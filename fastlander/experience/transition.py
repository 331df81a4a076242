"""`Transition`: what a learner stores and samples."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Field = tuple[npt.DTypeLike, tuple[int, ...]]
"""dtype and shape of one item's value in one field."""


class Transition(NamedTuple):
    """A transition as it is stored, or a batch of B of them.

    `discount` stands for `terminated` and `truncated`. It is 0 only where the episode terminated. A truncated episode
    was cut by a time limit: its last state still has a future, and the target bootstraps from it.
    """

    obs: np.ndarray  # float32[B, obs_size]
    action: np.ndarray  # int64[B]
    reward: np.ndarray  # float32[B], the n-step return: sum of gamma**j * reward_j
    next_obs: np.ndarray  # float32[B, obs_size], k steps after obs, k <= n
    discount: np.ndarray  # float32[B], gamma**k, or 0 where terminated


def transition_fields(obs_size: int) -> dict[str, Field]:
    """The fields of `Transition` for observations of `obs_size` numbers."""
    obs = (np.float32, (obs_size,))
    return dict(zip(Transition._fields, (obs, (np.int64, ()), (np.float32, ()), obs, (np.float32, ())), strict=True))
