"""`python -m fastlander.record DIR`: greedy episodes of a finished run as GIF, MP4 or single frames."""

import contextlib
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from fastlander.storage.files import check_new, writing
from fastlander.validation import Count, Natural, check
from fastlander.viewing.video import load_ffmpeg, write_frames, write_gif, write_mp4

PROG = "fastlander record"
Format = Literal["gif", "mp4", "frames"]


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
        load_ffmpeg()
    from fastlander.viewing.flight import Flight

    flight = Flight(directory, episodes, seed, "rgb_array")
    name = "frames" if format == "frames" else f"flight.{format}"
    path = check_new(Path(directory) / name if output is None else Path(output))
    temporary = path.with_name(f".{path.stem}.tmp{path.suffix}")
    write = {"gif": write_gif, "mp4": write_mp4, "frames": write_frames}[format]
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
