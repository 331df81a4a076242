"""Explicit vectors for Numba kernels: 16 or 32 numbers that a kernel handles as one.

A *lanes* value holds an LLVM vector (`<16 x float>` and the like). `+ - * /`, negation and comparisons act lane by lane
with the rounding of the scalar operation; a comparison gives a mask; `where(mask, a, b)` selects. A float32 scalar
beside a lanes value is broadcast. So a function written with these operators steps one lander when it is called with
float32 and sixteen when it is called with lanes, to the same bits.

`gather`, `scatter`, `where`, `any_lane`, `square_root` and the casts accept both scalars and lanes.
"""

import operator

from llvmlite import ir
from numba import types
from numba.core import cgutils, errors
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

I32 = ir.IntType(32)
_ELEMENTS = {"f32": ir.FloatType(), "f64": ir.DoubleType(), "i32": I32, "mask": ir.IntType(1)}
_SCALARS = {"f32": types.float32, "f64": types.float64, "i32": types.int32, "mask": types.boolean}


class Lanes(types.Type):
    """`width` numbers of one element type ("f32", "f64", "i32" or "mask") as a single Numba value."""

    def __init__(self, element, width):
        self.element, self.width = element, width
        super().__init__(name=f"{element}x{width}")

    @property
    def llvm(self):
        """The LLVM vector type."""
        return ir.VectorType(_ELEMENTS[self.element], self.width)


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, dmm, fe_type):
        super().__init__(dmm, fe_type, fe_type.llvm)


def _is_real(lanes):
    return lanes.element in ("f32", "f64")


def _common(left, right):
    """The lanes type of an operation on `left` and `right`, one of which is lanes; None if there is none."""
    lanes, other = (left, right) if isinstance(left, Lanes) else (right, left)
    if isinstance(other, Lanes):
        return lanes if lanes == other else None
    scalar = _SCALARS[lanes.element]
    return lanes if other == scalar or (lanes.element == "i32" and isinstance(other, types.Integer)) else None


def broadcast(context, builder, value, type_, lanes):
    """`value` as an LLVM vector of type `lanes`."""
    if isinstance(type_, Lanes):
        return value
    value = context.cast(builder, value, type_, _SCALARS[lanes.element])
    if lanes.element == "mask":
        value = builder.trunc(value, ir.IntType(1)) if value.type != ir.IntType(1) else value
    empty = ir.Constant(lanes.llvm, ir.Undefined)
    first = builder.insert_element(empty, value, ir.Constant(I32, 0))
    return builder.shuffle_vector(first, empty, ir.Constant(ir.VectorType(I32, lanes.width), [0] * lanes.width))


def _register(op, accepts, result, lower):
    """`op` on two lanes, or on lanes and a scalar."""

    @infer_global(op)
    class Template(AbstractTemplate):
        def generic(self, args, kws):
            if len(args) == 2 and any(isinstance(a, Lanes) for a in args):
                lanes = _common(*args)
                if lanes is not None and accepts(lanes):
                    return signature(result(lanes), *args)
            return None

    def implement(context, builder, sig, args):
        lanes = _common(*sig.args)
        operands = [broadcast(context, builder, v, t, lanes) for v, t in zip(args, sig.args, strict=True)]
        return lower(builder, lanes, *operands)

    lower_builtin(op, Lanes, Lanes)(implement)
    lower_builtin(op, Lanes, types.Number)(implement)
    lower_builtin(op, types.Number, Lanes)(implement)


def _arithmetic(real, whole):
    return lambda builder, lanes, a, b: getattr(builder, real if _is_real(lanes) else whole)(a, b)


for _op, _names in {
    operator.add: ("fadd", "add"),
    operator.sub: ("fsub", "sub"),
    operator.mul: ("fmul", "mul"),
}.items():
    _register(_op, lambda lanes: lanes.element != "mask", lambda lanes: lanes, _arithmetic(*_names))
_register(operator.truediv, _is_real, lambda lanes: lanes, lambda builder, lanes, a, b: builder.fdiv(a, b))


