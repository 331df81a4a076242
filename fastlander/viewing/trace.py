"""What a landing looked like, small enough for a page: where hull and legs were, what fired, what it was worth."""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np

from fastlander.viewing.flight import fly

UNIT = 1000  # poses are whole millimetres and milliradians, which no screen can tell from the numbers behind them
LEGS = (4, 8)  # added to the action in `events` where that leg of `LunarLander.legs` touches the ground


@dataclass(frozen=True)
class Trace:
    """One episode of T steps; frame t shows the lander after t of them."""

    seed: int
    fps: int  # steps per second of the lander's own time
    outcome: str  # landed, crashed, flew away or ran out of time
    ground: list[float]  # m, height of the moon at x = 0, 2, .. 20
    poses: np.ndarray  # int16[T + 1, 3 bodies, 3]: x, y in mm and angle in mrad of hull, leg and leg
    events: np.ndarray  # uint8[T + 1]: action taken from here (0 at the end) and which legs touch the ground
    scores: np.ndarray  # float64[T + 1]: sum of the rewards so far

    @property
    def score(self) -> float:
        """Return of the episode."""
        return float(self.scores[-1])

    def to_json(self) -> dict[str, Any]:
        """What `web/replay.js` draws; some 23 bytes a step, a third more in base64."""
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


def trace(env: gym.Env, greedy: Callable[[np.ndarray], np.ndarray], seed: int) -> Trace:
    """Fly one episode and note everything that a picture of it needs.

    Args:
        env: Gymnasium's LunarLander (`gym.make("LunarLander-v3")`), which need not render.
        greedy: float32[1, 8] -> int64[1].
        seed: of the episode.
    """
    lander = env.unwrapped
    poses, events, rewards, end = [], [], [0.0], None
    for step in fly(env, greedy, seed):
        poses.append([(*body.position, body.angle) for body in (lander.lander, *lander.legs)])
        events.append(sum(leg * body.ground_contact for leg, body in zip(LEGS, lander.legs, strict=True)))
        if step is not None:
            events[-2] += step.action
            rewards.append(step.reward)
            end = step
    scale = np.array(poses) * UNIT
    scale[..., 2] = np.remainder(scale[..., 2] + np.pi * UNIT, 2 * np.pi * UNIT) - np.pi * UNIT  # a tumbling lander
    limits = np.iinfo(np.int16)
    ground = [polygon[0][1] for polygon in lander.sky_polys] + [lander.sky_polys[-1][1][1]]
    return Trace(
        seed=seed,
        fps=env.metadata["render_fps"],
        outcome=_outcome(end.terminated, end.reward, lander.game_over),
        ground=[float(height) for height in ground],
        poses=scale.round().clip(limits.min, limits.max).astype(np.int16),
        events=np.array(events, np.uint8),
        scores=np.cumsum(rewards),
    )


def _outcome(terminated: bool, last_reward: float, crashed: bool) -> str:
    if not terminated:
        return "ran out of time"
    if last_reward == 100:
        return "landed"
    return "crashed" if crashed else "flew away"


def _base64(array: np.ndarray) -> str:
    return base64.b64encode(array.tobytes()).decode()
