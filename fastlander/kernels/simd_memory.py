"""Reading and writing arrays: lanes by index (gather, scatter), lanes from consecutive places, single numbers."""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from fastlander.kernels.lanes import I32, Lanes, broadcast
from fastlander.kernels.tables import pointer_to, row_length


def _index_loader(width):
    @intrinsic
    def index(typing_context, array, start):
        lanes = Lanes("i32", width)

        def generate(context, builder, sig, args):
            data = pointer_to(context, builder, sig.args[0], args[0])
            pointer = builder.gep(data, [context.cast(builder, args[1], sig.args[1], types.intp)])
            load = builder.load(builder.bitcast(pointer, lanes.llvm.as_pointer()))
            load.align = 4
            return load

        return lanes(array, start), generate

    return index


index16, index32 = _index_loader(16), _index_loader(32)
"""Lanes of int32 from `array[start:]`: the indices that `gather` and `scatter` take."""


def _element_pointer(context, builder, array_type, array, row, row_type, column):
    """A pointer to array[row, column] of a C-contiguous array. `column` may be an LLVM vector of i32."""
    row = context.cast(builder, row, row_type, types.intp)
    stride = row_length(context, builder, array_type, array)
    base = builder.gep(pointer_to(context, builder, array_type, array), [builder.mul(row, stride)])
    return builder.gep(base, [column])


@intrinsic
def gather(typing_context, array, row, index):
    """array[row, index], a number. For an index that is lanes: lanes of numbers."""
    if not isinstance(index, Lanes):

        def generate(context, builder, sig, args):
            column = context.cast(builder, args[2], index, types.intp)
            return builder.load(_element_pointer(context, builder, array, args[0], args[1], row, column))

        return array.dtype(array, row, index), generate

    element = "f32" if array.dtype == types.float32 else "i32"
    lanes = Lanes(element, index.width)

    def generate_lanes(context, builder, sig, args):
        pointer = _element_pointer(context, builder, array, args[0], args[1], row, ir.Constant(I32, 0))
        result = ir.Constant(lanes.llvm, ir.Undefined)
        for i in range(lanes.width):
            lane = ir.Constant(I32, i)
            column = builder.sext(builder.extract_element(args[2], lane), ir.IntType(64))
            result = builder.insert_element(result, builder.load(builder.gep(pointer, [column])), lane)
        return result

    return lanes(array, row, index), generate_lanes


@intrinsic
def scatter(typing_context, array, row, index, value):
    """array[row, index] = value. For an index that is lanes: each lane's value at its own index."""

    def generate(context, builder, sig, args):
        if not isinstance(index, Lanes):
            column = context.cast(builder, args[2], index, types.intp)
            pointer = _element_pointer(context, builder, array, args[0], args[1], row, column)
            builder.store(context.cast(builder, args[3], value, array.dtype), pointer)
            return context.get_dummy_value()
        pointer = _element_pointer(context, builder, array, args[0], args[1], row, ir.Constant(I32, 0))
        vector = broadcast(
            context, builder, args[3], value, Lanes("f32" if array.dtype == types.float32 else "i32", index.width)
        )
        if isinstance(value, Lanes) and value.element == "mask":
            vector = builder.zext(args[3], ir.VectorType(I32, index.width))
        for i in range(index.width):
            lane = ir.Constant(I32, i)
            column = builder.sext(builder.extract_element(args[2], lane), ir.IntType(64))
            builder.store(builder.extract_element(vector, lane), builder.gep(pointer, [column]))
        return context.get_dummy_value()

    return types.none(array, row, index, value), generate


def _contiguous(width):
    lanes = Lanes("f32", width)

    def pointer(context, builder, sig, args):
        data = pointer_to(context, builder, sig.args[0], args[0])
        place = builder.gep(data, [context.cast(builder, args[1], sig.args[1], types.intp)])
        return builder.bitcast(place, lanes.llvm.as_pointer())

    @intrinsic
    def load(typing_context, array, start):
        def generate(context, builder, sig, args):
            value = builder.load(pointer(context, builder, sig, args))
            value.align = 4
            return value

        return lanes(array, start), generate

    @intrinsic
    def store(typing_context, array, start, value):
        def generate(context, builder, sig, args):
            builder.store(args[2], pointer(context, builder, sig, args), align=4)
            return context.get_dummy_value()

        return types.none(array, start, value), generate

    @intrinsic
    def fill(typing_context, number):
        return lanes(number), lambda context, builder, sig, args: broadcast(context, builder, args[0], number, lanes)

    return load, store, fill


