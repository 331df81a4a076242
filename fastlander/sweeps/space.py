"""The settings that a sweep searches, in words such as learning_rate=log:1e-4..1e-2, n_step=1..12, loss=huber,mse."""

import contextlib
import re
import tomllib
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

from fastlander.config import Config, setting_types
from fastlander.storage.files import reason
from fastlander.storage.reading import LARGEST_SETTINGS, read_file
from fastlander.validation import InputError, check, check_path, quoted, shown

FIXED = (
    "env_id", "env_kwargs", "backend", "seed", "device", "output_dir", "progress", "tensorboard", "total_timesteps",
    "max_episodes", "solved_by", "solved_score", "solved_landings", "eval_episodes", "log_episodes",
    "checkpoint_interval",
)  # fmt: skip
"""Settings that are the same in all trials: they say what is learned, how it is measured, where it is written."""
EXAMPLE = "learning_rate=log:1e-4..1e-2, n_step=1..12 or loss=huber,mse"
DIGITS = 3
"""Significant digits of a value from a range of real numbers."""


@dataclass(frozen=True)
class Interval:
    """A setting that is searched from `low` to `high`, both included."""

    name: str
    low: float
    high: float
    log: bool
    integer: bool

    @property
    def ends(self) -> list[Any]:
        """The values that are checked: the lowest and the highest."""
        return [self.low, self.high]

    def nearest(self, value: Any) -> Any:
        """The value of the range that is nearest to one of `Config`. For None it is the lowest."""
        return self.low if value is None else min(max(value, self.low), self.high)

    def encode(self, value: Any) -> Any:
        """The value for Optuna: a number."""
        return value

    def decode(self, value: Any) -> Any:
        """The value for `Config` of one that Optuna gives."""
        return int(value) if self.integer else float(value)

    def rounded(self, value: Any) -> Any:
        """A proposed value: a real number gets `DIGITS` digits, which people can read and write."""
        return value if self.integer else self.nearest(float(f"{value:.{DIGITS}g}"))


@dataclass(frozen=True)
class Choices:
    """A setting that is searched among some values."""

    name: str
    values: tuple[Any, ...]

    @property
    def ends(self) -> list[Any]:
        """The values that are checked: all of them, the lowest first where they have an order."""
        return sorted(self.values, key=lambda value: (value is not None, 0 if isinstance(value, str) else value or 0))

    def nearest(self, value: Any) -> Any:
        """The value itself if it is a choice, else the first one."""
        return value if value in self.values else self.values[0]

    def encode(self, value: Any) -> Any:
        """The value for Optuna, which knows no tuples: they are written 128-64-32."""
        return word(value) if isinstance(value, tuple) else value

    def decode(self, value: Any) -> Any:
        """The value for `Config` of one that Optuna gives."""
        return next(own for own in self.values if self.encode(own) == value)

    def rounded(self, value: Any) -> Any:
        """The value itself."""
        return value


Dimension = Interval | Choices


def read_space(texts: Sequence[str], file: str | None = None) -> dict[str, str]:
    """The words of a search space by the name of the setting, from NAME=WORDS and a TOML file.

    Args:
        texts: each as in `EXAMPLE`.
        file: of lines such as `n_step = "1..12"` or, for choices, `loss = ["huber", "mse"]`.

    Raises:
        ValueError: a text or a line of another form, the same setting twice, or nothing at all.
    """
    pairs = [] if file is None else list(_read_file(file).items())
    for text in texts:
        name, equals, words = text.partition("=")
        if not equals or not words.strip() or not name.strip():
            raise InputError(f"search must be NAME=VALUES, such as {EXAMPLE}, got {shown(text)}")
        pairs.append((name.strip().replace("-", "_"), words.strip()))
    names = [name for name, _ in pairs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"search must name each setting once, got {shown(twice)} twice")
    if not pairs:
        raise InputError(f"search must name a setting, such as {EXAMPLE}, got nothing")
    return dict(pairs)


def parse_space(space: Mapping[str, str], base: Config) -> list[Dimension]:
    """The search space of these words. All its bounds, and the combinations of them, are values that Config takes.

    Raises:
        ValueError: an unknown setting, one of `FIXED`, an empty or reversed range, or a value that Config refuses.
    """
    dimensions = [_dimension(name, words) for name, words in space.items()]
    for values in _corners(dimensions):
        try:
            replace(base, **values)
        except InputError as error:
            raise InputError(f"search must have values that Config takes together: {error}") from None
    return dimensions


