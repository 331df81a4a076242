"""`python -m fastlander.play DIR`: show greedy episodes of a finished run in a window, or fly them by hand."""

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


def _play_by_hand(directory: str | None, episodes: int, seed: int, imports: Sequence[str]) -> None:
    """Let the player fly, beside the policy of a run if there is one, and print the returns of each episode."""
    import numpy as np

    from fastlander.streams import draw_seeds

    greedy, settings = None, {}
    if directory is not None:
        from fastlander.storage.model_file import load_model

        q_network, config = load_model(check_path("directory", directory), imports)
        if not config.is_lander:
            raise InputError(f"directory must be of a run on the lander with --human, got one on {config.env_id!r}")
        greedy, settings = q_network.greedy, dict(config.env_kwargs)
    from fastlander.viewing.human import fly_by_hand

    for returns in fly_by_hand(greedy, draw_seeds(np.random.default_rng(seed), episodes), **settings):
        beside = "" if greedy is None else f", the policy {returns[1]:.1f}"
        print_lines(f"You {returns[0]:.1f}{beside}")


def main(argv: Sequence[str] | None = None) -> int:
    """Show the episodes and print their returns; exit status as of `exit_status`."""
    from fastlander.arguments import Imports, OptionalDirectory, parse
    from fastlander.streams import BYTES_PER_SEED  # here, so that --help does not wait for NumPy

    def command(
        directory: OptionalDirectory = None, episodes: Count = 3, seed: Seed = 0, human: bool = False,
        imports: Imports = (),
    ) -> int:  # fmt: skip
        """Show greedy episodes of a finished run in a window, one after the other, or fly the lander by hand.

        Args:
            directory: Run directory, with a model.safetensors, or a model on a hub (owner/name). --human needs none.
            episodes: Number of episodes.
            seed: Seed of the episodes. With the same seed evaluate plays the same ones.
            human: Fly with the arrow keys, alone or beside the policy of the run. The first key begins, Escape ends.
            imports: Python module that the run's environment may import, and so run. May be given several times.
        """
        check("episodes", Count, episodes)
        check("seed", Seed, seed)
        check_memory("episodes", episodes, episodes * BYTES_PER_SEED)
        if directory is None and not human:
            raise InputError("play needs the directory of a run, or --human to fly without one")
        _check_screen()
        if human:
            _play_by_hand(directory, episodes, seed, imports)
            return 0
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
