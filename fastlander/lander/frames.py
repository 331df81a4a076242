"""Pictures of native landers, drawn by Gymnasium's own renderer."""

import itertools

import numpy as np
from gymnasium.envs.box2d.lunar_lander import LunarLander

from fastlander.lander.game import CHUNKS, H, W
from fastlander.physics.bodies import NUM_BODIES
from fastlander.physics.state import GROUND, ORIGIN, POSITION, State


class FrameRenderer:
    """Puts the state of a native lander into one of Gymnasium's LunarLanders and has it drawn.

    It needs pygame, which `gymnasium[box2d]` installs.
    """

    def __init__(self) -> None:
        self._env = LunarLander(render_mode="rgb_array")
        self._env.reset(seed=0)

    def frame(self, state: State, i: int) -> np.ndarray:
        """The picture of lander i, without the engines' particles: uint8[400, 600, 3]."""
        env = self._env
        f32 = state.f32[:, i]
        for body in range(NUM_BODIES):
            position = (float(f32[ORIGIN + 2 * body]), float(f32[ORIGIN + 2 * body + 1]))
            env.drawlist[body].transform = (position, float(f32[POSITION + 3 * body + 2]))
        ground = [(W / (CHUNKS - 1) * k, float(state.f64[GROUND + k, i])) for k in range(CHUNKS)]
        env.sky_polys = [[a, b, (b[0], H), (a[0], H)] for a, b in itertools.pairwise(ground)]
        env._clean_particles(True)
        return env.render()

    def close(self) -> None:
        """Close Gymnasium's environment and its window surfaces."""
        self._env.close()
