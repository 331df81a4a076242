"""Gymnasium's picture of a native lander: its own renderer, shown the native state."""

import itertools

import numpy as np
from gymnasium.envs.box2d.lunar_lander import LunarLander

from fastlander.lander.game import CHUNKS, H, W
from fastlander.physics.bodies import NUM_BODIES
from fastlander.physics.state import GROUND, ORIGIN, POSITION, State


class FrameRenderer:
    """Draws states through one LunarLander of Gymnasium's; it needs pygame (gymnasium[box2d] brings it)."""

    def __init__(self) -> None:
        self._env = LunarLander(render_mode="rgb_array")
        self._env.reset(seed=0)

    def frame(self, state: State, i: int) -> np.ndarray:
        """Lander i as Gymnasium draws it, without the engines' particles: uint8[400, 600, 3]."""
        env = self._env
        real = state.real[:, i]
        for body in range(NUM_BODIES):
            position = (float(real[ORIGIN + 2 * body]), float(real[ORIGIN + 2 * body + 1]))
            env.drawlist[body].transform = (position, float(real[POSITION + 3 * body + 2]))
        ground = [(W / (CHUNKS - 1) * k, float(state.wide[GROUND + k, i])) for k in range(CHUNKS)]
        env.sky_polys = [[a, b, (b[0], H), (a[0], H)] for a, b in itertools.pairwise(ground)]
        env._clean_particles(True)
        return env.render()

    def close(self) -> None:
        """Free the surfaces."""
        self._env.close()
