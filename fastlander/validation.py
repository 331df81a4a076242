"""Checks of values from outside: their type and range, and one line that says what is allowed."""

import contextlib
import errno
import math
import numbers
import os
import reprlib
import sys
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

LONGEST_QUOTE = 200
"""Characters of a text from outside that the line of an error shows."""


class InputError(ValueError):
    """A value from outside that cannot be used. The message is one line: what was wrong, and what is allowed."""


LARGEST = 2**63 - 1
"""The largest integer that a setting can have, if its range does not say otherwise: what 64 bits hold."""
DEEPEST_VALUE = 8
"""Lists and dicts within each other in a plain value, at most."""


@dataclass(frozen=True)
class Range:
    """The numbers from `low` to `high`. An end is left out where `low_open` or `high_open` is set."""

    low: float = -math.inf
    high: float = math.inf
    low_open: bool = False
    high_open: bool = False

    def __contains__(self, value: float) -> bool:
        above = value > self.low if self.low_open else value >= self.low
        below = value < self.high if self.high_open else value <= self.high
        return above and below

    def __str__(self) -> str:
        return self.words(None)

    def words(self, got: Any) -> str:
        """The range in words. Of the bound that all integers share it speaks only where `got` is beyond it."""
        low = f"{'above' if self.low_open else 'of at least'} {_digits(self.low)}"
        high = f"{'below' if self.high_open else 'at most'} {_digits(self.high)}"
        says_high = isinstance(got, int) and got > LARGEST if self.high == LARGEST else self.high < math.inf
        return " and ".join([low] * (self.low > -math.inf) + [high] * says_high) or "that is finite"


Count = Annotated[int, Range(low=1, high=LARGEST)]
"""An integer of at least 1."""
Natural = Annotated[int, Range(low=0, high=LARGEST)]
"""An integer of at least 0."""
Seed = Annotated[int, Range(low=0, high=2**64 - 1)]
"""A seed of random streams. torch's generators take no larger one."""
StepLimit = Annotated[int, Range(low=1, high=2**31 - 1)]
"""Steps of an episode, at most. The lander's kernels count them in 32 bits."""


def check(name: str, hint: Any, value: Any) -> Any:
    """`value` in the Python type of its hint, if it is of that type and in its range.

    An int is taken for a float, a list for a tuple, NumPy's numbers for Python's. A mapping becomes a new dict.

    Args:
        name: of the setting, for the error's line.
        hint: annotated type, such as `Count` or `Count | None`.
        value: what was given.

    Raises:
        ValueError: the value is of another type or out of range.
    """
    checked = _accept(hint, value)
    if checked is _REFUSED:
        raise InputError(f"{name} must be {allowed(hint, value)}, got {shown(value)}")
    return checked


def shown(value: Any) -> str:
    """`repr(value)` for an error's line, cut where it is long or lists lie deep within each other."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = short.maxlong = LONGEST_QUOTE
    try:
        return quoted(short.repr(value))
    except ValueError:  # Python writes no integer of more than 4,300 digits.
        return f"a number of more than {sys.get_int_max_str_digits()} digits"


def quoted(text: object) -> str:
    """A text from outside for an error's line: on one line, printable, and not long."""
    line = "".join(char if char.isprintable() else " " for char in str(text)[: 4 * LONGEST_QUOTE])
    line = " ".join(line.split())
    return line if len(line) <= LONGEST_QUOTE else f"{line[:LONGEST_QUOTE]}..."


def check_path(name: str, path: str | os.PathLike[str]) -> Path:
    """`path`, with the home directory for a leading `~`.

    Args:
        name: of the setting, for the error's line.
        path: what was given; nothing needs to be there.

    Raises:
        ValueError: no file can have this path.
    """
    try:
        text = os.path.expanduser(os.fspath(path))
    except TypeError:
        raise InputError(f"{name} must be a path, got {shown(path)}") from None
    if not text or not isinstance(text, str):
        raise InputError(f"{name} must be a path, got {shown(path)}")
    if "\0" in text:
        raise InputError(f"{name} must be a path without NUL characters, got {shown(path)}")
    try:
        os.fsencode(text).decode()
        os.lstat(text)
    except UnicodeError:  # The library that reads models opens no other files.
        raise InputError(f"{name} must be a path in UTF-8, got {shown(path)}") from None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise InputError(f"{name} must be a path of allowed length, got {shown(path)} ({error.strerror})") from None
    return Path(text)


