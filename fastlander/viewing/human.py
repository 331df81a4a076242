"""Landings flown by hand with the arrow keys, beside a policy on the same episode if there is one."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Any

import numpy as np

from fastlander.lander.flown import FlownLander
from fastlander.lander.game import FPS
from fastlander.lander.pictures import Window

NOTHING, LEFT_ENGINE, MAIN_ENGINE, RIGHT_ENGINE = range(4)
TITLE = "Arrow keys: up is the main engine, left and right tilt. Escape ends."


class Ended(Exception):
    """Escape was pressed, or the window was closed."""


class Keys:
    """The arrow keys that are held down, in the order in which they were pressed.

    One engine fires at a time: that of the key pressed last. What Gymnasium calls the left engine tilts the lander to
    the left and pushes it there.
    """

    def __init__(self) -> None:
        import pygame

        self._pygame = pygame
        self._engines = {pygame.K_UP: MAIN_ENGINE, pygame.K_LEFT: LEFT_ENGINE, pygame.K_RIGHT: RIGHT_ENGINE}
        self._held: list[int] = []

    def action(self) -> int:
        """The lander's action by the keys as they are now.

        Raises:
            Ended: the player has had enough.
        """
        for event in self._pygame.event.get():
            if event.type == self._pygame.QUIT:
                raise Ended
            if event.type == self._pygame.KEYDOWN:
                if event.key == self._pygame.K_ESCAPE:
                    raise Ended
                if event.key in self._engines and event.key not in self._held:
                    self._held.append(event.key)
            elif event.type == self._pygame.KEYUP and event.key in self._held:
                self._held.remove(event.key)
        return self._engines[self._held[-1]] if self._held else NOTHING


def fly_by_hand(
    greedy: Callable[[np.ndarray], np.ndarray] | None, seeds: Sequence[int], **settings: Any
) -> Iterator[list[float]]:
    """The returns of each episode that is flown to its end: the player's, and the policy's if there is one.

    Player and policy fly the same episode side by side in one window, at the lander's own speed. It begins when an
    arrow key is pressed. A lander that has landed or crashed stands still until the other one has, too, and a second
    longer. Escape, or closing the window, ends everything.

    Args:
        greedy: the policy, float32[1, 8] -> int64[1].
        seeds: of the episodes.
        **settings: of the lander, as `FlownLander` takes them.

    Raises:
        ValueError: there is no screen.
    """
    with contextlib.ExitStack() as stack, contextlib.suppress(Ended):
        window = stack.enter_context(closing(Window()))
        count = 1 if greedy is None else 2
        landers = [stack.enter_context(closing(FlownLander("rgb_array", **settings))) for _ in range(count)]
        for seed in seeds:
            yield _fly_one(landers, greedy, seed, window)


def _fly_one(
    landers: Sequence[FlownLander], greedy: Callable[[np.ndarray], np.ndarray] | None, seed: int, window: Window
) -> list[float]:
    """The returns of one episode, flown by the player in the first lander and by the policy in the second."""
    obs = [lander.reset(seed=seed)[0] for lander in landers]
    returns, flying = [0.0] * len(landers), [True] * len(landers)
    frames = [lander.render() for lander in landers]
    window.show(frames, TITLE)
    keys = Keys()
    while not (action := keys.action()):
        window.show(frames)
    while any(flying):
        for i, lander in enumerate(landers):
            if not flying[i]:
                continue
            chosen = action if i == 0 else int(greedy(obs[i][None])[0])
            obs[i], reward, terminated, truncated, _ = lander.step(chosen)
            returns[i] += reward
            flying[i] = not (terminated or truncated)
            frames[i] = lander.render()
        window.show(frames)
        action = keys.action()
    for _ in range(FPS):
        window.show(frames)
        keys.action()
    return returns
