"""Files of settings for `train --config`: TOML, or the config.json of a run."""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import NoneType
from typing import Any, get_args

from fastlander.config import Config, known_settings, setting_types
from fastlander.storage.files import reason, write_output
from fastlander.storage.reading import parse_json
from fastlander.validation import InputError, check_path, quoted, shown

LARGEST_FILE = 10**6  # bytes
NONE = "None"
"""Stands for None in TOML, which has no such value, where a setting may be None."""


def read_settings(path: str | Path, preset: str = "default") -> Config:
    """The settings in a file. Those that it does not name are those of the preset.

    Args:
        path: of a TOML file with a line `name = value` for each setting, or of a config.json. The `output_dir` of a
            config.json is left out, as that run is there.
        preset: a name in `PRESETS`.

    Raises:
        ValueError: the file cannot be read, or has a setting or a value that `Config` does not take. The line names
            the file.
    """
    file = check_path("config", path)
    try:
        with file.open("rb") as stream:
            content = stream.read(LARGEST_FILE + 1)
        if len(content) > LARGEST_FILE:
            raise ValueError(f"it has more than {LARGEST_FILE:,} bytes")
        settings = _parse(content, is_json=file.suffix == ".json")
    except (OSError, ValueError, RecursionError) as error:
        why = quoted(reason(error)) if isinstance(error, OSError | ValueError) else "it is nested too deep"
        raise InputError(f"config must be a file of settings, got {shown(str(file))} ({why})") from None
    try:
        return Config.preset(preset, **settings)
    except InputError as error:
        raise InputError(f"{file} must have settings that Config takes, got others ({error})") from None


def write_settings(path: str | Path, settings: Mapping[str, Any]) -> Path:
    """Write settings as TOML for `train --config`; the file's path. A file that is there is replaced.

    Args:
        path: of the file.
        settings: some of the fields of `Config`, by name.

    Raises:
        ValueError: `Config` does not take the settings, TOML has no such value, or the file cannot be written.
    """
    file, config = check_path("path", path), Config(**known_settings(dict(settings)))
    values = {name: getattr(config, name) for name in settings}
    lines = [f"{name} = {_toml(NONE if value is None else value)}\n" for name, value in values.items()]
    write_output(file, "".join(lines).encode())
    return file


def _parse(content: bytes, is_json: bool) -> dict[str, Any]:
    """The settings in the bytes of a file. ValueError if it is no file of its kind."""
    if not is_json:
        try:
            text = content.decode()
        except UnicodeDecodeError:
            raise ValueError("it is no text in UTF-8") from None
        types_ = setting_types()
        return {
            name: None if value == NONE and NoneType in get_args(types_.get(name)) else value
            for name, value in tomllib.loads(text).items()
        }
    settings = parse_json(content)
    if not isinstance(settings, dict):
        raise ValueError("it is no JSON object")
    return {name: value for name, value in settings.items() if name != "output_dir"}


def _toml(value: Any) -> str:
    """A value as TOML. ValueError for None inside of a list or a table, and for text that cannot be printed."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str) and value.isprintable():
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{_toml(name)} = {_toml(inner)}' for name, inner in value.items())} }}"
    raise InputError(f"settings must be values that TOML has, got {shown(value)}")
