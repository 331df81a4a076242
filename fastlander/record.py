"""`python -m fastlander.record DIR`: greedy episodes of a finished run as GIF, MP4 or single frames."""

import contextlib
import itertools
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from fastlander.validation import Count, InputError, Natural, check, check_new, writing

PROG = "fastlander record"
Format = Literal["gif", "mp4", "frames"]
GIF_FPS = 25  # a browser shows no more than 50, and every second frame is enough to see a landing


def record(
    directory: str | Path,
    output: str | Path | None = None,
    *,
    format: Format = "gif",
    episodes: int = 1,
    seed: int = 0,
    progress: bool = False,
) -> tuple[Path, list[float]]:
    """Write what the policy of a run does: the file (or directory of frames), and each episode's return.

    Args:
        directory: of the run.
        output: file to make (for frames, directory); None is `flight.gif`, `flight.mp4` or `frames` in `directory`.
        format: gif, mp4 (needs imageio-ffmpeg) or frames (PNG files).
        episodes: played one after the other.
        seed: of the episodes, those that `fastlander.evaluate` plays.
        progress: show a bar.

    Raises:
        ValueError: no such policy, an output that exists or cannot be written, or no imageio-ffmpeg for mp4.
    """
    episodes, seed = check("episodes", Count, episodes), check("seed", Natural, seed)
    format = check("format", Format, format)
    if format == "mp4":
        _ffmpeg()
    from fastlander.viewing.flight import Flight

    flight = Flight(directory, episodes, seed, "rgb_array")
    name = "frames" if format == "frames" else f"flight.{format}"
    path = check_new(Path(directory) / name if output is None else Path(output))
    temporary = path.with_name(f".{path.stem}.tmp{path.suffix}")
    write = {"gif": _write_gif, "mp4": _write_mp4, "frames": _write_frames}[format]
    try:
        with writing(path):
            write(temporary, _shown(flight.frames(), progress), flight.frames_per_second)
            os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        with contextlib.suppress(OSError):
            temporary.unlink()
    return path, flight.returns


def _shown(frames: Iterable[np.ndarray], progress: bool) -> Iterator[np.ndarray]:
    from rich.progress import track

    return iter(track(frames, "recording", total=None, transient=True, disable=not progress))


def _write_gif(path: Path, frames: Iterator[np.ndarray], fps: int) -> None:
    from PIL import Image

    stride = max(1, round(fps / GIF_FPS))
    images = (Image.fromarray(frame) for frame in itertools.islice(frames, 0, None, stride))
    next(images).save(
        path, format="GIF", save_all=True, append_images=images, duration=round(1000 * stride / fps), loop=0
    )


def _write_mp4(path: Path, frames: Iterator[np.ndarray], fps: int) -> None:
    first = next(frames)
    height, width, _ = first.shape
    writer = _ffmpeg().write_frames(str(path), (width, height), fps=fps, macro_block_size=1, ffmpeg_log_level="error")
    writer.send(None)
    for frame in itertools.chain([first], frames):
        writer.send(np.ascontiguousarray(frame))
    writer.close()


def _write_frames(path: Path, frames: Iterator[np.ndarray], fps: int) -> None:
    from PIL import Image

    path.mkdir()
    for k, frame in enumerate(frames):
        Image.fromarray(frame).save(path / f"{k:06d}.png")


def _ffmpeg():
    try:
        import imageio_ffmpeg
    except ImportError:
        raise InputError("format mp4 needs imageio-ffmpeg: pip install 'fastlander[video]'") from None
    return imageio_ffmpeg


def main(argv: Sequence[str] | None = None) -> int:
    """Command line to a file; exit status 0, or 2 for bad input."""
    from fastlander.arguments import Directory, exit_status, parse

    def command(
        directory: Directory, output: str | None = None, format: Format = "gif", episodes: Count = 1,
        seed: Natural = 0,
    ) -> int:  # fmt: skip
        """Record greedy episodes of a finished run, as Gymnasium's own environment renders them.

        Args:
            directory: Run directory, with a model.safetensors.
            output: File to make (for frames, a directory); None is flight.gif, flight.mp4 or frames in the directory.
            format: gif, mp4 (needs the extra fastlander[video]) or frames (a PNG file each).
            episodes: Episodes, one after the other.
            seed: Seed of the episodes, those that evaluate plays.
        """
        path, returns = record(directory, output, format=format, episodes=episodes, seed=seed, progress=True)
        scores = ", ".join(f"{score:.1f}" for score in returns)
        print(f"Returns {scores}\nSaved in {path}")
        return 0

    hints = {"episodes": Count, "seed": Natural, "format": Format}
    return exit_status(PROG, lambda: parse(command, argv, PROG, hints))


if __name__ == "__main__":
    sys.exit(main())
