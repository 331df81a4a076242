"""Numba's types of the arrays that kernels take, by what they hold."""

from numba import types


def array_of(dtype: types.Type, dimensions: int = 1) -> types.Array:
    """The type of a NumPy array in C order."""
    return types.Array(dtype, dimensions, "C")


BYTES, FLAGS, WORDS, STREAM = (array_of(t) for t in (types.uint8, types.boolean, types.int64, types.uint64))
FLOATS, DOUBLES, ROWS = array_of(types.float32), array_of(types.float64), array_of(types.float32, 2)
TRANSITIONS = (ROWS, WORDS, FLOATS, ROWS, FLOATS)
"""Of the fields of a `Transition`."""


def served(*arguments: types.Type) -> tuple[types.Type, ...]:
    """The types of a serving kernel's arguments: signal, patience, what its work takes."""
    return WORDS, types.int64, types.Tuple(arguments)
