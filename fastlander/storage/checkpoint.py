"""The state of a run on disk, whole or not at all, as safetensors, npz and JSON. Nothing is ever unpickled."""

import hashlib
import io
import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch

from fastlander.storage.files import replacing, sync_directory, write_synced
from fastlander.validation import InputError
from fastlander.version import __version__

TENSORS_FILE, ARRAYS_FILE, STATE_FILE = "weights.safetensors", "arrays.npz", "state.json"
FORMAT = 1
KEPT = 2
"""Checkpoints that stay: the newest, and the one before it for the case that the newest gets damaged."""


def save_checkpoint(directory: Path, step: int, state: dict[str, Any]) -> Path:
    """Write the checkpoint `directory`/<step> and remove all but the newest two; its path.

    Args:
        directory: of the run's checkpoints; it exists.
        step: timesteps, which order the checkpoints.
        state: nested dicts with torch tensors, NumPy arrays and what JSON takes as values. No key holds a "/".

    Raises:
        OSError: the checkpoint could not be written. The earlier ones are all there still.
    """
    flat = dict(_flatten(state))
    tensors = {name: value.contiguous() for name, value in flat.items() if isinstance(value, torch.Tensor)}
    arrays = {name: value for name, value in flat.items() if isinstance(value, np.ndarray)}
    values = {name: value for name, value in flat.items() if name not in tensors and name not in arrays}
    packed = io.BytesIO()
    np.savez(packed, **arrays)
    contents = {TENSORS_FILE: safetensors.torch.save(tensors), ARRAYS_FILE: packed.getvalue()}
    record = {
        "format": FORMAT,
        "fastlander_version": __version__,
        "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()},
        "values": values,
    }
    contents[STATE_FILE] = json.dumps(record).encode()
    path = directory / f"{step:012d}"
    with replacing(path) as temporary:
        temporary.mkdir()
        for name, content in contents.items():
            write_synced(temporary / name, content)
        shutil.rmtree(path, ignore_errors=True)  # of the same step: a finished run that is resumed saves it again
    sync_directory(directory)
    for old in checkpoints(directory)[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return path


def checkpoints(directory: Path) -> list[Path]:
    """The paths of the checkpoints in `directory`, the oldest first."""
    if not directory.is_dir():
        return []
    return sorted(path for path in directory.iterdir() if path.name.isdigit() and path.is_dir())


def load_checkpoint(path: Path) -> dict[str, Any]:
    """The state that `save_checkpoint` wrote to `path`.

    Raises:
        ValueError: a file is missing, truncated, altered, or written in another format; the line names it and says why.
    """
    record = _read_record(path / STATE_FILE)
    contents = {}
    for name in (TENSORS_FILE, ARRAYS_FILE):
        try:
            contents[name] = (path / name).read_bytes()
        except OSError as error:
            raise _refused(path / name, error.strerror or type(error).__name__) from None
        if hashlib.sha256(contents[name]).hexdigest() != record["sha256"].get(name):
            raise _refused(path / name, "it was truncated or altered: its checksum is another")
    try:
        tensors = safetensors.torch.load(contents[TENSORS_FILE])
    except safetensors.SafetensorError as error:
        raise _refused(path / TENSORS_FILE, f"it is no safetensors file: {error}") from None
    try:
        with np.load(io.BytesIO(contents[ARRAYS_FILE]), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (ValueError, AttributeError, OSError, zipfile.BadZipFile):
        raise _refused(path / ARRAYS_FILE, "it is no npz file of plain arrays") from None
    try:
        return _nest({**record["values"], **tensors, **arrays})
    except (AttributeError, TypeError):
        raise _refused(path / STATE_FILE, "it has a value where others of its names have an inner one") from None


def _read_record(path: Path) -> dict[str, Any]:
    """What state.json holds: format, version, checksums and plain values. ValueError if it is not that."""
    try:
        record = json.loads(path.read_bytes())
    except OSError as error:
        raise _refused(path, error.strerror or type(error).__name__) from None
    except ValueError:
        raise _refused(path, "it was truncated or altered: it is no JSON") from None
    fields = {"format": int, "sha256": dict, "values": dict}
    if not isinstance(record, dict) or not all(isinstance(record.get(name), kind) for name, kind in fields.items()):
        raise _refused(path, "it is no record of a checkpoint")
    if record["format"] != FORMAT:
        version = record.get("fastlander_version")
        raise _refused(path, f"fastlander {version} wrote it, and this is fastlander {__version__}")
    return record


def _refused(path: Path, reason: str) -> InputError:
    return InputError(f"a checkpoint must be as it was written, got {str(path)!r} ({reason})")


def _flatten(state: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The values of nested dicts, each with the keys on the way to it, joined by "/"."""
    for name, value in state.items():
        if isinstance(value, dict) and value:
            yield from _flatten(value, f"{prefix}{name}/")
        else:
            yield prefix + name, value


def _nest(flat: dict[str, Any]) -> dict[str, Any]:
    """The inverse of `_flatten`."""
    state: dict[str, Any] = {}
    for name, value in flat.items():
        *parents, last = name.split("/")
        inner = state
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[last] = value
    return state
