"""`python -m fastlander.record DIR`: write greedy episodes of a finished run as GIF, MP4 or single frames."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from fastlander.memory import check_memory
from fastlander.storage.files import check_new, replacing, writing_output
from fastlander.storage.hub import output_directory
from fastlander.streams import BYTES_PER_SEED
from fastlander.terminal import exit_status, print_lines
from fastlander.validation import Count, Seed, check, check_path
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
    imports: Sequence[str] = (),
) -> tuple[Path, list[float]]:
    """Write pictures of greedy episodes of a run: (path of the file or directory, return of each episode).

    Args:
        directory: run directory, with a model.safetensors, or a model on a hub.
        output: new file to make, a new directory for frames. None is `flight.gif`, `flight.mp4` or `frames` in
            `directory`, or here for a model on a hub.
        format: gif, mp4 (needs imageio-ffmpeg) or frames (PNG files).
        episodes: number of episodes, one after the other.
        seed: of the episodes. With the same seed `fastlander.evaluate` plays the same ones.
        progress: show a bar.
        imports: modules that may be imported, where the run's environment is "module:id". They are imported.

    Raises:
        ValueError: the directory has no model, or one that does not fit its environment; the environment cannot be
            rendered, or needs a module that is not in `imports`; a number is out of range; the output exists or cannot
            be written; or imageio-ffmpeg is missing for mp4.
    """
    episodes, seed = check("episodes", Count, episodes), check("seed", Seed, seed)
    check_memory("episodes", episodes, episodes * BYTES_PER_SEED)
    directory = check_path("directory", directory)
    format = check("format", Format, format)
    if format == "mp4":
        load_ffmpeg()
    from fastlander.viewing.flight import Flight

    flight = Flight(directory, episodes, seed, "rgb_array", imports)
    name = "frames" if format == "frames" else f"flight.{format}"
    path = check_new(output_directory(directory) / name if output is None else check_path("output", output))
    write = {"gif": write_gif, "mp4": write_mp4, "frames": write_frames}[format]
    with writing_output(path), replacing(path) as temporary:
        write(temporary, _with_bar(flight.frames(), progress), flight.frames_per_second)
    return path, flight.returns


def _with_bar(frames: Iterable[np.ndarray], progress: bool) -> Iterator[np.ndarray]:
    """The same frames, with a bar on the terminal while they are taken, if there is one and `progress`."""
    from rich import get_console
    from rich.progress import track

    shown = progress and get_console().is_interactive
    return iter(track(frames, "recording", total=None, transient=True, disable=not shown))


def main(argv: Sequence[str] | None = None) -> int:
    """Write the pictures; exit status as of `exit_status`."""
    from fastlander.arguments import Directory, Imports, parse

    def command(
        directory: Directory, output: str | None = None, format: Format = "gif", episodes: Count = 1,
        seed: Seed = 0, imports: Imports = (),
    ) -> int:  # fmt: skip
        """Record greedy episodes of a finished run, on the lander or environment that they were judged on.

        Args:
            directory: Run directory, with a model.safetensors, or a model on a hub (owner/name).
            output: New file, or directory for frames. None is flight.gif, flight.mp4 or frames in the run directory.
            format: gif, mp4 (needs the extra fastlander[video]) or frames (a PNG file each).
            episodes: Number of episodes, one after the other.
            seed: Seed of the episodes. With the same seed evaluate plays the same ones.
            imports: Python module that the run's environment may import, and so run. May be given several times.
        """
        path, returns = record(
            directory, output, format=format, episodes=episodes, seed=seed, progress=True, imports=imports
        )
        scores = ", ".join(f"{score:.1f}" for score in returns)
        print_lines(f"Returns {scores}\nSaved in {path}")
        return 0

    hints = {"episodes": Count, "seed": Seed, "format": Format}
    return exit_status(PROG, lambda: parse(command, argv, PROG, hints))


if __name__ == "__main__":
    sys.exit(main())
