"""Greedy episodes of a finished run on Gymnasium's own environment, one frame after the other."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Literal

import gymnasium as gym
import numpy as np

from fastlander.model_file import load_model
from fastlander.rng import draw_seeds
from fastlander.validation import InputError
from fastlander.vector_env import find_spec

LONGEST = 10_000  # steps of an episode in an environment that never ends one


class Flight:
    """The episodes that `fastlander.evaluate` judges with the same seed, to be looked at.

    The native lander equals Gymnasium's to the bit, so what Gymnasium renders from the same seed and actions is what
    was trained and judged.

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
                obs, _ = env.reset(seed=seed)
                total, steps, over = 0.0, 0, False
                yield env.render()
                while not over and steps < LONGEST:
                    action = self._q_network.greedy(np.asarray(obs, np.float32)[None])[0]
                    obs, reward, terminated, truncated, _ = env.step(int(action))
                    total, steps, over = total + float(reward), steps + 1, terminated or truncated
                    yield env.render()
                self.returns.append(total)
