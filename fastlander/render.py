"""Frames to a notebook animation."""

from collections.abc import Sequence

import numpy as np

from fastlander.validation import Count, InputError, check


class FrameAnimation:
    """An animation that a notebook shows when it is a cell's last expression; `html` is the player's markup."""

    def __init__(self, html: str) -> None:
        self.html = html

    def _repr_html_(self) -> str:
        return self.html


def show(frames: Sequence[np.ndarray], jump: int = 10) -> FrameAnimation:
    """Every `jump`-th frame as a notebook animation with play, pause and scrub (matplotlib's `to_jshtml`).

    Args:
        frames: uint8[H, W, 3] each, as `env.render()` gives them with render_mode="rgb_array".
        jump: keep one frame in so many, at least 1.

    Raises:
        ValueError: there are no frames, one is no picture, or `jump` is no positive integer.
    """
    from matplotlib.animation import FuncAnimation
    from matplotlib.figure import Figure

    kept = list(frames)[:: check("jump", Count, jump)]
    if not kept:
        raise InputError("frames must hold at least one picture, got none")
    for frame in kept:
        if np.ndim(frame) != 3:
            got = 'None (is render_mode="rgb_array"?)' if frame is None else f"shape {np.shape(frame)}"
            raise InputError(f"frames must be arrays [height, width, 3], got {got}")
    height, width = kept[0].shape[:2]
    figure = Figure(figsize=(6, 6 * height / width))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.axis("off")
    image = axes.imshow(kept[0])

    def update(i: int) -> tuple:
        image.set_data(kept[i])
        return (image,)

    return FrameAnimation(FuncAnimation(figure, update, frames=len(kept), interval=20 * jump).to_jshtml())
