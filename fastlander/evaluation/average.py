"""`Average`: the moving average of a run's weights that is judged in their place."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from fastlander.config import Config
from fastlander.learner.parameters import follow
from fastlander.learner.schedules import crossings
from fastlander.states import Weights, check_state, vector

FOLLOW_EVERY = 1_024
"""Steps between two looks at the parameters, a multiple of every usual number of environments."""


class Average:
    """An exponential moving average of the parameters, a steadier policy than they are at any one moment.

    It goes 1 - exp(-1,024 / `config.judged_average`) of the way to the parameters every 1,024 steps.

    Args:
        config: over how many steps.
        read: gives the parameters that are learned as they are now, as `Parameters.flat`.
    """

    def __init__(self, config: Config, read: Callable[[], np.ndarray]) -> None:
        self._read, self._over = read, config.judged_average
        self._average = read().copy()

    @property
    def parameters(self) -> np.ndarray:
        """The average, float32[P]; the parameters of now where nothing is averaged."""
        return self._average if self._over else self._read()

    def is_due(self, before: int, after: int) -> bool:
        """Whether `look` does something between the timesteps `before` and `after`."""
        return self._over > 0 and crossings(before, after, FOLLOW_EVERY) > 0

    def look(self, before: int, after: int) -> None:
        """Follow the parameters between the timesteps `before` and `after`."""
        looks = crossings(before, after, FOLLOW_EVERY) if self._over else 0
        if looks:
            follow(self._average, self._read(), 1 - math.exp(-looks * FOLLOW_EVERY / self._over))

    def get_state(self) -> dict[str, Any]:
        """The average, for `set_state`."""
        return {"parameters": vector(self.parameters)}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from what `get_state` gave.

        Raises:
            ValueError: another state; nothing is changed then.
        """
        check_state("average", state, {"parameters": Weights(len(self._average))})
        self._average[:] = state["parameters"]
