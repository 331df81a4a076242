"""What an environment shows in each `render_mode`: pictures, lists of pictures, or a window."""

import math
from typing import TYPE_CHECKING

import numpy as np

from fastlander.lander.frames import FrameRenderer
from fastlander.lander.game import FPS
from fastlander.physics.state import State
from fastlander.validation import InputError, quoted

if TYPE_CHECKING:
    import pygame

RENDER_MODES = ("human", "rgb_array", "rgb_array_list")
WINDOW_SIZE = (1200, 800)  # pixels that the window has at most


class Pictures:
    """Pictures of N landers in a render mode, by Gymnasium's renderer and without the engines' particles.

    Args:
        mode: "rgb_array" draws when it is asked to. "rgb_array_list" draws after every step and collects the pictures
            of a lander until they are asked for, or until the lander is reset. "human" draws after every step into one
            window, in which all landers stand side by side.
        num_envs: N.
    """

    def __init__(self, mode: str, num_envs: int) -> None:
        self.mode, self._num_envs = mode, num_envs
        self._lists: list[list[np.ndarray]] = [[] for _ in range(num_envs)]
        self._renderer: FrameRenderer | None = None
        self._window = Window()

    def follow(self, state: State, todo: np.ndarray, fresh: np.ndarray) -> None:
        """Take note that the landers in `todo` were stepped, and those in `fresh` reset. todo, fresh: bool[N]."""
        if self.mode == "human":
            self._window.show([self._frame(state, i) for i in range(self._num_envs)])
        elif self.mode == "rgb_array_list":
            for i in np.flatnonzero(todo).tolist():
                if fresh[i]:
                    self._lists[i] = []
                self._lists[i].append(self._frame(state, i))

    def render(self, state: State) -> tuple:
        """For each lander what Gymnasium's `render` gives: a picture uint8[400, 600, 3], a list of them, or None."""
        if self.mode == "human":
            return (None,) * self._num_envs
        if self.mode == "rgb_array_list":
            lists, self._lists = self._lists, [[] for _ in range(self._num_envs)]
            return tuple(lists)
        return tuple(self._frame(state, i) for i in range(self._num_envs))

    def close(self) -> None:
        """Close the window, if there is one."""
        self._window.close()

    def _frame(self, state: State, i: int) -> np.ndarray:
        if self._renderer is None:
            self._renderer = FrameRenderer()
        return self._renderer.frame(state, i)


class Window:
    """A window that shows pictures side by side, at the lander's own speed of 50 steps per second."""

    def __init__(self) -> None:
        self._screen: pygame.Surface | None = None
        self._clock: pygame.time.Clock | None = None

    def show(self, frames: list[np.ndarray], title: str | None = None) -> None:
        """Show the pictures, uint8[height, width, 3] each, and wait until the next one is due.

        title: of the window from now on. None leaves it as it is.

        Raises:
            ValueError: there is no screen.
        """
        import pygame

        height, width = frames[0].shape[:2]
        columns = math.ceil(math.sqrt(len(frames)))
        rows = math.ceil(len(frames) / columns)
        scale = min(1.0, WINDOW_SIZE[0] / (columns * width), WINDOW_SIZE[1] / (rows * height))
        size = max(1, int(width * scale)), max(1, int(height * scale))
        if self._screen is None:
            try:
                pygame.display.init()
                self._screen = pygame.display.set_mode((columns * size[0], rows * size[1]))
            except pygame.error as error:
                raise InputError(f"render_mode 'human' needs a screen, got none ({quoted(error)})") from None
            self._clock = pygame.time.Clock()
        if title is not None:
            pygame.display.set_caption(title)
        for k, frame in enumerate(frames):
            picture = pygame.surfarray.make_surface(frame.transpose(1, 0, 2))
            place = k % columns * size[0], k // columns * size[1]
            self._screen.blit(pygame.transform.smoothscale(picture, size), place)
        pygame.event.pump()
        pygame.display.flip()
        self._clock.tick(FPS)

    def close(self) -> None:
        """Close the window, if it was opened."""
        if self._screen is not None:
            import pygame

            pygame.display.quit()
            self._screen = None
