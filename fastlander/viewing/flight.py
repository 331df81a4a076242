"""Flights: greedy episodes, one step at a time, to be shown.

A flight plays the environment that was judged. So a flight from the seed of a judged episode is that episode.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import gymnasium as gym
import numpy as np

from fastlander.config import LANDER_ID, Backend
from fastlander.environments import check_box2d, find_spec, refusing
from fastlander.storage.model_file import load_model
from fastlander.streams import draw_seeds
from fastlander.validation import InputError, quoted

if TYPE_CHECKING:
    from fastlander.lander.flown import FlownLander

LONGEST = 10_000  # steps after which a flight stops, in an environment that never ends an episode

RenderMode = Literal["rgb_array", "human"]
NO_KWARGS: Mapping[str, Any] = MappingProxyType({})
"""The `env_kwargs` of a lander as it is by itself."""


class Step(NamedTuple):
    """One step of a flight: the action, and what the environment gave for it."""

    action: int
    obs: np.ndarray
    reward: float
    terminated: bool


def open_lander(
    backend: Backend | None = None,
    render_mode: RenderMode | None = None,
    env_kwargs: Mapping[str, Any] = NO_KWARGS,
) -> "gym.Env | FlownLander":
    """The lander that a backend's runs are judged on: the native one, or Gymnasium's for sync and async.

    Args:
        backend: of the run.
        render_mode: None shows nothing, rgb_array gives frames, human opens a window.
        env_kwargs: of the run (`Config.env_kwargs`).

    Raises:
        ValueError: it is Gymnasium's, and Box2D is missing; or it does not take these settings.
    """
    if backend in (None, "native"):
        from fastlander.lander.flown import FlownLander  # here, as other environments need no kernels

        return FlownLander(render_mode, **env_kwargs)
    check_box2d(f"a run of backend {backend}")
    with refusing(LANDER_ID, env_kwargs):
        return gym.make(LANDER_ID, render_mode=render_mode, **env_kwargs)


def fly(env: "gym.Env | FlownLander", greedy: Callable[[np.ndarray], np.ndarray], seed: int) -> Iterator[Step | None]:
    """One flight: None once the environment is reset, then each step.

    Args:
        env: of Gymnasium, or a native lander.
        greedy: float32[1, obs_size] -> int64[1], the policy.
        seed: of the episode.
    """
    obs, _ = env.reset(seed=seed)
    yield None
    for _ in range(LONGEST):
        action = int(greedy(np.asarray(obs, np.float32)[None])[0])
        obs, reward, terminated, truncated, _ = env.step(action)
        yield Step(action, obs, float(reward), terminated)
        if terminated or truncated:
            return


class Flight:
    """Flights of the policy of a run, drawn one by one. `fastlander.evaluate` plays the same episodes.

    Args:
        directory: run directory, with a model.safetensors.
        episodes: number of flights.
        seed: of the episodes, as for `evaluate`.
        render_mode: rgb_array gives frames, human opens a window.
        imports: modules that may be imported for the run's environment.

    Raises:
        ValueError: the directory has no model that fits its environment, or the environment cannot be rendered or needs
            a module that is not in `imports`.
    """

    def __init__(
        self,
        directory: str | Path,
        episodes: int,
        seed: int,
        render_mode: RenderMode,
        imports: Sequence[str] = (),
    ) -> None:
        self._q_network, config = load_model(directory, imports)
        spec = find_spec(config.env_id)
        try:
            if config.is_lander:
                self.env = open_lander(config.backend, render_mode, config.env_kwargs)
            else:
                self.env = gym.make(spec.id, render_mode=render_mode, **config.env_kwargs)
        except (gym.error.Error, ImportError, TypeError) as error:  # TypeError: it takes no render_mode
            got = f"{spec.id!r} ({quoted(error)})"
            raise InputError(f"directory must be of an environment that renders, got {got}") from None
        self.seeds = draw_seeds(np.random.default_rng(seed), episodes)
        self.frames_per_second = int(self.env.metadata.get("render_fps") or 30)
        self.returns: list[float] = []
        """Of the flights that have ended."""

    def frames(self) -> Iterator[np.ndarray | None]:
        """A frame before the first and after every step: uint8[height, width, 3], or None if a window shows it."""
        with closing(self.env) as env:
            for seed in self.seeds:
                total = 0.0
                for step in fly(env, self._q_network.greedy, seed):
                    total += step.reward if step else 0.0
                    yield env.render()
                self.returns.append(total)
