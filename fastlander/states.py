"""Checks of saved states: `set_state` takes only what `get_state` of the same settings could have given.

A form is a dict that says for each name of a state what its value must be, by one of the classes below, by another form
for a nested state, or by None for a value that is None.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from fastlander.validation import InputError

Form = dict[str, Any]


class Array(NamedTuple):
    """A NumPy array of this dtype and shape. A size given as text is any size, but the same wherever it stands."""

    dtype: Any
    shape: tuple[int | str, ...]
    low: float = -math.inf
    high: float = math.inf
    finite: bool = False

    def __str__(self) -> str:
        bounds = [f"from {self.low:g}"] * (self.low > -math.inf) + [f"to {self.high:g}"] * (self.high < math.inf)
        words = [_array_words(np.dtype(self.dtype), self.shape), *bounds, *(["finite"] * self.finite)]
        return " ".join(words)

    def takes(self, value: Any, sizes: dict[str, int]) -> bool:
        """Whether `value` is such an array, given the sizes that are known by now."""
        if not isinstance(value, np.ndarray) or value.dtype != np.dtype(self.dtype):
            return False
        if not _shape_fits(value.shape, self.shape, sizes):
            return False
        if not value.size:
            return True
        if self.finite and not np.isfinite(value).all():
            return False
        return bool(
            (self.low == -math.inf or value.min() >= self.low) and (self.high == math.inf or value.max() <= self.high)
        )


class Vector(np.ndarray):
    """float32[P] in a state: the parameters of a network, or what is kept for each. A checkpoint has them by type."""


def vector(parameters: np.ndarray) -> Vector:
    """A copy of float32[P] for a state."""
    return parameters.copy().view(Vector)


class Weights(NamedTuple):
    """The parameters of a network, float32[size]. Those of a run that diverged are not `finite`."""

    size: int
    finite: bool = False

    def __str__(self) -> str:
        return str(Array(np.float32, (self.size,), finite=self.finite))

    def takes(self, value: Any, sizes: dict[str, int]) -> bool:
        """Whether `value` is such an array."""
        return Array(np.float32, (self.size,), finite=self.finite).takes(value, sizes)


class Whole(NamedTuple):
    """An integer in [low, high]."""

    low: int = 0
    high: int = 2**62

    def __str__(self) -> str:
        return f"an integer from {self.low} to {self.high}"

    def takes(self, value: Any, sizes: dict[str, int]) -> bool:
        """Whether `value` is such an integer."""
        return isinstance(value, int) and not isinstance(value, bool) and self.low <= value <= self.high


class Real(NamedTuple):
    """A float in [low, high], or also nan where `nan`."""

    low: float = -math.inf
    high: float = math.inf
    nan: bool = False

    def __str__(self) -> str:
        return f"a number from {self.low:g} to {self.high:g}{' or nan' * self.nan}"

    def takes(self, value: Any, sizes: dict[str, int]) -> bool:
        """Whether `value` is such a number."""
        if not isinstance(value, int | float) or isinstance(value, bool):
            return False
        return self.nan if math.isnan(value) else self.low <= value <= self.high


class Wholes(NamedTuple):
    """A list of `count` natural numbers."""

    count: int

    def __str__(self) -> str:
        return f"a list of {self.count} natural numbers"

    def takes(self, value: Any, sizes: dict[str, int]) -> bool:
        """Whether `value` is such a list."""
        return isinstance(value, list) and len(value) == self.count and all(Whole().takes(n, sizes) for n in value)


class Flag(NamedTuple):
    """True or False."""

    def __str__(self) -> str:
        return "True or False"

    def takes(self, value: Any, sizes: dict[str, int]) -> bool:
        """Whether `value` is one of them."""
        return isinstance(value, bool)


class KernelStream(NamedTuple):
    """The state of a kernel's random stream: uint64[4], not all zero (from there xoshiro256++ gives only zeros)."""

    def __str__(self) -> str:
        return "uint64[4] with a number other than 0"

    def takes(self, value: Any, sizes: dict[str, int]) -> bool:
        """Whether `value` is such a state."""
        return Array(np.uint64, (4,)).takes(value, sizes) and bool(value.any())


class NumPyStream(NamedTuple):
    """The state of a NumPy PCG64 bit generator."""

    def __str__(self) -> str:
        return "the state of a PCG64 generator"

    def takes(self, value: Any, sizes: dict[str, int]) -> bool:
        """Whether `value` is such a state: whether it comes back from a generator that takes it."""
        generator = np.random.PCG64(0)
        try:
            generator.state = value
        except (TypeError, ValueError, KeyError, OverflowError):
            return False
        fits = value["has_uint32"] in (0, 1) and 0 <= value["uinteger"] < 2**32 and value["state"]["inc"] % 2 == 1
        return generator.state == value and fits


def check_state(what: str, state: Any, form: Form) -> None:
    """ValueError unless `state` has the names of `form`, no others, and the values that it asks for."""
    _check(what, state, form, {})


def _check(what: str, state: Any, form: Form, sizes: dict[str, int]) -> None:
    if not isinstance(state, Mapping):
        raise InputError(f"the state of the {what} must be a dict, got {type(state).__name__}")
    if state.keys() != form.keys():
        raise InputError(
            f"the state of the {what} must have {', '.join(form)}, got {', '.join(map(str, state)) or 'nothing'}"
        )
    for name, wanted in form.items():
        value = state[name]
        if isinstance(wanted, dict):
            _check(f"{what}'s {name}", value, wanted, sizes)
        elif wanted is None:
            if value is not None:
                raise InputError(f"the state of the {what} must have None as {name}, got {_words(value)}")
        elif not wanted.takes(value, sizes):
            raise InputError(f"the state of the {what} must have {wanted} as {name}, got {_words(value)}")


def _shape_fits(shape: tuple[int, ...], wanted: tuple[int | str, ...], sizes: dict[str, int]) -> bool:
    if len(shape) != len(wanted):
        return False
    return all(
        sizes.setdefault(n, size) == size if isinstance(n, str) else n == size
        for size, n in zip(shape, wanted, strict=True)
    )


def _array_words(dtype: np.dtype, shape: tuple[int | str, ...]) -> str:
    return f"{dtype}[{', '.join(map(str, shape))}]"


def _words(value: Any) -> str:
    """A value in a few words."""
    if isinstance(value, np.ndarray):
        finite = value.dtype.kind not in "iuf" or not value.size or np.isfinite(value).all()
        span = f" from {value.min()} to {value.max()}" if value.size and value.dtype.kind in "iuf" and finite else ""
        return _array_words(value.dtype, value.shape) + (span if finite else " that is not finite")
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}..."