def word(value: Any) -> str:
    """A value as it is written in a search space. A tuple is 128-64-32."""
    return "-".join(map(word, value)) if isinstance(value, tuple | list) else str(value)


def _dimension(name: str, words: str) -> Dimension:
    types_ = setting_types()
    if name not in types_:
        raise InputError(f"search must name settings of Config, got {shown(name)}")
    if name in FIXED:
        raise InputError(f"search must name settings that decide how a run learns, got {name}")
    log, inner = words.startswith("log:"), words.removeprefix("log:")
    low, dots, high = inner.partition("..")
    if dots:
        return _interval(name, types_[name], low, high, log)
    if log:
        raise InputError(f"{name} must have a range after log:, such as log:1e-4..1e-2, got {shown(words)}")
    values = tuple(check(name, types_[name], _value(types_[name], text.strip())) for text in words.split(","))
    if len(values) < 2 or len(set(values)) < len(values):
        raise InputError(f"{name} must have two or more different values or a range to search, got {shown(words)}")
    return Choices(name, values)


def _interval(name: str, hint: Any, low: str, high: str, log: bool) -> Interval:
    kind = _plain(hint)
    if kind not in (int, float):
        got = shown(f"{low}..{high}")
        raise InputError(f"{name} must be searched among values, such as {name}=A,B, as it has no ranges, got {got}")
    ends = [_number(text.strip()) for text in (low, high)]
    first, last = (check(name, Annotated[float, _annotation(hint)] if kind is float else hint, end) for end in ends)
    if first >= last:
        raise InputError(f"{name} must be searched from a lower to a higher value, got {low}..{high}")
    if log and first <= 0:
        raise InputError(f"{name} must have a lower end above 0 in a logarithmic range, got log:{low}..{high}")
    return Interval(name, first, last, log, kind is int)


def _inner(hint: Any) -> Any:
    """The type of a setting without its None."""
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        return next(one for one in typing.get_args(hint) if one is not types.NoneType)
    return hint


def _plain(hint: Any) -> Any:
    """int, float, bool, tuple or Literal."""
    inner = _inner(hint)
    inner = typing.get_args(inner)[0] if typing.get_origin(inner) is Annotated else inner
    return typing.get_origin(inner) or inner


def _annotation(hint: Any) -> Any:
    return typing.get_args(_inner(hint))[1]


def _number(text: str) -> Any:
    """The number in a text, or the text itself."""
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return text


def _value(hint: Any, text: str) -> Any:
    """The value of a word: None, True, False, a number, a text or, for a setting that is a tuple, 128-64-32."""
    named = {"None": None, "True": True, "False": False}
    if text in named:
        return named[text]
    if _plain(hint) is tuple:
        return tuple(_number(part) for part in re.split(r"(?<=[^eE])-", text))
    return _number(text)


def _corners(dimensions: Sequence[Dimension]) -> list[dict[str, Any]]:
    """Each end of each setting together with the lowest, and with the highest, of all others.

    What Config says of combinations is that one setting is at most another one. So the worst combination of any two is
    among these.
    """
    lowest = {one.name: one.ends[0] for one in dimensions}
    highest = {one.name: one.ends[-1] for one in dimensions}
    return [{**others, one.name: end} for one in dimensions for end in one.ends for others in (lowest, highest)]


def _read_file(path: str) -> dict[str, str]:
    """The words in a TOML file; a list of values becomes words too."""
    file = check_path("space", path)
    try:
        table = tomllib.loads(read_file(file, LARGEST_SETTINGS).decode())
    except (OSError, ValueError, RecursionError) as error:
        why = "it is nested too deep" if isinstance(error, RecursionError) else quoted(reason(error))
        raise InputError(f"space must be a TOML file of settings to search, got {shown(str(file))} ({why})") from None
    for name, value in table.items():
        if not isinstance(value, str | list) or not value:
            raise InputError(
                f'{file} must have lines such as n_step = "1..12" or ["a", "b"], got {name} {shown(value)}'
            )
    return {name: value if isinstance(value, str) else ",".join(map(word, value)) for name, value in table.items()}
