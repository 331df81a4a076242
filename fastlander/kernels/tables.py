"""Arrays that a kernel knows as a pointer: `viewer`.

Numba hands an array to a function as eight numbers or more, and tests every index for being negative. The parts of the
lander take arrays by the dozen, so most of the code that LLVM had to read, and much of the time that compiling took,
was about that. A table is one number, a pointer, and one more for each dimension whose length is not known while
compiling. Its indices are not tested: a negative one reads what is before the table.

Its int32 numbers are read as int64, the type of loops and of row numbers: with both, many parts were compiled twice.

In Python a table is a NumPy array.
"""

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import lower_builtin, models, register_model, type_callable

_WORD = ir.IntType(64)


class Table(types.Type):
    """Numba's type of a table.

    Args:
        dtype: of its elements.
        steps: for each dimension how many elements lie from one index to the next; None for a number that the table
            has with it.
    """

    def __init__(self, dtype: types.Type, steps: tuple[int | None, ...]) -> None:
        self.dtype, self.steps = dtype, steps
        super().__init__(name=f"{dtype}{list(steps)}")


@register_model(Table)
class _TableModel(models.StructModel):
    def __init__(self, dmm, fe_type):
        known = [(f"step{k}", types.intp) for k, step in enumerate(fe_type.steps) if step is None]
        super().__init__(dmm, fe_type, [("data", types.CPointer(fe_type.dtype)), *known])


def pointer_to(context, builder, type_, value):
    """A pointer to the first element of a table or an array. A pointer is one already. type_: Numba's, of `value`."""
    if isinstance(type_, types.CPointer):
        return value
    make = cgutils.create_struct_proxy(type_) if isinstance(type_, Table) else context.make_array(type_)
    return make(context, builder, value=value).data


def row_length(context, builder, type_, value):
    """How many elements lie from one row of a two-dimensional table or array to the next, as an LLVM integer."""
    if not isinstance(type_, Table):
        return cgutils.unpack_tuple(builder, context.make_array(type_)(context, builder, value).shape, 2)[1]
    return _step(context, builder, type_, value, 0)


def _step(context, builder, table, value, k):
    if table.steps[k] is not None:
        return ir.Constant(_WORD, table.steps[k])
    return getattr(cgutils.create_struct_proxy(table)(context, builder, value=value), f"step{k}")


def viewer(dtype: Any, *inner: int | None) -> Callable[..., np.ndarray]:
    """A function that gives a table in memory, for Python and for kernels.

    The function takes memory, uint8[...], the byte at which the table starts, the length of its first dimension, and
    the length that was None, if there was one.

    Args:
        dtype: of the elements, a NumPy type.
        inner: the lengths of all dimensions but the first. A single None is given with the memory.
    """
    size = np.dtype(dtype).itemsize
    if None in inner and inner != (None,):
        raise ValueError(f"a table with an open length must have two dimensions, got {inner}")
    # A step is the product of the lengths after it.
    steps = (None, 1) if None in inner else tuple(math.prod(inner[k:]) for k in range(len(inner) + 1))

    def view(memory, start, length, columns=0):
        shape = (length, *(columns if known is None else known for known in inner))
        return memory[start : start + size * math.prod(shape)].view(dtype).reshape(shape)

    table = Table(_numba_type(dtype), steps)

    @type_callable(view)
    def type_view(typing_context):
        return lambda memory, start, length, columns=types.intp: table

    def lower_view(context, builder, sig, args):
        numbers = [context.cast(builder, args[k], sig.args[k], types.intp) for k in range(1, len(args))]
        struct = cgutils.create_struct_proxy(table)(context, builder)
        byte = builder.gep(pointer_to(context, builder, sig.args[0], args[0]), numbers[:1])
        struct.data = builder.bitcast(byte, struct.data.type)
        if None in steps:
            struct.step0 = numbers[2]
        return struct._getvalue()

    for open_lengths in ((), (types.Integer,)):
        lower_builtin(view, types.Any, types.Integer, types.Integer, *open_lengths)(lower_view)
    return view


def _numba_type(dtype: Any) -> types.Type:
    return types.boolean if dtype is np.bool_ else getattr(types, np.dtype(dtype).name)


def _indices(index):
    """The types of an index' numbers, or None for an index that a table does not take."""
    found = tuple(index) if isinstance(index, types.BaseTuple) else (index,)
    return found if all(isinstance(i, types.Integer) for i in found) else None


def _at(table, index):
    """What a table has at an index of this type: an element, a smaller table, or None."""
    indices = _indices(index)
    if indices is None or len(indices) > len(table.steps):
        return None
    rest = table.steps[len(indices) :]
    return Table(table.dtype, rest) if rest else table.dtype


@infer_global(operator.getitem)
class _GetItem(AbstractTemplate):
    def generic(self, args, kws):
        if not isinstance(args[0], Table):
            return None
        found = _at(*args)
        if found is None:
            return None
        return signature(types.int64 if found == types.int32 else found, *args)


@infer_global(operator.setitem)
class _SetItem(AbstractTemplate):
    def generic(self, args, kws):
        table, index, value = args
        if not isinstance(table, Table) or _at(table, index) != table.dtype:
            return None
        return signature(types.none, table, index, table.dtype) if self._fits(value, table.dtype) else None

    def _fits(self, value, dtype):
        return self.context.can_convert(value, dtype) is not None


def _place(context, builder, table, value, index_type, index):
    """A pointer to what a table has at an index."""
    kinds = _indices(index_type)
    numbers = cgutils.unpack_tuple(builder, index) if isinstance(index_type, types.BaseTuple) else [index]
    pointer = pointer_to(context, builder, table, value)
    for k, (number, kind) in enumerate(zip(numbers, kinds, strict=True)):
        number = context.cast(builder, number, kind, types.intp)
        step = _step(context, builder, table, value, k)
        if not isinstance(step, ir.Constant) or step.constant != 1:
            number = builder.mul(number, step)
        pointer = builder.gep(pointer, [number])
    return pointer


@lower_builtin(operator.getitem, Table, types.Integer)
@lower_builtin(operator.getitem, Table, types.BaseTuple)
def _lower_getitem(context, builder, sig, args):
    table, index = sig.args
    place = _place(context, builder, table, args[0], index, args[1])
    if not isinstance(sig.return_type, Table):
        value = context.unpack_value(builder, table.dtype, place)
        return context.cast(builder, value, table.dtype, sig.return_type)
    smaller = cgutils.create_struct_proxy(sig.return_type)(context, builder)
    smaller.data = place
    return smaller._getvalue()


@lower_builtin(operator.setitem, Table, types.Integer, types.Any)
@lower_builtin(operator.setitem, Table, types.BaseTuple, types.Any)
def _lower_setitem(context, builder, sig, args):
    table, index, _ = sig.args
    place = _place(context, builder, table, args[0], index, args[1])
    context.pack_value(builder, table.dtype, args[2], place)
    return context.get_dummy_value()
