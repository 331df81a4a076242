"""Greedy episodes on Gymnasium's own environment, step by step.

The native lander equals Gymnasium's to the bit, so what Gymnasium plays and renders from the same seed and actions is
what was trained and judged.
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Literal, NamedTuple

import gymnasium as gym
import numpy as np

from fastlander.environments import find_spec
from fastlander.storage.model_file import load_model
from fastlander.streams import draw_seeds
from fastlander.validation import InputError

LONGEST = 10_000  # steps of an episode in an environment that never ends one


class Step(NamedTuple):
    """What one action led to."""

    action: int
    obs: np.ndarray
    reward: float
    terminated: bool


def fly(env: gym.Env, greedy: Callable[[np.ndarray], np.ndarray], seed: int) -> Iterator[Step | None]:
    """One episode: None after its reset, then each step. `greedy` is float32[1, obs_size] -> int64[1]."""
    obs, _ = env.reset(seed=seed)
    yield None
    for _ in range(LONGEST):
        action = int(greedy(np.asarray(obs, np.float32)[None])[0])
        obs, reward, terminated, truncated, _ = env.step(action)
        yield Step(action, obs, float(reward), terminated)
        if terminated or truncated:
            return


class Flight:
    """The episodes that `fastlander.evaluate` judges with the same seed, to be looked at.

    Args:
        directory: of a run, with a model.safetensors.
        episodes: to play.
        seed: of the episodes.
        render_mode: rgb_array gives frames, human opens Gymnasium's window.

    Raises:
        ValueError: there is no such policy, or its environment cannot be rendered.
    """

    def __init__(
        self, directory: str | Path, episodes: int, seed: int, render_mode: Literal["rgb_array", "human"]
    ) -> None:
        self._q_network, config = load_model(directory)
        spec = find_spec(config.env_id)
        try:
            self.env = gym.make(spec.id, render_mode=render_mode)
        except gym.error.Error as error:
            raise InputError(f"directory must be of an environment that renders, got {spec.id!r} ({error})") from None
        self.seeds = draw_seeds(np.random.default_rng(seed), episodes)
        self.frames_per_second = int(self.env.metadata.get("render_fps") or 30)
        self.returns: list[float] = []
        """Of the episodes that have been played."""

    def frames(self) -> Iterator[np.ndarray | None]:
        """uint8[height, width, 3] before the first and after every step; None where a window shows it."""
        with closing(self.env) as env:
            for seed in self.seeds:
                total = 0.0
                for step in fly(env, self._q_network.greedy, seed):
                    total += step.reward if step else 0.0
                    yield env.render()
                self.returns.append(total)
