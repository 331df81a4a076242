"""The state of a run on disk, whole or not at all, as safetensors, npz and JSON. Nothing is ever unpickled."""

import hashlib
import io
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from fastlander.states import Vector, vector
from fastlander.storage.files import clear_temporaries, reason, replacing, sync_directory, write_synced
from fastlander.storage.reading import machine_memory, parse_json, parse_npz, read_file, refuse_link
from fastlander.validation import InputError, quoted
from fastlander.version import __version__

TENSORS_FILE, ARRAYS_FILE, STATE_FILE = "weights.safetensors", "arrays.npz", "state.json"
FORMAT = 2
"""Format 1 had no checksum of state.json itself. It is still read."""
KEPT = 2
"""Checkpoints that stay: the newest, and the one before it for the case that the newest gets damaged."""
LARGEST_RECORD = 10**7  # bytes of state.json
DEEPEST = 8  # parts of a state within parts


def save_checkpoint(directory: Path, step: int, state: dict[str, Any]) -> Path:
    """Write the checkpoint `directory`/<step> and remove all but the newest two; its path.

    Args:
        directory: of the run's checkpoints; it exists.
        step: timesteps, which order the checkpoints.
        state: nested dicts with NumPy arrays and what JSON takes as values. No key holds a "/". Each `Vector` is
            written as a tensor.

    Raises:
        OSError: the checkpoint could not be written. The earlier ones are all there still.
    """
    flat = dict(_flatten(state))
    tensors = {name: np.array(value, order="C") for name, value in flat.items() if isinstance(value, Vector)}
    arrays = {name: value for name, value in flat.items() if isinstance(value, np.ndarray) and name not in tensors}
    values = {name: value for name, value in flat.items() if name not in tensors and name not in arrays}
    packed = io.BytesIO()
    np.savez(packed, **arrays)
    contents = {TENSORS_FILE: safetensors.numpy.save(tensors), ARRAYS_FILE: packed.getvalue()}
    record = {
        "format": FORMAT,
        "fastlander_version": __version__,
        "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()},
        "values": values,
    }
    record["sha256"][STATE_FILE] = _digest_of(record)
    contents[STATE_FILE] = json.dumps(record).encode()
    path = directory / f"{step:012d}"
    with replacing(path) as temporary:
        temporary.mkdir()
        for name, content in contents.items():
            write_synced(temporary / name, content)
        shutil.rmtree(path, ignore_errors=True)  # of the same step: a finished run that is resumed saves it again
    sync_directory(directory)
    clear_temporaries(directory)  # of this run, before it was killed and resumed
    for old in checkpoints(directory)[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return path


def checkpoints(directory: Path) -> list[Path]:
    """The paths of the checkpoints in `directory`, the oldest first."""
    if not directory.is_dir():
        return []
    found = [path for path in directory.iterdir() if re.fullmatch("[0-9]{12,18}", path.name) and path.is_dir()]
    return sorted(found, key=lambda path: int(path.name))


def load_checkpoint(path: Path) -> dict[str, Any]:
    """The state that `save_checkpoint` wrote to `path`.

    Raises:
        ValueError: a file is missing, truncated, altered, or written in another format; the line names it and says why.
    """
    record = _read_record(path / STATE_FILE)
    contents = {}
    for name in (TENSORS_FILE, ARRAYS_FILE):
        contents[name] = _read(path / name, machine_memory() // 4)  # it is there three times while it is restored
        if hashlib.sha256(contents[name]).hexdigest() != record["sha256"].get(name):
            raise _refused(path / name, "it was truncated or altered: its checksum is another")
    try:
        tensors = {name: vector(a) for name, a in safetensors.numpy.load(contents[TENSORS_FILE]).items()}
    except Exception as error:  # whatever the library raises for foreign bytes, the bytes are to blame
        raise _refused(path / TENSORS_FILE, f"it is no safetensors file: {quoted(error)}") from None
    try:
        arrays = parse_npz(contents[ARRAYS_FILE])
    except ValueError as error:
        raise _refused(path / ARRAYS_FILE, str(error)) from None
    flat = {**record["values"], **tensors, **arrays}
    try:
        if any(name.count("/") > DEEPEST for name in flat):
            raise TypeError
        return _nest(flat)
    except (AttributeError, TypeError):
        raise _refused(path / STATE_FILE, "it has a value where others of its names have an inner one") from None


def _read(path: Path, most: int) -> bytes:
    try:
        refuse_link(path.parent)
        return read_file(path, most)
    except OSError as error:
        raise _refused(path, reason(error)) from None


def _read_record(path: Path) -> dict[str, Any]:
    """What state.json holds: format, version, checksums and plain values. ValueError if it is not that."""
    try:
        record = parse_json(_read(path, LARGEST_RECORD))
    except InputError:
        raise
    except ValueError as error:
        raise _refused(path, f"it was truncated or altered: {quoted(error)}") from None
    fields = {"format": int, "sha256": dict, "values": dict}
    if not isinstance(record, dict) or not all(type(record.get(name)) is kind for name, kind in fields.items()):
        raise _refused(path, "it is no record of a checkpoint")
    if not 1 <= record["format"] <= FORMAT:
        version = quoted(record.get("fastlander_version"))
        raise _refused(path, f"fastlander {version} wrote it, and this is fastlander {__version__}")
    own = record["sha256"].get(STATE_FILE)
    if own != _digest_of(record) and not (own is None and record["format"] == 1):
        raise _refused(path, "it was truncated or altered: its checksum is another")
    return record


def _digest_of(record: dict[str, Any]) -> str:
    """The checksum of a record of a checkpoint, over all that it says but this checksum."""
    others = {name: digest for name, digest in record["sha256"].items() if name != STATE_FILE}
    return hashlib.sha256(json.dumps({**record, "sha256": others}, sort_keys=True).encode()).hexdigest()


def _refused(path: Path, why: str) -> InputError:
    return InputError(f"a checkpoint must be as it was written, got {str(path)!r} ({why})")


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
