"""What a run counts: scores and rates."""

import time
from typing import NamedTuple

import numpy as np

from fastlander.experience.collector import Finished

WINDOW = 100
"""Episodes in a running mean, as in the lecture."""


class MetricsRow(NamedTuple):
    """One row of metrics.csv. Scores and playtimes are means over the last 100 finished training episodes."""

    timesteps: int
    episodes: int
    updates: int
    score_mean_100: float
    playtime_mean_100: float  # steps
    epsilon: float
    loss: float  # of the last update; nan before the first
    eval_mean: float | None  # of the last greedy judgement since the row before, if there was one
    steps_per_second: float  # since the row before, judging aside
    seconds: float  # since the run began


class Scores:
    """The finished training episodes of a run."""

    def __init__(self) -> None:
        self.timesteps: list[int] = []
        """Of the run when each ended."""
        self.scores: list[float] = []
        self.playtimes: list[int] = []

    def __len__(self) -> int:
        return len(self.scores)

    def add(self, finished: Finished, timesteps: int) -> None:
        """Append what the vector step ended after which the run had made so many timesteps."""
        self.timesteps += [timesteps] * len(finished.scores)
        self.scores += finished.scores
        self.playtimes += finished.playtimes

    def mean(self, window: int = WINDOW) -> float:
        """Mean of the last `window` scores; nan before the first."""
        return float(np.mean(self.scores[-window:])) if self.scores else float("nan")

    def mean_playtime(self, window: int = WINDOW) -> float:
        """Mean of the last `window` playtimes in steps; nan before the first."""
        return float(np.mean(self.playtimes[-window:])) if self.playtimes else float("nan")

    def get_state(self) -> dict[str, np.ndarray]:
        """Every finished episode, for `set_state`."""
        return {
            "timesteps": np.array(self.timesteps, np.int64),
            "scores": np.array(self.scores, np.float64),
            "playtimes": np.array(self.playtimes, np.int64),
        }

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Go on from what `get_state` gave."""
        self.timesteps = state["timesteps"].tolist()
        self.scores, self.playtimes = state["scores"].tolist(), state["playtimes"].tolist()


class Clock:
    """Seconds since the run began, and steps per second between two looks."""

    def __init__(self) -> None:
        self._start = self._last = time.perf_counter()
        self._timesteps = 0

    def seconds(self) -> float:
        """Seconds since the clock was made."""
        return time.perf_counter() - self._start

    def go_on(self, seconds: float, timesteps: int) -> None:
        """Count on from where another clock had come."""
        self._last = time.perf_counter()
        self._start, self._timesteps = self._last - seconds, timesteps

    def set_aside(self, seconds: float) -> None:
        """Leave so many of the seconds since the last `rate` out of the next one."""
        self._last += seconds

    def rate(self, timesteps: int) -> float:
        """Timesteps per second since the last call."""
        now = time.perf_counter()
        rate = (timesteps - self._timesteps) / max(now - self._last, 1e-9)
        self._last, self._timesteps = now, timesteps
        return rate
