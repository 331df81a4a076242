"""The folder that `fastlander card` writes for a model hub: its files, and what is checked before they are uploaded."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from fastlander.storage.files import CONFIG_FILE, MODEL_FILE, ONNX_FILE, reason
from fastlander.storage.reading import LARGEST_MODEL, LARGEST_SETTINGS, parse_json, read_file
from fastlander.validation import InputError, quoted

CARD_DIRECTORY = "card"
"""Where the folder of a run lies, if nothing else is said: in its run directory."""
README_FILE, RESULTS_FILE = "README.md", "results.json"
VIDEO_FILE = "replay"
"""The name of the video, without .mp4 or .gif. A hub shows a replay.mp4 beside the card."""
MODEL_DIGEST = "model_sha256"
"""Key of results.json: the SHA-256 of the model file that the results are of."""
REPO_ID = "OWNER/NAME"
"""Stands in a README.md for the id that the model gets by `fastlander push`."""
CARD_FILES = {
    README_FILE: 10**6,
    MODEL_FILE: LARGEST_MODEL,
    CONFIG_FILE: LARGEST_SETTINGS,
    RESULTS_FILE: 10**6,
    ONNX_FILE: LARGEST_MODEL,
    f"{VIDEO_FILE}.mp4": 10**9,
    f"{VIDEO_FILE}.gif": 10**9,
}
"""Every file that a folder may have, and its bytes at most. The first four are always there."""
_ALWAYS = (README_FILE, MODEL_FILE, CONFIG_FILE, RESULTS_FILE)


def digest(model: bytes) -> str:
    """What results.json has as `MODEL_DIGEST`."""
    return hashlib.sha256(model).hexdigest()


def find_card(directory: Path) -> Path:
    """The folder that a path means: itself, or the one that `fastlander card` wrote into this run directory.

    Raises:
        ValueError: it means none.
    """
    inside = directory / CARD_DIRECTORY
    found = inside if os.path.lexists(inside) and not os.path.lexists(directory / README_FILE) else directory
    for name in _ALWAYS:
        if not os.path.lexists(found / name):
            raise InputError(
                f"directory must be a folder that `fastlander card` wrote, got {str(directory)!r}, which has no {name}"
            )
    return found


def read_card(directory: Path) -> dict[str, bytes]:
    """The content of the files of such a folder, by name. Other files that lie in it are not read.

    Raises:
        ValueError: it is no such folder, a file cannot be read, or the model is another one than that of the results.
    """
    files: dict[str, bytes] = {}
    for name, most in CARD_FILES.items():
        if os.path.lexists(directory / name):
            files[name] = read_part(directory / name, most)
    _check_results(directory, files)
    return files


def read_part(path: Path, most: int = LARGEST_MODEL) -> bytes:
    """The content of a file of at most `most` bytes. ValueError if it cannot be read."""
    try:
        return read_file(path, most)
    except OSError as error:
        raise InputError(f"{path} must be a file that can be read, got another ({reason(error)})") from None


def _check_results(directory: Path, files: Mapping[str, bytes]) -> None:
    path = directory / RESULTS_FILE
    try:
        results = parse_json(files[RESULTS_FILE])
    except ValueError as error:
        raise InputError(f"{path} must be as `fastlander card` wrote it, got another ({quoted(error)})") from None
    if not isinstance(results, dict) or results.get(MODEL_DIGEST) != digest(files[MODEL_FILE]):
        raise InputError(
            f"{path} must have the results of the {MODEL_FILE} beside it, got those of another; "
            "`fastlander card` writes both"
        )


def other_files(directory: Path) -> list[str]:
    """Names in such a folder that are no file of it, sorted. They are not uploaded."""
    return sorted(set(os.listdir(directory)) - CARD_FILES.keys())
