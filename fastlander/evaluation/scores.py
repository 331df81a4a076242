"""`Scores`: the finished training episodes of a run."""

import numpy as np

from fastlander.experience.collector import Finished
from fastlander.states import Array, check_state

WINDOW = 100
"""Episodes in a running mean, as in the lecture."""


class Scores:
    """The finished training episodes of a run."""

    def __init__(self) -> None:
        self.timesteps: list[int] = []
        """Timesteps of the run at the end of each episode."""
        self.scores: list[float] = []
        self.playtimes: list[int] = []

    def __len__(self) -> int:
        return len(self.scores)

    def add(self, finished: Finished, timesteps: int) -> None:
        """Append the episodes of one vector step. `timesteps`: those of the run after that step."""
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
        """Go on from what `get_state` gave.

        Raises:
            ValueError: another state; nothing is changed then.
        """
        form = {
            "timesteps": Array(np.int64, ("episodes",), low=0),
            "scores": Array(np.float64, ("episodes",), finite=True),
            "playtimes": Array(np.int64, ("episodes",), low=0),
        }
        check_state("scores", state, form)
        self.timesteps = state["timesteps"].tolist()
        self.scores, self.playtimes = state["scores"].tolist(), state["playtimes"].tolist()
