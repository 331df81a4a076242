"""`ReplayBuffer`: collections.deque(maxlen=...) in preallocated arrays, with uniform sampling in a kernel."""

import collections
import functools
import math
import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

import fastlander.kernels.compile_notice  # noqa: F401 - kernels that compile say so
from fastlander.experience.sampling import sample_rows
from fastlander.experience.transition import Field, Transition, transition_fields
from fastlander.kernels.xoshiro import kernel_state
from fastlander.memory import check_memory
from fastlander.states import Array, Form, KernelStream, Whole, check_state
from fastlander.validation import Count, InputError, check


def bytes_per_item(fields: Mapping[str, Field]) -> int:
    """Bytes that one item with these fields takes."""
    return sum(np.dtype(dtype).itemsize * math.prod(shape) for dtype, shape in fields.values())


class ReplayBuffer(Sequence):
    """The newest `maxlen` items, oldest first, as `collections.deque(maxlen=maxlen)` keeps them.

    Args:
        maxlen: items kept, at least 1.
        fields: a mapping from name to (dtype, shape), by default the fields of `Transition` for the lander's eight
            numbers: an item is then a tuple with one entry per field. Or a single (dtype, shape): an item is then
            that one value, as in the lecture's deques.
        seed: of the sampling stream; None takes fresh entropy.

    Items are copied in and copied out, and keep the dtype of their field. `np.asarray(buffer[name])` is one field as
    an array, oldest first; `np.asarray(buffer)` likewise where there is a single field.

    Raises:
        ValueError: an item does not have the shape of its field, or `maxlen` is no positive integer, or that many items
            do not fit in memory.
        TypeError: an item is of another kind than its field (a float offered to an integer one), or out of its range.
    """

    def __init__(
        self,
        maxlen: int,
        fields: Mapping[str, Field] | Field | None = None,
        seed: int | np.random.SeedSequence | None = None,
    ) -> None:
        self._maxlen = check("maxlen", Count, maxlen)
        if fields is None:
            fields = transition_fields(8)
        self._single = not isinstance(fields, Mapping)
        if not isinstance(seed, np.random.SeedSequence):
            seed = np.random.SeedSequence(seed)
        self.random_state = kernel_state(seed)
        """uint64[4]: the stream that samples are drawn from."""
        self._added = 0  # items appended since the last clear; the next one goes to slot _added % maxlen
        self._changes = 0  # counts every append, extend and clear, so that iteration notices them
        self._make_arrays({"item": fields} if self._single else dict(fields))

    def _make_arrays(self, fields: Mapping[str, Field]) -> None:
        self._fields = {name: (np.dtype(dtype), tuple(shape)) for name, (dtype, shape) in fields.items()}
        check_memory("maxlen", self._maxlen, self._maxlen * bytes_per_item(self._fields))
        self.arrays = {name: np.zeros((self._maxlen, *shape), dtype) for name, (dtype, shape) in self._fields.items()}
        """One array [maxlen, *shape] per field, in the ring's own order."""
        self._bytes = tuple(_as_bytes(array) for array in self.arrays.values())
        self._batch: tuple[np.ndarray, ...] = ()
        self._batch_bytes: tuple[np.ndarray, ...] = ()

    def __getstate__(self) -> dict[str, Any]:
        # Copies and pickles hold the stored items, and make arrays of their own.
        settings = {name: getattr(self, name) for name in ("_maxlen", "_single", "_fields", "_changes")}
        return {**settings, "state": self.get_state()}

    def __setstate__(self, pickled: dict[str, Any]) -> None:
        self._maxlen, self._single, self._changes = (pickled[n] for n in ("_maxlen", "_single", "_changes"))
        self._make_arrays(pickled["_fields"])
        self.random_state = np.zeros(4, np.uint64)
        self.set_state(pickled["state"])

    @property
    def maxlen(self) -> int:
        """The most items kept."""
        return self._maxlen

    def __len__(self) -> int:
        return min(self._added, self._maxlen)

    def append(self, item: Any) -> None:
        """Add one item on the right; a full buffer drops its oldest."""
        slot = self._added % self._maxlen
        if self._single:
            array = self.arrays["item"]
            array[slot] = _checked(array, item)
        else:
            values = [_checked(*pair) for pair in zip(self.arrays.values(), self._as_row(item), strict=True)]
            for array, value in zip(self.arrays.values(), values, strict=True):
                array[slot] = value
        self._added += 1
        self._changes += 1

    def extend(self, items: Iterable[Any] = (), /, **columns: npt.ArrayLike) -> None:
        """Add several items, oldest first: an iterable as deque takes it, or one array [N, ...] per field by name."""
        if not columns:
            for item in list(items):
                self.append(item)
            return
        if columns.keys() != self.arrays.keys():
            raise InputError(f"extend takes the fields {', '.join(self.arrays)}, got {', '.join(columns)}")
        arrays = {name: np.asarray(column) for name, column in columns.items()}
        count = len(next(iter(arrays.values())))
        for name, array in self.arrays.items():
            if arrays[name].shape != (count, *array.shape[1:]):
                raise InputError(f"{name} must have shape {(count, *array.shape[1:])}, got {arrays[name].shape}")
            if not _fits(arrays[name], array.dtype):
                raise TypeError(f"{name} must be {array.dtype}, got {arrays[name].dtype}")
        self.extend_unchecked(tuple(arrays[name] for name in self.arrays))

    def extend_unchecked(self, columns: Sequence[np.ndarray]) -> None:
        """`extend` with one array [N, ...] per field, in the fields' order, of their shapes and kinds of number."""
        count = len(columns[0])
        kept = min(count, self._maxlen)
        start = (self._added + count - kept) % self._maxlen
        first = min(kept, self._maxlen - start)
        for array, column in zip(self.arrays.values(), columns, strict=True):
            newest = column[count - kept :]
            array[start : start + first] = newest[:first]
            if first < kept:
                array[: kept - first] = newest[first:]
        self._added += count
        self._changes += 1

    @property
    def added(self) -> int:
        """Items appended since the last clear."""
        return self._added

    def take_note(self, count: int) -> None:
        """Count `count` items that a kernel has appended to `arrays`, each to the slot after the one before."""
        self._added += count
        self._changes += 1

    def clear(self) -> None:
        """Forget every item."""
        self._added = 0
        self._changes += 1

    def __getitem__(self, index: Any) -> Any:
        """Item `index` counted from the oldest (negative: from the newest); a name gives that field's items."""
        if isinstance(index, str):
            return FieldView(self, index)
        slot = self.slot(index)
        row = [_item(array, slot) for array in self.arrays.values()]
        return row[0] if self._single else _row_type(tuple(self.arrays))(*row)

    def __iter__(self) -> Iterator[Any]:
        changes = self._changes
        for index in range(len(self)):
            yield self[index]
            if self._changes != changes:
                raise RuntimeError("ReplayBuffer mutated during iteration")

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> np.ndarray:
        if not self._single:
            raise TypeError(f"a buffer of several fields is no single array: take one of {', '.join(self.arrays)}")
        return np.asarray(self["item"], dtype)

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}: {array.dtype}{list(array.shape[1:])}" for name, array in self.arrays.items())
        return f"ReplayBuffer({len(self)} of {self._maxlen}; {fields})"

    def slot(self, index: int) -> int:
        """Where in `arrays` the item `index`, counted from the oldest, lies. IndexError if there is none."""
        index, length = operator.index(index), len(self)
        if not -length <= index < length:
            raise IndexError(f"index {index} is out of range of {length} items")
        return (self._added - length + index % length) % self._maxlen

    @property
    def oldest_slot(self) -> int:
        """Where in `arrays` the oldest item lies."""
        return (self._added - len(self)) % self._maxlen

    def chronological(self, name: str) -> np.ndarray:
        """A copy of field `name`, oldest first: [len, *shape]."""
        array, start = self.arrays[name], self._added % self._maxlen
        if self._added <= self._maxlen:
            return array[: self._added].copy()
        return np.concatenate((array[start:], array[:start]))

    def sample(self, batch_size: int) -> Any:
        """`batch_size` items drawn uniformly with replacement, as one array [batch_size, *shape] per field.

        The next call fills the same arrays again. ValueError if the buffer is empty.
        """
        if not len(self):
            raise InputError("a sample needs at least one item, got an empty buffer")
        self._fit_batch(batch_size)
        # Which slot is the oldest does not matter to a uniform draw: the filled slots are always 0 to len - 1.
        sample_rows(self.random_state, 0, len(self), self._bytes, self._batch_bytes)
        return self._as_batch()

    def get_state(self) -> dict[str, Any]:
        """The stored items in the ring's own order, and the sampling stream, for `set_state`: a copy."""
        arrays = {f"arrays.{name}": array[: len(self)].copy() for name, array in self.arrays.items()}
        return {**arrays, "added": self._added, "random_state": self.random_state.copy()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from what `get_state` of a buffer of the same fields and maxlen gave.

        Raises:
            ValueError: another state; nothing is changed then.
        """
        check_state("buffer", state, self.state_form(state))
        self._added = state["added"]
        self._changes += 1
        self.random_state[:] = state["random_state"]
        for name, array in self.arrays.items():
            array[: len(self)] = state[f"arrays.{name}"]

    def state_form(self, state: Any) -> Form:
        """What `set_state` takes, for as many items as `state` says that it holds."""
        added = state.get("added") if isinstance(state, Mapping) else None
        rows = min(added, self._maxlen) if Whole().takes(added, {}) else 0
        arrays = {f"arrays.{name}": Array(dtype, (rows, *shape)) for name, (dtype, shape) in self._fields.items()}
        return {"added": Whole(), **arrays, "random_state": KernelStream()}

    def _fit_batch(self, batch_size: int) -> None:
        if not self._batch or len(self._batch[0]) != batch_size:
            batch_size = check("batch_size", Count, batch_size)
            self._batch = tuple(np.zeros((batch_size, *a.shape[1:]), a.dtype) for a in self.arrays.values())
            self._batch_bytes = tuple(_as_bytes(array) for array in self._batch)

    def _as_batch(self) -> Any:
        return self._batch[0] if self._single else _row_type(tuple(self.arrays))(*self._batch)

    def _as_row(self, item: Any) -> Sequence[Any]:
        if not isinstance(item, tuple) or len(item) != len(self.arrays):
            raise InputError(f"an item must be a tuple ({', '.join(self.arrays)}), got {item!r}")
        return item


class FieldView(Sequence):
    """One field of a buffer as a sequence, oldest first. It changes with the buffer."""

    def __init__(self, buffer: ReplayBuffer, name: str) -> None:
        if name not in buffer.arrays:
            raise KeyError(f"no field {name!r}; there are {', '.join(buffer.arrays)}")
        self._buffer, self._name = buffer, name

    def __len__(self) -> int:
        return len(self._buffer)

    def __getitem__(self, index: Any) -> Any:
        return _item(self._buffer.arrays[self._name], self._buffer.slot(index))

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("copy must be None or True: the items of a ring are copied to bring them in order")
        return self._buffer.chronological(self._name).astype(dtype or self._buffer.arrays[self._name].dtype, copy=False)


@functools.cache
def _row_type(names: tuple[str, ...]) -> type:
    return Transition if names == Transition._fields else collections.namedtuple("Row", names)


def _checked(array: np.ndarray, value: Any) -> np.ndarray:
    """`value` as an array that a row of `array` can take."""
    value = np.asarray(value)
    if value.shape != array.shape[1:]:
        raise InputError(f"an item must have shape {array.shape[1:]}, got {value.shape}")
    if value.dtype != array.dtype and not _fits(value, array.dtype):
        raise TypeError(f"an item must be {array.dtype}, got {value.dtype}")
    return value


def _as_bytes(array: np.ndarray) -> np.ndarray:
    """The same memory as uint8[len, bytes per item]: one compiled kernel serves every dtype and shape."""
    return array.reshape(len(array), -1).view(np.uint8)


def _fits(values: np.ndarray, dtype: np.dtype) -> bool:
    """Whether `dtype` holds `values`: floats may be rounded, integers must be in range, nothing else changes kind."""
    if np.can_cast(values.dtype, dtype, "same_kind"):
        return True
    if values.dtype.kind not in "iu" or dtype.kind not in "iu":
        return not values.size
    return not values.size or (values.min() >= np.iinfo(dtype).min and values.max() <= np.iinfo(dtype).max)


def _item(array: np.ndarray, slot: int) -> Any:
    value = array[slot]
    return value.copy() if isinstance(value, np.ndarray) else value


def sample_together(buffers: Sequence[ReplayBuffer], oldest: int, batch_size: int) -> list[np.ndarray]:
    """Rows drawn uniformly with replacement from single-field buffers that are appended to together.

    Args:
        buffers: of one maxlen and one length; the first one's stream is drawn from.
        oldest: only the so many oldest rows are drawn from, at most the length.
        batch_size: rows B.

    Returns:
        One array [B, *shape] per buffer, the same row in each; made once and filled again by the next call.
    """
    one = buffers[0]
    for buffer in buffers:
        buffer._fit_batch(batch_size)
    fields, batch = tuple(b._bytes[0] for b in buffers), tuple(b._batch_bytes[0] for b in buffers)
    sample_rows(one.random_state, one.oldest_slot, oldest, fields, batch)
    return [buffer._batch[0] for buffer in buffers]
