"""Epsilon-greedy actions, once or repeated, and how much each environment explores."""

from typing import Any

import numpy as np

from fastlander.config import Config
from fastlander.states import Array, Form, NumPyStream, check_state

LONGEST = 10_000
"""Steps that a random action is repeated, at most."""


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


class RepeatedActions:
    """Temporally extended epsilon-greedy exploration: epsilon-z-greedy (Dabney et al. 2021, algorithm in appendix B).

    Epsilon is the chance that a uniformly random action begins. It is taken n times, whatever is observed meanwhile,
    also beyond the end of an episode. The chance of n is in proportion to n**-exponent for n from 1 to `LONGEST`.

    Args:
        num_envs: N environments, each with coins and repetitions of its own.
        num_actions: actions to choose from.
        exponent: of the zeta distribution; the paper uses 2.
        stream: what is drawn comes from it.
    """

    def __init__(self, num_envs: int, num_actions: int, exponent: float, stream: np.random.SeedSequence) -> None:
        weights = np.arange(1, LONGEST + 1, dtype=np.float64) ** -exponent
        self._shares = np.cumsum(weights) / weights.sum()  # float64[LONGEST], chance of at most 1, 2, ... times
        self._num_actions, self._rng = num_actions, np.random.default_rng(stream)
        self._action = np.zeros(num_envs, np.int64)
        self._left = np.zeros(num_envs, np.int64)  # times that the action is to be taken still

    def act(self, greedy: np.ndarray, epsilon: np.ndarray) -> np.ndarray:
        """The actions to take where these are the greedy ones: int64[N], float64[N] -> int64[N]."""
        size = len(greedy)
        coins, durations = self._rng.random((2, size))
        random = self._rng.integers(self._num_actions, size=size)
        begins = (self._left == 0) & (coins < epsilon)
        times = np.minimum(np.searchsorted(self._shares, durations, side="right") + 1, LONGEST)
        self._action = np.where(begins, random, self._action)
        self._left = np.where(begins, times, self._left)
        action = np.where(self._left > 0, self._action, greedy)
        self._left = np.maximum(self._left - 1, 0)
        return action

    def get_state(self) -> dict[str, Any]:
        """The repetitions under way and the random stream, for `set_state`: a copy."""
        return {"action": self._action.copy(), "left": self._left.copy(), "rng": self._rng.bit_generator.state}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from what `get_state` of the same settings gave.

        Raises:
            ValueError: another state; nothing is changed then.
        """
        check_state("exploration", state, self.state_form())
        self._action, self._left = state["action"].copy(), state["left"].copy()
        self._rng.bit_generator.state = state["rng"]

    def state_form(self) -> Form:
        """What `set_state` takes."""
        shape = self._left.shape
        return {
            "action": Array(np.int64, shape, low=0, high=self._num_actions - 1),
            "left": Array(np.int64, shape, low=0, high=LONGEST - 1),
            "rng": NumPyStream(),
        }
