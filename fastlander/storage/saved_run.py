"""What a run that stopped early left in its directory, checked: nothing that it depends on may have changed."""

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from fastlander.config import Config
from fastlander.environments import allow_imports
from fastlander.storage.checkpoint import checkpoints, load_checkpoint
from fastlander.storage.files import CHECKPOINT_DIRECTORY, CONFIG_FILE, METRICS_FILE, SETTINGS_FILE, reason
from fastlander.storage.model_file import difference
from fastlander.storage.reading import LARGEST_SETTINGS, parse_json, read_file
from fastlander.storage.tables import LARGEST_TABLE, MetricsRow, table
from fastlander.validation import InputError, quoted, shown
from fastlander.version import __version__

HEADER = table(MetricsRow._fields, [])
"""The first line of metrics.csv."""


def read_config(path: Path, imports: Sequence[str] = ()) -> Config:
    """The settings of the run in a directory.

    Args:
        path: of the directory.
        imports: modules that may be imported for the run's environment, as `allow_imports` says. They are imported.

    Raises:
        ValueError: there is no run, one with settings unknown here, or one whose environment needs another module.
    """
    file = path / CONFIG_FILE
    try:
        text = read_file(file, LARGEST_SETTINGS).decode()
    except (OSError, UnicodeDecodeError) as error:
        line = f"resume must be a run directory with a {CONFIG_FILE}, got {str(path)!r} ({quoted(reason(error))})"
        raise InputError(line) from None
    try:
        config = Config.from_json(text)
    except InputError as error:
        line = f"{file} must have settings that fastlander {__version__} knows, got others ({error})"
        raise InputError(line) from None
    allow_imports(config, imports, file)
    return config


def beginning(config: Config) -> bytes:
    """The settings that decide the result of a run, as the run keeps them until a checkpoint has them."""
    return json.dumps(config.result_settings(), indent=2).encode() + b"\n"


def restored_rows(path: Path, config: Config, restore: Callable[[dict[str, Any]], None]) -> bytes:
    """Restore the newest state in a run directory, if there is one: the rows of metrics.csv up to then."""
    saved = checkpoints(path / CHECKPOINT_DIRECTORY)
    if not saved:
        _check_beginning(path, config)
        return HEADER
    with _naming_the_one_before(saved):
        state = load_checkpoint(saved[-1])
        settings, steps = state.pop("config", None), int(saved[-1].name)
        if not isinstance(settings, dict):
            raise InputError(f"a checkpoint must have the settings of its run, got {str(saved[-1])!r}, which has none")
        if state.get("timesteps") != steps:
            raise InputError(f"a checkpoint must be of the steps in its name, got {str(saved[-1])!r}, of others")
        _check_settings(path, config, settings, "its checkpoint")
    rows = _rows_until(path / METRICS_FILE, state.pop("metrics_bytes", None), state.pop("metrics_sha256", None))
    with _naming_the_one_before(saved):
        try:
            restore(state)
        except InputError as error:
            raise InputError(f"a checkpoint must be of this run, got {str(saved[-1])!r} ({error})") from None
    return rows


@contextlib.contextmanager
def _naming_the_one_before(saved: list[Path]) -> Iterator[None]:
    """Where the body refuses the newest of these checkpoints, say which one the run can go on from without it."""
    try:
        yield
    except InputError as error:
        if len(saved) == 1:
            raise
        raise InputError(f"{error}; without {saved[-1].name} the run goes on from {saved[-2].name}") from None


def _rows_until(path: Path, size: Any, digest: str | None) -> bytes:
    """What metrics.csv held when a checkpoint was written. ValueError if it does not begin with that any more.

    Args:
        path: of metrics.csv.
        size: its bytes at that time.
        digest: its checksum at that time. Checkpoints of format 1 have none.
    """
    try:
        content = read_file(path, LARGEST_TABLE)
    except OSError as error:
        raise InputError(f"{path} must be as the run left it, got none ({reason(error)})") from None
    if type(size) is not int or not len(HEADER) <= size <= len(content):
        got = f"{len(content)} bytes instead of {shown(size)} or more"
        raise InputError(f"{path} must be as the run left it, got {got}")
    rows = content[:size]
    good = rows.startswith(HEADER) and rows.endswith(b"\r\n") and b"\0" not in rows
    if not good or (digest is not None and hashlib.sha256(rows).hexdigest() != digest):
        raise InputError(f"{path} must be as the run left it, got one that was altered: its checksum is another")
    return rows


def _check_beginning(path: Path, config: Config) -> None:
    """ValueError if a run that has no checkpoint yet began with other settings than those of its config.json."""
    file = path / CHECKPOINT_DIRECTORY / SETTINGS_FILE
    try:
        saved = parse_json(read_file(file, LARGEST_SETTINGS))
    except FileNotFoundError:  # of an earlier version, or killed before it was written
        return
    except (OSError, ValueError) as error:
        raise InputError(f"{file} must be as the run left it, got another ({quoted(reason(error))})") from None
    if not isinstance(saved, dict):
        raise InputError(f"{file} must be as the run left it, got another (it has no settings)")
    _check_settings(path, config, saved, str(file))


def _check_settings(path: Path, config: Config, saved: dict[str, Any], source: str) -> None:
    """ValueError if a run was made with settings other than those of config.json that decide the result.

    Args:
        path: of the run directory.
        config: from config.json.
        saved: `Config.result_settings` of the run.
        source: where they come from, for the error's line.
    """
    found = difference(saved, config.result_settings())
    if found:
        raise InputError(f"{path / CONFIG_FILE} must have the settings of {source}, got {found}")