def _comparison(symbol):
    def lower(builder, lanes, a, b):
        if _is_real(lanes):
            return builder.fcmp_unordered(symbol, a, b) if symbol == "!=" else builder.fcmp_ordered(symbol, a, b)
        return builder.icmp_signed(symbol, a, b)

    return lower


for _op, _symbol in {
    operator.lt: "<",
    operator.le: "<=",
    operator.gt: ">",
    operator.ge: ">=",
    operator.eq: "==",
    operator.ne: "!=",
}.items():
    _register(
        _op, lambda lanes: lanes.element != "mask", lambda lanes: Lanes("mask", lanes.width), _comparison(_symbol)
    )

for _op, _name in {operator.and_: "and_", operator.or_: "or_", operator.xor: "xor"}.items():
    _register(_op, lambda lanes: not _is_real(lanes), lambda lanes: lanes, _arithmetic("", _name))
_register(operator.rshift, lambda lanes: lanes.element == "i32", lambda lanes: lanes, _arithmetic("", "ashr"))


@infer_global(operator.neg)
class _Negative(AbstractTemplate):
    def generic(self, args, kws):
        return signature(args[0], args[0]) if isinstance(args[0], Lanes) and _is_real(args[0]) else None


@lower_builtin(operator.neg, Lanes)
def _lower_neg(context, builder, sig, args):
    return builder.fneg(args[0])


def _unsupported(name, *args):
    return errors.TypingError(f"{name} does not take {', '.join(map(str, args))}")


def _bit(context, builder, value, type_):
    """A mask or a boolean as LLVM's i1 (or a vector of them)."""
    return value if isinstance(type_, Lanes) else context.cast(builder, value, type_, types.boolean)


@intrinsic
def where(typing_context, mask, a, b):
    """`a` where `mask`, else `b`; no branch: both are computed."""
    if isinstance(mask, Lanes) or isinstance(a, Lanes) or isinstance(b, Lanes):
        lanes = next((t for t in (a, b) if isinstance(t, Lanes)), None)
        if lanes is None:
            lanes = Lanes(next(e for e, t in _SCALARS.items() if t == a), mask.width)
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
"""Whether a mask holds in some lane; a boolean stays itself."""
all_lanes = _reduction("and")
"""Whether a mask holds in every lane; a boolean stays itself."""


@intrinsic
def square_root(typing_context, x):
    """sqrt, correctly rounded, in the type of `x`."""
    element = (
        _ELEMENTS[x.element]
        if isinstance(x, Lanes)
        else {"float32": _ELEMENTS["f32"], "float64": _ELEMENTS["f64"]}[x.name]
    )
    suffix = "f32" if element == _ELEMENTS["f32"] else "f64"

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
            scalar = _SCALARS[element]
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


def _per_lane(name):
    @intrinsic
    def apply(typing_context, x):
        def generate(context, builder, sig, args):
            element = _ELEMENTS["f32"]
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
"""sinf and cosf of the C library, float32, one lane after the other."""


@intrinsic
def bits(typing_context, x):
    """The bit pattern of float32 numbers as int32: tells -0 from 0, and equal NaNs are equal."""
    result = Lanes("i32", x.width) if isinstance(x, Lanes) else types.int32

    def generate(context, builder, sig, args):
        return builder.bitcast(args[0], result.llvm if isinstance(result, Lanes) else I32)

    return result(x), generate


@intrinsic
def multiply_add(typing_context, a, b, c):
    """a * b + c, in one rounding where the processor can: for the learner, never for the physics. c is lanes."""
    name = f"llvm.fmuladd.v{c.width}f32"

    def generate(context, builder, sig, args):
        function_type = ir.FunctionType(c.llvm, [c.llvm] * 3)
        function = cgutils.get_or_insert_function(builder.module, function_type, name)
        operands = [broadcast(context, builder, args[i], sig.args[i], c) for i in range(2)]
        return builder.call(function, [*operands, args[2]])

    return c(a, b, c), generate


@intrinsic
def lane_sum(typing_context, x):
    """The sum of float32 lanes, in one fixed order: halves are added until one number is left."""

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
