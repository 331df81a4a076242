"""`Trace`: the data of one flight, small enough for a page: poses of hull and legs, engines, rewards."""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np

from fastlander.viewing.flight import fly

if TYPE_CHECKING:
    from fastlander.lander.flown import FlownLander

UNIT = 1000  # poses are in whole millimetres and milliradians, finer than any screen shows
LEG_BITS = (4, 8)  # bit of each leg of `LunarLander.legs` in `Trace.events`; the two bits below are the action


@dataclass(frozen=True)
class Trace:
    """The data of one flight of T steps. Entry t of an array is after t steps."""

    seed: int
    fps: int  # steps per second of the lander's own time
    outcome: str  # "landed", "crashed", "flew away" or "ran out of time"
    ground: list[float]  # m, height of the ground at x = 0, 2, .. 20 m
    poses: np.ndarray  # int16[T + 1, 3 bodies, 3]: x, y in mm and angle in mrad of hull, leg and leg
    events: np.ndarray  # uint8[T + 1]: the next action (0 at the end) + `LEG_BITS` of the legs on the ground
    scores: np.ndarray  # float64[T + 1]: sum of the rewards up to here

    @property
    def score(self) -> float:
        """Return of the flight: the sum of all its rewards."""
        return float(self.scores[-1])

    def to_json(self) -> dict[str, Any]:
        """The record that `web/replay.js` draws, for JSON: arrays in base64, little-endian; some 31 bytes a step."""
        return {
            "seed": self.seed,
            "outcome": self.outcome,
            "score": self.score,
            "fps": self.fps,
            "ground": [round(height, 3) for height in self.ground],
            "poses": _base64(self.poses.astype("<i2")),
            "events": _base64(self.events),
            "scores": _base64(self.scores.astype("<f4")),
        }


def trace_flight(env: "gym.Env | FlownLander", greedy: Callable[[np.ndarray], np.ndarray], seed: int) -> Trace:
    """Fly one episode and record what a picture of it needs.

    Args:
        env: a lander of `open_lander`, the native one or Gymnasium's. It is not rendered.
        greedy: float32[1, 8] -> int64[1], the policy.
        seed: of the episode.
    """
    lander = _Box2DLander(env.unwrapped) if isinstance(env, gym.Env) else env
    poses, events, rewards, end = [], [], [0.0], None
    for step in fly(env, greedy, seed):
        poses.append(lander.poses)
        events.append(sum(leg * touches for leg, touches in zip(LEG_BITS, lander.on_ground, strict=True)))
        if step is not None:
            events[-2] += step.action
            rewards.append(step.reward)
            end = step
    scaled = np.array(poses) * UNIT
    # To [-pi, pi): the angle of a lander that tumbles would leave the range of int16.
    scaled[..., 2] = np.remainder(scaled[..., 2] + np.pi * UNIT, 2 * np.pi * UNIT) - np.pi * UNIT
    limits = np.iinfo(np.int16)
    return Trace(
        seed=seed,
        fps=env.metadata["render_fps"],
        outcome=_outcome(end.terminated, end.reward, lander.crashed),
        ground=lander.ground,
        poses=scaled.round().clip(limits.min, limits.max).astype(np.int16),
        events=np.array(events, np.uint8),
        scores=np.cumsum(rewards),
    )


class _Box2DLander:
    """Gymnasium's LunarLander, asked what a `FlownLander` is asked."""

    def __init__(self, env: Any) -> None:
        self._env = env

    @property
    def poses(self) -> list[tuple[float, float, float]]:
        return [(*body.position, body.angle) for body in (self._env.lander, *self._env.legs)]

    @property
    def on_ground(self) -> list[bool]:
        return [leg.ground_contact for leg in self._env.legs]

    @property
    def crashed(self) -> bool:
        return self._env.game_over

    @property
    def ground(self) -> list[float]:
        polygons = self._env.sky_polys
        return [float(point[1]) for point in (*(polygon[0] for polygon in polygons), polygons[-1][1])]


def _outcome(terminated: bool, last_reward: float, crashed: bool) -> str:
    """How a flight ended; LunarLander gives 100 as last reward where the lander came to rest."""
    if not terminated:
        return "ran out of time"
    if last_reward == 100:
        return "landed"
    return "crashed" if crashed else "flew away"


def _base64(array: np.ndarray) -> str:
    return base64.b64encode(array.tobytes()).decode()
