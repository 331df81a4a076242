"""The files of a run as one value, to be sent to another machine, and checked before they are written there."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastlander.config import Config
from fastlander.storage.files import (
    CONFIG_FILE,
    EPISODES_FILE,
    EVALUATIONS_FILE,
    METRICS_FILE,
    MODEL_FILE,
    RUN_FILES,
    remove,
    replacing,
    sync_directory,
    write_synced,
)
from fastlander.storage.reading import LARGEST_MODEL, LARGEST_SETTINGS, parse_json
from fastlander.storage.tables import EPISODE_COLUMNS, EVALUATION_COLUMNS, MetricsRow, table
from fastlander.validation import quoted

_NAMES = "|".join(map(re.escape, RUN_FILES))
_CHECKPOINT = r"checkpoint/(settings\.json|[0-9]{12,18}/(weights\.safetensors|arrays\.npz|state\.json))"
_ALLOWED = re.compile(rf"{_NAMES}|{_CHECKPOINT}|tensorboard/[\w.-]{{1,200}}", re.ASCII)
_HEADERS = {METRICS_FILE: MetricsRow._fields, EPISODES_FILE: EPISODE_COLUMNS, EVALUATIONS_FILE: EVALUATION_COLUMNS}


def pack(directory: Path) -> dict[str, bytes]:
    """The files of the run in a directory, by their names in it. What is no file of a run is left out.

    OSError if one cannot be read.
    """
    found = {path.relative_to(directory).as_posix(): path for path in directory.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in sorted(found.items()) if _ALLOWED.fullmatch(name)}


def check_files(files: Any, config: Config, ended: bool) -> None:
    """ValueError, which says why, if `files` are not what `pack` gives for a run with these settings.

    Args:
        files: from another machine.
        config: the settings that it was told.
        ended: whether the run has ended, so that there must be a model and a table of episodes.
    """
    if not isinstance(files, Mapping):
        raise ValueError("there are no files")
    for name, content in files.items():
        if not isinstance(name, str) or not _ALLOWED.fullmatch(name):
            raise ValueError(f"a file is named {quoted(name)!r}")
        if not isinstance(content, bytes) or len(content) > LARGEST_MODEL:
            raise ValueError(f"{name} is too large")
        if name in _HEADERS and not content.startswith(table(_HEADERS[name], [])):
            raise ValueError(f"{name} has other columns")
    missing = [name for name in (MODEL_FILE, METRICS_FILE, EPISODES_FILE) if ended and name not in files]
    if missing:
        raise ValueError(f"there is no {missing[0]}")
    if MODEL_FILE in files and _settings_in(files[MODEL_FILE]) != json.loads(json.dumps(config.result_settings())):
        raise ValueError(f"{MODEL_FILE} is of other settings")


def _settings_in(content: bytes) -> Any:
    """The settings in a model file. ValueError if it is none, or not as long as it says."""
    length = int.from_bytes(content[:8], "little")
    header = parse_json(content[8 : 8 + min(length, LARGEST_SETTINGS)])
    try:
        ends = [tensor["data_offsets"][1] for name, tensor in header.items() if name != "__metadata__"]
        settings = header["__metadata__"]["config"]
    except (AttributeError, KeyError, TypeError, IndexError):
        raise ValueError("its header is another") from None
    if max(ends, default=0) != len(content) - 8 - length:
        raise ValueError(f"{MODEL_FILE} is not as long as it says")
    return parse_json(settings.encode())


def unpack(files: Mapping[str, bytes], directory: Path) -> None:
    """Write the files into a directory, which they replace in one step and which need not exist. OSError if that fails.

    They are on the disk then, also after a power cut.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    with replacing(directory) as temporary:
        temporary.mkdir()
        for name, content in files.items():
            path = temporary / name
            path.parent.mkdir(parents=True, exist_ok=True)
            write_synced(path, content)
        remove(directory)
    sync_directory(directory.parent)


def settings_file(config: Config, before: Mapping[str, bytes]) -> bytes:
    """config.json of a run that was trained elsewhere: the one that it had before, or a new one."""
    return before.get(CONFIG_FILE) or config.to_json().encode() + b"\n"
