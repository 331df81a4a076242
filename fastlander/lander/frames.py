"""Pictures of native landers, drawn by pygame as Gymnasium's `LunarLander.render` does, but without Box2D."""

import itertools
from typing import Any

import numpy as np
from gymnasium.error import DependencyNotInstalled

from fastlander.lander.game import CHUNKS, HELIPAD_Y, SCALE, VIEWPORT_H, VIEWPORT_W, H, W
from fastlander.physics.bodies import LANDER_SHAPE, LEG_SHAPE, NUM_BODIES
from fastlander.physics.state import GROUND, ORIGIN, ROTATION, State

# Gymnasium's colours: of a body and of its outline, of the sky, the ground, and the poles and flags of the helipad.
BODY, OUTLINE = (128, 102, 230), (77, 77, 128)
SKY, GROUND_COLOR, POLE, FLAG = (0, 0, 0), (255, 255, 255), (255, 255, 255), (204, 204, 0)
_PIXELS = np.float32(SCALE)  # Box2D's vectors are float32, and so is their product with a number


class FrameRenderer:
    """Draws native landers. The pictures are Gymnasium's to the pixel, without the engines' particles.

    Raises:
        gymnasium.error.DependencyNotInstalled: pygame is missing.
    """

    def __init__(self) -> None:
        try:
            import pygame
            import pygame.gfxdraw
        except ImportError as error:
            raise DependencyNotInstalled("pygame is not installed, run `pip install pygame`") from error
        self._pygame = pygame

    def frame(self, state: State, i: int) -> np.ndarray:
        """The picture of lander i: uint8[400, 600, 3]."""
        pixels = self._pygame.surfarray.pixels3d(self._draw(state, i))
        return np.transpose(np.array(pixels), axes=(1, 0, 2))

    def _draw(self, state: State, i: int) -> Any:
        """A pygame surface. Gymnasium draws with y upwards and turns the picture over at the end."""
        pygame = self._pygame
        surface = pygame.Surface((VIEWPORT_W, VIEWPORT_H))
        pygame.draw.rect(surface, GROUND_COLOR, surface.get_rect())
        ground = [(W / (CHUNKS - 1) * k, float(state.f64[GROUND + k, i])) for k in range(CHUNKS)]
        for a, b in itertools.pairwise(ground):
            sky = [(x * SCALE, y * SCALE) for x, y in (a, b, (b[0], H), (a[0], H))]
            pygame.draw.polygon(surface, SKY, sky)
            pygame.gfxdraw.aapolygon(surface, sky, SKY)
        for body in range(NUM_BODIES):
            path = outline(state, i, body)
            pygame.draw.polygon(surface, color=BODY, points=path)
            pygame.gfxdraw.aapolygon(surface, path, BODY)
            pygame.draw.aalines(surface, color=OUTLINE, points=path, closed=True)
            # Gymnasium draws the flags once for each body. Each time their smoothed edges become darker.
            for k in (CHUNKS // 2 - 1, CHUNKS // 2 + 1):
                self._draw_flag(surface, ground[k][0] * SCALE, HELIPAD_Y * SCALE)
        return pygame.transform.flip(surface, False, True)

    def _draw_flag(self, surface: Any, x: float, bottom: float) -> None:
        top = bottom + 50
        flag = [(x, top), (x, top - 10), (x + 25, top - 5)]
        self._pygame.draw.line(surface, color=POLE, start_pos=(x, bottom), end_pos=(x, top), width=1)
        self._pygame.draw.polygon(surface, color=FLAG, points=flag)
        self._pygame.gfxdraw.aapolygon(surface, flag, FLAG)


def outline(state: State, i: int, body: int) -> list[tuple[float, float]]:
    """The vertices of a body of lander i in pixels: b2Mul of its transform and its shape, times Gymnasium's SCALE."""
    sine, cosine, x, y = (state.f32[row + 2 * body + k, i] for row in (ROTATION, ORIGIN) for k in range(2))
    shape = LANDER_SHAPE if body == 0 else LEG_SHAPE
    xs = (cosine * shape.vertices_x - sine * shape.vertices_y + x) * _PIXELS
    ys = (sine * shape.vertices_x + cosine * shape.vertices_y + y) * _PIXELS
    return list(zip(xs.tolist(), ys.tolist(), strict=True))