def allowed(hint: Any, got: Any = None) -> str:
    """The values that an annotated type takes, in words: "an integer of at least 1" for `Count`.

    got: the value that was refused, which decides how much has to be said.
    """
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return f"{allowed(args[0])} {args[1].words(got)}"
    if origin is Literal:
        return f"one of {', '.join(map(str, args))}"
    if origin in (types.UnionType, typing.Union):
        return " or ".join(allowed(arg, got) for arg in args)
    if origin is Mapping:
        return "names with plain values (True, False, None, text, finite numbers, or lists and dicts of them)"
    if origin is tuple:
        number = "one or more numbers" if args[-1] is Ellipsis else f"{len(args)} numbers"
        items = got if isinstance(got, tuple | list) else ()
        wrong = next((item for item in items if _accept(args[0], item) is _REFUSED), None)
        return f"{number}, each {allowed(args[0], wrong)}"
    return {int: "an integer", float: "a number", bool: "True or False", str: "text", type(None): "None"}[hint]


_REFUSED = object()  # stands for no value, as None is a value that a setting can have
_NUMBERS = {int: numbers.Integral, float: numbers.Real}  # NumPy's scalars are registered as these


def _accept(hint: Any, value: Any) -> Any:
    """`value` in the type of `hint`, or `_REFUSED`."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        value = _accept(args[0], value)
        return value if value is not _REFUSED and value in args[1] else _REFUSED
    if origin is Literal:
        return value if isinstance(value, str) and value in args else _REFUSED
    if origin in (types.UnionType, typing.Union):
        return next((got for got in (_accept(arg, value) for arg in args) if got is not _REFUSED), _REFUSED)
    if origin is tuple:
        return _accept_tuple(args, value)
    if origin is Mapping:
        named = isinstance(value, Mapping) and all(isinstance(name, str) and name.isidentifier() for name in value)
        return _accept_plain(dict(value)) if named else _REFUSED
    if hint in _NUMBERS and isinstance(value, _NUMBERS[hint]) and not isinstance(value, bool):
        with contextlib.suppress(OverflowError):  # of an integer that no float can hold
            return hint(value)
        return _REFUSED
    return value if type(value) is hint else _REFUSED


def _accept_tuple(args: tuple[Any, ...], value: Any) -> Any:
    """`value` as a tuple whose items are of the types `args`, or `_REFUSED`."""
    if not isinstance(value, tuple | list) or not value:
        return _REFUSED
    hints = args[:1] * len(value) if args[-1] is Ellipsis else args
    if len(hints) != len(value):
        return _REFUSED
    accepted = tuple(_accept(hint, item) for hint, item in zip(hints, value, strict=True))
    return _REFUSED if any(item is _REFUSED for item in accepted) else accepted


def _accept_plain(value: Any, levels: int = DEEPEST_VALUE) -> Any:
    """A value that JSON gives back as it is, with tuples for its lists, or `_REFUSED`."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, numbers.Integral):
        return int(value) if abs(value) <= LARGEST else _REFUSED
    if isinstance(value, numbers.Real):
        return float(value) if math.isfinite(value) else _REFUSED
    if not isinstance(value, tuple | list | Mapping) or not levels:
        return _REFUSED
    items = list(value.values() if isinstance(value, Mapping) else value)
    accepted = [_accept_plain(item, levels - 1) for item in items]
    if any(item is _REFUSED for item in accepted):
        return _REFUSED
    if not isinstance(value, Mapping):
        return tuple(accepted)
    return dict(zip(value, accepted, strict=True)) if all(isinstance(name, str) for name in value) else _REFUSED


def _digits(bound: float) -> str:
    """A bound in words: an integer with all its digits."""
    return str(bound) if isinstance(bound, int) else f"{bound:g}"