load16, store16, fill16 = _contiguous(16)
load32, store32, fill32 = _contiguous(32)
"""load(array, start): float32 lanes from array[start : start + width] of a flat array. store(array, start, value): the
opposite. fill(number): a number in every lane."""


@intrinsic
def load1(typing_context, array, start):
    """array[start] of a flat array. `start` must not be negative: a test for that would take as long as the load."""

    def generate(context, builder, sig, args):
        data = pointer_to(context, builder, sig.args[0], args[0])
        return builder.load(builder.gep(data, [context.cast(builder, args[1], sig.args[1], types.intp)]))

    return array.dtype(array, start), generate


@intrinsic
def store1(typing_context, array, start, value):
    """array[start] = value for a flat array. `start` must not be negative."""

    def generate(context, builder, sig, args):
        data = pointer_to(context, builder, sig.args[0], args[0])
        place = builder.gep(data, [context.cast(builder, args[1], sig.args[1], types.intp)])
        builder.store(context.cast(builder, args[2], value, array.dtype), place)
        return context.get_dummy_value()

    return types.none(array, start, value), generate


@intrinsic
def prefetch(typing_context, array, row):
    """Begin to load the beginning of array[row] into the caches, of a C-contiguous array with one or two dimensions."""

    def generate(context, builder, sig, args):
        start, byte = context.cast(builder, args[1], sig.args[1], types.intp), ir.IntType(8).as_pointer()
        if array.ndim == 2:
            start = builder.mul(start, row_length(context, builder, array, args[0]))
        place = builder.bitcast(builder.gep(pointer_to(context, builder, array, args[0]), [start]), byte)
        function = ir.FunctionType(ir.VoidType(), [byte, I32, I32, I32])
        # Numbers of llvm.prefetch: 0 to read, 3 to keep in all caches, 1 for data.
        numbers = [ir.Constant(I32, number) for number in (0, 3, 1)]
        builder.call(builder.module.declare_intrinsic("llvm.prefetch", [byte], function), [place, *numbers])
        return context.get_dummy_value()

    return types.none(array, row), generate


@intrinsic
def transpose16(typing_context, out, to, to_row, array, start, row):
    """out[to + i * to_row + j] = array[start + j * row + i] for i and j from 0 to 15: a 16 by 16 block, transposed."""
    lanes, pairs = Lanes("f32", 16), ir.VectorType(I32, 16)

    def generate(context, builder, sig, args):
        def place(k, array, start, row):
            data = pointer_to(context, builder, sig.args[k], array)
            start, row = (
                context.cast(builder, value, sig.args[k + n], types.intp) for n, value in ((1, start), (2, row))
            )
            return lambda i: builder.bitcast(
                builder.gep(data, [builder.add(start, builder.mul(row, ir.Constant(row.type, i)))]),
                lanes.llvm.as_pointer(),
            )

        target, source = place(0, args[0], args[1], args[2]), place(3, args[3], args[4], args[5])
        rows = []
        for i in range(16):
            rows.append(builder.load(source(i)))
            rows[-1].align = 4
        # Exchange the off-diagonal quarters of squares of 16, 8, 4 and 2 rows.
        for size in (8, 4, 2, 1):
            low = ir.Constant(pairs, [j if j & size == 0 else 16 + j - size for j in range(16)])
            high = ir.Constant(pairs, [j + size if j & size == 0 else 16 + j for j in range(16)])
            for i in range(16):
                if i & size == 0:
                    upper, lower = rows[i], rows[i + size]
                    rows[i] = builder.shuffle_vector(upper, lower, low)
                    rows[i + size] = builder.shuffle_vector(upper, lower, high)
        for i in range(16):
            builder.store(rows[i], target(i), align=4)
        return context.get_dummy_value()

    return types.none(out, to, to_row, array, start, row), generate
