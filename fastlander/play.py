"""`python -m fastlander.play DIR`: show greedy episodes of a finished run in a window."""

import os
import sys
from collections.abc import Sequence

from fastlander.memory import check_memory
from fastlander.terminal import exit_status, print_lines
from fastlander.validation import Count, InputError, Seed, check, check_path

PROG = "fastlander play"


def _check_screen() -> None:
    """ValueError if there is no screen. SDL, which draws the window, would then draw to nowhere and not say so."""
    if sys.platform == "linux" and not any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"))):
        raise InputError("play needs a screen, and DISPLAY is not set; `fastlander record` writes a file instead")


def main(argv: Sequence[str] | None = None) -> int:
    """Show the episodes and print their returns; exit status as of `exit_status`."""
    from fastlander.arguments import Directory, Imports, parse
    from fastlander.streams import BYTES_PER_SEED  # here, so that --help does not wait for NumPy

    def command(directory: Directory, episodes: Count = 3, seed: Seed = 0, imports: Imports = ()) -> int:
        """Show greedy episodes of a finished run in a window, one after the other.

        Args:
            directory: Run directory, with a model.safetensors, or a model on a hub (owner/name).
            episodes: Number of episodes.
            seed: Seed of the episodes. With the same seed evaluate plays the same ones.
            imports: Python module that the run's environment may import, and so run. May be given several times.
        """
        check("episodes", Count, episodes)
        check("seed", Seed, seed)
        check_memory("episodes", episodes, episodes * BYTES_PER_SEED)
        _check_screen()
        from fastlander.viewing.flight import Flight

        flight = Flight(check_path("directory", directory), episodes, seed, "human", imports)
        for _ in flight.frames():
            pass
        print_lines("Returns " + ", ".join(f"{score:.1f}" for score in flight.returns))
        return 0

    hints = {"episodes": Count, "seed": Seed}
    return exit_status(PROG, lambda: parse(command, argv, PROG, hints))


if __name__ == "__main__":
    sys.exit(main())
