"""`Average`: the moving average of a run's weights that is judged in their place."""

import math
from typing import Any

from torch import Tensor

from fastlander.config import Config
from fastlander.learner.schedules import crossings
from fastlander.states import Weights, check_state

FOLLOW_EVERY = 1_024
"""Steps between two looks at the parameters, a multiple of every usual number of environments."""


class Average:
    """An exponential moving average of the parameters, a steadier policy than they are at any one moment.

    It goes 1 - exp(-1,024 / `config.judged_average`) of the way to the parameters every 1,024 steps.

    Args:
        config: over how many steps.
        flat: the parameters that are learned, as `QNetwork.flat`.
    """

    def __init__(self, config: Config, flat: Tensor) -> None:
        self._flat, self._over = flat, config.judged_average
        self.parameters = flat.clone() if self._over else flat
        """The average, in the same memory throughout; `flat` itself where nothing is averaged."""

    def is_due(self, before: int, after: int) -> bool:
        """Whether `look` does something between the timesteps `before` and `after`."""
        return self._over > 0 and crossings(before, after, FOLLOW_EVERY) > 0

    def look(self, before: int, after: int) -> None:
        """Follow the parameters between the timesteps `before` and `after`."""
        looks = crossings(before, after, FOLLOW_EVERY) if self._over else 0
        if looks:
            self.parameters.lerp_(self._flat, 1 - math.exp(-looks * FOLLOW_EVERY / self._over))

    def get_state(self) -> dict[str, Any]:
        """The average, for `set_state`."""
        return {"parameters": self.parameters.cpu().clone()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from what `get_state` gave.

        Raises:
            ValueError: another state; nothing is changed then.
        """
        check_state("average", state, {"parameters": Weights(len(self._flat))})
        self.parameters.copy_(state["parameters"])
