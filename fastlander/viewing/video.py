"""Frames to files: a GIF, an MP4, or a PNG file each."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fastlander.validation import InputError

GIF_FPS = 25  # frames per second; browsers show at most 50, and half of that is enough to see a landing


def write_gif(path: Path, frames: Iterator[np.ndarray], fps: int) -> None:
    """Write frames as a GIF of about `GIF_FPS` frames per second, by leaving frames out.

    Args:
        path: of the file.
        frames: uint8[height, width, 3], at least one.
        fps: frames per second to play them at.
    """
    from PIL import Image

    stride = max(1, round(fps / GIF_FPS))
    images = (Image.fromarray(frame) for frame in itertools.islice(frames, 0, None, stride))
    next(images).save(
        path, format="GIF", save_all=True, append_images=images, duration=round(1000 * stride / fps), loop=0
    )


def write_mp4(path: Path, frames: Iterator[np.ndarray], fps: int) -> None:
    """Write frames as an MP4, by ffmpeg. Arguments as for `write_gif`. ValueError if imageio-ffmpeg is missing."""
    first = next(frames)
    height, width, _ = first.shape
    writer = load_ffmpeg().write_frames(
        str(path), (width, height), fps=fps, macro_block_size=1, ffmpeg_log_level="error"
    )
    writer.send(None)
    for frame in itertools.chain([first], frames):
        writer.send(np.ascontiguousarray(frame))
    writer.close()


def write_frames(path: Path, frames: Iterator[np.ndarray], fps: int) -> None:
    """Write each frame as a PNG file, 000000.png and so on, in the new directory `path`. `fps` is not used."""
    from PIL import Image

    path.mkdir()
    for k, frame in enumerate(frames):
        Image.fromarray(frame).save(path / f"{k:06d}.png")


def load_ffmpeg() -> Any:
    """The module imageio_ffmpeg. ValueError if it is not installed."""
    try:
        import imageio_ffmpeg
    except ImportError:
        raise InputError("format mp4 needs imageio-ffmpeg: pip install 'fastlander[video]'") from None
    return imageio_ffmpeg
