"""`python -m fastlander.card DIR`: write a folder for a model hub, with a model card, the policy, and a video."""

import json
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated, Literal

from fastlander.storage.card import CARD_DIRECTORY, README_FILE, RESULTS_FILE, VIDEO_FILE, digest
from fastlander.storage.files import CONFIG_FILE, ONNX_FILE, check_new, replacing, writing_output
from fastlander.storage.hub import output_directory
from fastlander.terminal import exit_status, print_lines
from fastlander.validation import LARGEST, Range, Seed, check, check_path

PROG = "fastlander card"
Episodes = Annotated[int, Range(low=10, high=LARGEST)]
"""Of the evaluation. The row of the best evaluation needs ten."""
Video = Literal["mp4", "gif", "none"]


def write_card(
    directory: str | Path,
    output: str | Path | None = None,
    *,
    episodes: int = 10_000,
    seed: int = 0,
    video: Video = "mp4",
    onnx: bool = True,
    imports: Sequence[str] = (),
) -> Path:
    """Write a folder for a model hub: README.md, model.safetensors, config.json, results.json, model.onnx, replay.mp4.

    README.md is a model card, with metadata in the format of the Hugging Face hub. The folder is whole or not there. It
    says nothing of where it was made. The folder's path is returned.

    Args:
        directory: run directory, with a model.safetensors, or a model on a hub.
        output: new folder to make. None is `card` in `directory`.
        episodes: greedy episodes that the results are of, at least 10.
        seed: of the episodes, as for `evaluate`.
        video: of the first episode: mp4 (needs imageio-ffmpeg), gif or none.
        onnx: also write the policy as ONNX (needs the extra fastlander[onnx]).
        imports: modules that may be imported, where the run's environment is "module:id". They are imported.

    Raises:
        ValueError: the directory has no model, or one that does not fit its environment; the environment needs a module
            that is not in `imports`, or cannot be rendered for a video; a number is out of range; the output exists or
            cannot be written; or a package is missing.
    """
    episodes, seed = check("episodes", Episodes, episodes), check("seed", Seed, seed)
    video, onnx = check("video", Video, video), check("onnx", bool, onnx)
    directory = check_path("directory", directory)
    default = output_directory(directory) / CARD_DIRECTORY
    path = check_new(default if output is None else check_path("output", output))
    from fastlander.evaluate import evaluate_run  # here, so that --help does not wait for torch and numba
    from fastlander.export import check_packages, export_onnx
    from fastlander.record import record
    from fastlander.storage.model_file import load_model, save_model
    from fastlander.viewing.flight import Flight
    from fastlander.viewing.model_card import model_card, results_record
    from fastlander.viewing.video import load_ffmpeg

    if video == "mp4":
        load_ffmpeg()
    if onnx:
        check_packages()
    q_network, config = load_model(directory, imports)
    if video != "none":
        with closing(Flight(directory, 1, seed, "rgb_array", imports).env):
            pass  # An environment that cannot be rendered is refused now, not after all episodes.
    film = None if video == "none" else f"{VIDEO_FILE}.{video}"
    with writing_output(path), replacing(path) as folder:
        folder.mkdir()
        # The model is written anew, as that of an earlier version names the directory of its run. What is in the folder
        # is what is evaluated.
        model = save_model(folder, q_network, config)
        (folder / CONFIG_FILE).write_text(json.dumps(config.result_settings(), indent=2) + "\n", encoding="utf-8")
        _, evaluation = evaluate_run(folder, episodes, seed, imports=imports)
        if film is not None:
            record(folder, folder / film, format=video, seed=seed, imports=imports)
        if onnx:
            export_onnx(folder, folder / ONNX_FILE, imports=imports)
        results = results_record(config, evaluation, seed, digest(model.read_bytes()))
        (folder / RESULTS_FILE).write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
        text = model_card(config, results, q_network.sizes, film, onnx)
        (folder / README_FILE).write_text(text, encoding="utf-8")
    return path


def main(argv: Sequence[str] | None = None) -> int:
    """Write the folder; exit status as of `exit_status`."""
    from fastlander.arguments import Directory, Imports, parse

    def command(
        directory: Directory, output: str | None = None, episodes: Episodes = 10_000, seed: Seed = 0,
        video: Video = "mp4", onnx: bool = True, imports: Imports = (),
    ) -> int:  # fmt: skip
        """Write a folder for a model hub: a model card with results, the policy, its ONNX, its settings and a video.

        `fastlander push` uploads it.

        Args:
            directory: Run directory, with a model.safetensors, or a model on a hub (owner/name).
            output: New folder to make. None is card in the run directory.
            episodes: Number of greedy episodes that the results are of.
            seed: Seed of the episodes. With the same seed evaluate plays the same ones.
            video: Video of the first episode. mp4 needs the extra fastlander[video].
            onnx: Also write the policy as ONNX. Needs the extra fastlander[onnx].
            imports: Python module that the run's environment may import, and so run. May be given several times.
        """
        path = write_card(directory, output, episodes=episodes, seed=seed, video=video, onnx=onnx, imports=imports)
        print_lines(f"Saved in {path}")
        return 0

    hints = {"episodes": Episodes, "seed": Seed, "video": Video}
    return exit_status(PROG, lambda: parse(command, argv, PROG, hints))


if __name__ == "__main__":
    sys.exit(main())
