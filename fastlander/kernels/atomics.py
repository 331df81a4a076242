"""Atomic operations on an int64 array that several threads read and write."""

from numba import types
from numba.extending import intrinsic


def _int64_pointer(context, builder, sig, args):
    data = context.make_array(sig.args[0])(context, builder, args[0]).data
    return builder.gep(data, [context.cast(builder, args[1], sig.args[1], types.intp)])


@intrinsic
def atomic_load(typing_context, array, index):
    """The value of array[index], int64[...], with all that other threads wrote before."""

    def generate(context, builder, sig, args):
        return builder.load_atomic(_int64_pointer(context, builder, sig, args), "seq_cst", 8)

    return types.int64(array, index), generate


@intrinsic
def atomic_exchange(typing_context, array, index, value):
    """Set array[index], int64[...], to `value` in one indivisible operation. Returns the value before."""

    def generate(context, builder, sig, args):
        value = context.cast(builder, args[2], sig.args[2], types.int64)
        return builder.atomic_rmw("xchg", _int64_pointer(context, builder, sig, args), value, "seq_cst")

    return types.int64(array, index, value), generate


@intrinsic
def atomic_replace(typing_context, array, index, old, new):
    """Set array[index], int64[...], to `new` if it is `old`, in one indivisible operation. Returns whether it was."""

    def generate(context, builder, sig, args):
        old, new = (context.cast(builder, args[k], sig.args[k], types.int64) for k in (2, 3))
        pointer = _int64_pointer(context, builder, sig, args)
        return builder.extract_value(builder.cmpxchg(pointer, old, new, "seq_cst", "seq_cst"), 1)

    return types.boolean(array, index, old, new), generate
