"""Functions of lanes (see `lanes`): choice, reductions, casts, roots and more. Most of them take scalars as well."""

from llvmlite import ir
from numba import types
from numba.core import cgutils, errors
from numba.extending import intrinsic

from fastlander.kernels.lanes import ELEMENTS, I32, SCALARS, Lanes, broadcast


def _unsupported(name, *args):
    return errors.TypingError(f"{name} does not take {', '.join(map(str, args))}")


def _bit(context, builder, value, type_):
    """A mask or a boolean as LLVM's type i1, or a vector of i1."""
    return value if isinstance(type_, Lanes) else context.cast(builder, value, type_, types.boolean)


@intrinsic
def where(typing_context, mask, a, b):
    """`a` where `mask` holds, else `b`. There is no branch: both are computed."""
    if isinstance(mask, Lanes) or isinstance(a, Lanes) or isinstance(b, Lanes):
        lanes = next((t for t in (a, b) if isinstance(t, Lanes)), None)
        if lanes is None:
            lanes = Lanes(next(e for e, t in SCALARS.items() if t == a), mask.width)
    elif a == b:
        lanes = a
    else:
        raise _unsupported("where", mask, a, b)

    def generate(context, builder, sig, args):
        condition = _bit(context, builder, args[0], sig.args[0])
        if not isinstance(lanes, Lanes):
            return builder.select(condition, args[1], args[2])
        yes, no = (broadcast(context, builder, args[i], sig.args[i], lanes) for i in (1, 2))
        return builder.select(condition, yes, no)

    return lanes(mask, a, b), generate


def _reduction(name):
    @intrinsic
    def reduce(typing_context, mask):
        def generate(context, builder, sig, args):
            if not isinstance(sig.args[0], Lanes):
                return args[0]
            function_type = ir.FunctionType(ir.IntType(1), [sig.args[0].llvm])
            llvm_name = f"llvm.vector.reduce.{name}.v{sig.args[0].width}i1"
            return builder.call(cgutils.get_or_insert_function(builder.module, function_type, llvm_name), args)

        return types.boolean(mask), generate

    return reduce


any_lane = _reduction("or")
"""Whether a mask holds in at least one lane. A boolean stays what it is."""
all_lanes = _reduction("and")
"""Whether a mask holds in every lane. A boolean stays what it is."""


@intrinsic
def lane_bits(typing_context, mask):
    """A mask as an int64, lane k as its bit k. Lanes only."""

    def generate(context, builder, sig, args):
        return builder.zext(builder.bitcast(args[0], ir.IntType(mask.width)), ir.IntType(64))

    return types.int64(mask), generate


@intrinsic
def square_root(typing_context, x):
    """The square root, correctly rounded, in the type of `x`."""
    element = (
        ELEMENTS[x.element]
        if isinstance(x, Lanes)
        else {"float32": ELEMENTS["f32"], "float64": ELEMENTS["f64"]}[x.name]
    )
    suffix = "f32" if element == ELEMENTS["f32"] else "f64"

    def generate(context, builder, sig, args):
        value_type = sig.args[0].llvm if isinstance(sig.args[0], Lanes) else element
        name = f"llvm.sqrt.v{x.width}{suffix}" if isinstance(x, Lanes) else f"llvm.sqrt.{suffix}"
        function_type = ir.FunctionType(value_type, [value_type])
        return builder.call(cgutils.get_or_insert_function(builder.module, function_type, name), args)

    return x(x), generate


def _cast_to(element):
    @intrinsic
    def cast(typing_context, x):
        if not isinstance(x, Lanes):
            scalar = SCALARS[element]
            return scalar(x), lambda context, builder, sig, args: context.cast(builder, args[0], x, scalar)
        target = Lanes(element, x.width)
        instruction = {
            ("f32", "f64"): "fpext",
            ("f64", "f32"): "fptrunc",
            ("f64", "i32"): "fptosi",
            ("i32", "f64"): "sitofp",
        }[x.element, element]

        def generate(context, builder, sig, args):
            return getattr(builder, instruction)(args[0], target.llvm)

        return target(x), generate

    return cast


to_f32, to_f64, to_i32 = (_cast_to(element) for element in ("f32", "f64", "i32"))
"""A scalar or lanes as another type of number, rounded as C does it."""


def _per_lane(name):
    @intrinsic
    def apply(typing_context, x):
        def generate(context, builder, sig, args):
            element = ELEMENTS["f32"]
            function_type = ir.FunctionType(element, [element])
            function = cgutils.get_or_insert_function(builder.module, function_type, f"llvm.{name}.f32")
            if not isinstance(x, Lanes):
                return builder.call(function, args)
            result = ir.Constant(x.llvm, ir.Undefined)
            for i in range(x.width):
                lane = ir.Constant(I32, i)
                value = builder.call(function, [builder.extract_element(args[0], lane)])
                result = builder.insert_element(result, value, lane)
            return result

        return x(x), generate

    return apply


libm_sin, libm_cos = _per_lane("sin"), _per_lane("cos")
"""sinf and cosf of the C library for float32, computed for one lane after the other."""


@intrinsic
def bits(typing_context, x):
    """The bit pattern of float32 numbers as int32. Compared by it, -0 and 0 differ, and a NaN equals itself."""
    result = Lanes("i32", x.width) if isinstance(x, Lanes) else types.int32

    def generate(context, builder, sig, args):
        return builder.bitcast(args[0], result.llvm if isinstance(result, Lanes) else I32)

    return result(x), generate


@intrinsic
def multiply_add(typing_context, a, b, c):
    """a * b + c, rounded once where the processor can do that. `c` is lanes.

    For the learner only: the physics must round as Box2D does, after each operation.
    """
    name = f"llvm.fmuladd.v{c.width}f32"

    def generate(context, builder, sig, args):
        function_type = ir.FunctionType(c.llvm, [c.llvm] * 3)
        function = cgutils.get_or_insert_function(builder.module, function_type, name)
        operands = [broadcast(context, builder, args[i], sig.args[i], c) for i in range(2)]
        return builder.call(function, [*operands, args[2]])

    return c(a, b, c), generate


@intrinsic
def lane_sum(typing_context, x):
    """The sum of float32 lanes, always in the same order: the two halves are added until one number is left."""

    def generate(context, builder, sig, args):
        value, width = args[0], x.width
        while width > 1:
            width //= 2
            empty = ir.Constant(value.type, ir.Undefined)
            low, high = (
                builder.shuffle_vector(
                    value, empty, ir.Constant(ir.VectorType(I32, width), [start + i for i in range(width)])
                )
                for start in (0, width)
            )
            value = builder.fadd(low, high)
        return builder.extract_element(value, ir.Constant(I32, 0))

    return types.float32(x), generate
