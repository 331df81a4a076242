"""`FlownLander`: one native lander that is flown to be shown, with what a picture needs to know of it."""

from contextlib import closing
from typing import Any, ClassVar, Literal

import numpy as np

from fastlander.lander.frames import FrameRenderer
from fastlander.lander.game import CHUNKS, FPS
from fastlander.lander.interface import MAX_EPISODE_STEPS, checked_variant
from fastlander.lander.pcg64 import start_stream
from fastlander.lander.pictures import Window
from fastlander.lander.stepper import Stepper
from fastlander.physics.bodies import NUM_BODIES
from fastlander.physics.state import CRASHED, GROUND, GROUND_CONTACT, ORIGIN, POSITION


class FlownLander:
    """A lander with Gymnasium's methods, stepped by the kernels of the vector environment.

    They are compiled already where a run was trained or judged. Those of `LunarLanderEnv` might not be.

    Args:
        render_mode: None, "rgb_array" or "human", which shows every step in a window.
        max_episode_steps: steps after which an episode is truncated.
        gravity, enable_wind, wind_power, turbulence_power: as of `LunarLanderVectorEnv`.

    Raises:
        gymnasium.error.DependencyNotInstalled: there is a render_mode, and pygame is missing.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_fps": FPS}

    def __init__(
        self,
        render_mode: Literal["rgb_array", "human"] | None = None,
        max_episode_steps: int = MAX_EPISODE_STEPS,
        gravity: float = -10.0,
        enable_wind: bool = False,
        wind_power: float = 15.0,
        turbulence_power: float = 1.5,
    ) -> None:
        self.render_mode = render_mode
        self._renderer, self._window = FrameRenderer() if render_mode else None, Window()
        variant = checked_variant(False, gravity, enable_wind, wind_power, turbulence_power, max_episode_steps)
        self._stepper = Stepper(1, 1, variant)
        self._all, self._none = np.ones(1, bool), np.zeros(1, bool)

    def reset(self, *, seed: int) -> tuple[np.ndarray, dict[str, Any]]:
        """Start the episode of a seed: (float32[8], {})."""
        start_stream(self._stepper.state.stream[:, 0], seed)
        self._stepper.step(self._all, self._all)
        return self._shown(self._stepper.exchange.obs[0].copy()), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Step the lander: (obs float32[8], reward, terminated, truncated, {}). ValueError for a wrong action."""
        self._stepper.load([action])
        self._stepper.step(self._all, self._none)
        obs, reward, terminated, truncated = (values[0] for values in self._stepper.results())
        return self._shown(obs), float(reward), bool(terminated), bool(truncated), {}

    def render(self) -> np.ndarray | None:
        """The picture of the lander, uint8[400, 600, 3], if render_mode is "rgb_array"."""
        return self._renderer.frame(self._stepper.state, 0) if self.render_mode == "rgb_array" else None

    def close(self) -> None:
        """Close the window and end the stepper."""
        with closing(self._stepper):
            self._window.close()

    @property
    def poses(self) -> np.ndarray:
        """Origin and angle of hull, leg and leg: float64[3, 3], m, m, rad."""
        f32 = self._stepper.state.f32
        return np.array(
            [(*f32[ORIGIN + 2 * body : ORIGIN + 2 * body + 2, 0], f32[POSITION + 3 * body + 2, 0])
             for body in range(NUM_BODIES)],
            np.float64,
        )  # fmt: skip

    @property
    def on_ground(self) -> tuple[bool, bool]:
        """Whether each leg touches the ground."""
        first, second = self._stepper.state.i32[GROUND_CONTACT : GROUND_CONTACT + 2, 0]
        return bool(first), bool(second)

    @property
    def crashed(self) -> bool:
        """Whether the hull has touched the ground."""
        return bool(self._stepper.state.i32[CRASHED, 0])

    @property
    def ground(self) -> list[float]:
        """Heights of the ground at x = 0, 2, .. 20 m, m."""
        return self._stepper.state.f64[GROUND : GROUND + CHUNKS, 0].tolist()

    def _shown(self, obs: np.ndarray) -> np.ndarray:
        if self.render_mode == "human":
            self._window.show([self._renderer.frame(self._stepper.state, 0)])
        return obs
