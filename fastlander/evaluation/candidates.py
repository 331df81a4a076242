"""`Candidates`: averages of a run's weights that compete at its end."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from fastlander.config import Config
from fastlander.learner.parameters import follow
from fastlander.learner.schedules import crossings
from fastlander.states import Weights, Whole, Wholes, check_state, vector

CHECKPOINTS_FROM, AVERAGE_FROM = 0.70, 0.85  # shares of the steps of a run
# The moving average goes FOLLOW_SHARE of the way to the parameters every FOLLOW_EVERY steps, so that half of its weight
# lies in the last 24,000 steps.
FOLLOW_EVERY, FOLLOW_SHARE = 1_024, 0.03
AVERAGE_EVERY = 4_096  # steps


class Candidate(NamedTuple):
    """Parameters that may be the best of the run."""

    timesteps: int  # of the run at the moment they were taken
    parameters: np.ndarray  # as `Parameters.flat`


class Candidates:
    """Collects `config.candidates` averages of the parameters over the last 30% of the steps, one over the last 15%.

    The `config.candidates` are taken from an exponential moving average; the one over the last 15% is a plain mean
    (Polyak and Juditsky 1992). An average is a steadier policy than the parameters at any one moment.

    Args:
        config: how many, and over how many steps.
        read: gives the parameters that are learned as they are now, as `Parameters.flat`.
    """

    def __init__(self, config: Config, read: Callable[[], np.ndarray]) -> None:
        self._read, self._count, self._total = read, config.candidates, config.total_timesteps
        self._follower: np.ndarray | None = None
        self._mean, self._terms = read().copy(), 0
        self._kept: list[Candidate] = []

    def is_due(self, before: int, after: int) -> bool:
        """Whether `look` does something between the timesteps `before` and `after`."""
        if not self._count or after < CHECKPOINTS_FROM * self._total - 100 * FOLLOW_EVERY:
            return False
        taken = self._checkpoints_at(after) - self._checkpoints_at(before)
        looks = crossings(before, after, FOLLOW_EVERY) + crossings(before, after, AVERAGE_EVERY)
        return self._follower is None or looks > 0 or taken > 0

    def look(self, before: int, after: int) -> None:
        """Take the parameters into the averages that are due between the timesteps `before` and `after`."""
        if not self.is_due(before, after):
            return
        if self._follower is None:
            self._follower = self._read().copy()
        elif crossings(before, after, FOLLOW_EVERY):
            follow(self._follower, self._read(), FOLLOW_SHARE)
        if after >= AVERAGE_FROM * self._total and crossings(before, after, AVERAGE_EVERY):
            self._terms += 1
            follow(self._mean, self._read(), 1 / self._terms)
        if self._checkpoints_at(after) > self._checkpoints_at(before):
            self._kept.append(Candidate(after, self._follower.copy()))

    def all(self, timesteps: int) -> list[Candidate]:
        """Every candidate after so many timesteps. The last one is the parameters as they are now."""
        mean = [Candidate(timesteps, self._mean)] if self._terms else []
        return [*self._kept, *mean, Candidate(timesteps, self._read().copy())]

    def get_state(self) -> dict[str, Any]:
        """What was collected, for `set_state`."""
        follower = {} if self._follower is None else {"follower": vector(self._follower)}
        kept = {f"kept.{k}": vector(candidate.parameters) for k, candidate in enumerate(self._kept)}
        times = [candidate.timesteps for candidate in self._kept]
        return {**follower, **kept, "mean": vector(self._mean), "terms": self._terms, "kept_at": times}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from what `get_state` gave.

        Raises:
            ValueError: another state; nothing is changed then.
        """
        weights = Weights(len(self._mean))
        kept = [name for name in state if name.startswith("kept.")] if isinstance(state, dict) else []
        form = {f"kept.{k}": weights for k in range(len(kept))} | {"mean": weights, "terms": Whole()}
        form |= {"kept_at": Wholes(len(kept))} | ({"follower": weights} if "follower" in state else {})
        check_state("candidates", state, form)
        self._follower = np.array(state["follower"]) if "follower" in state else None
        self._kept = [Candidate(after, np.array(state[f"kept.{k}"])) for k, after in enumerate(state["kept_at"])]
        self._mean, self._terms = np.array(state["mean"]), state["terms"]

    def _checkpoints_at(self, timesteps: int) -> int:
        """How many are taken in the first `timesteps`; the last one is taken at the end of the run."""
        first = CHECKPOINTS_FROM * self._total
        if timesteps < first:
            return 0
        if timesteps >= self._total:
            return self._count
        return int((timesteps - first) / (self._total - first) * self._count)
