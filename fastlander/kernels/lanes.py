"""Vectors of 16 or 32 numbers that a Numba kernel handles like one number.

A *lanes* value holds an LLVM vector, for example `<16 x float>`; each of its numbers is a lane. `+ - * /`, negation and
comparisons act lane by lane and round like the scalar operation. A comparison gives a mask, and `where(mask, a, b)`
selects by it. A scalar combined with lanes counts as equal in all lanes. So a function that is written with these
operators steps one lander when it is called with float32, and sixteen landers when it is called with lanes, to the same
bits.

This file has the type and its operators. `simd` has functions of lanes, `simd_memory` reads and writes arrays.
"""

import operator
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import lower_builtin, models, register_model

# Python cannot check these types: they exist only inside compiled code.
Number = Any
"""A float32, or lanes of float32."""
Mask = Any
"""A boolean, or lanes of booleans."""

I32 = ir.IntType(32)

# LLVM's and Numba's types of the elements that lanes can have.
ELEMENTS = {"f32": ir.FloatType(), "f64": ir.DoubleType(), "i32": I32, "mask": ir.IntType(1)}
SCALARS = {"f32": types.float32, "f64": types.float64, "i32": types.int32, "mask": types.boolean}


class Lanes(types.Type):
    """Numba's type of a lanes value: `width` elements, each "f32", "f64", "i32" or "mask"."""

    def __init__(self, element, width):
        self.element, self.width = element, width
        super().__init__(name=f"{element}x{width}")

    @property
    def llvm(self):
        """The LLVM vector type."""
        return ir.VectorType(ELEMENTS[self.element], self.width)


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, dmm, fe_type):
        super().__init__(dmm, fe_type, fe_type.llvm)


def _is_float(lanes):
    return lanes.element in ("f32", "f64")


def _common(left, right):
    """The lanes type that `left` and `right` are combined in, or None. At least one of the two types is lanes."""
    lanes, other = (left, right) if isinstance(left, Lanes) else (right, left)
    if isinstance(other, Lanes):
        return lanes if lanes == other else None
    scalar = SCALARS[lanes.element]
    return lanes if other == scalar or (lanes.element == "i32" and isinstance(other, types.Integer)) else None


def broadcast(context, builder, value, type_, lanes):
    """`value` as an LLVM vector of type `lanes`: a scalar is copied to all lanes."""
    if isinstance(type_, Lanes):
        return value
    value = context.cast(builder, value, type_, SCALARS[lanes.element])
    if lanes.element == "mask":
        value = builder.trunc(value, ir.IntType(1)) if value.type != ir.IntType(1) else value
    empty = ir.Constant(lanes.llvm, ir.Undefined)
    first = builder.insert_element(empty, value, ir.Constant(I32, 0))
    return builder.shuffle_vector(first, empty, ir.Constant(ir.VectorType(I32, lanes.width), [0] * lanes.width))


def _register(op, accepts, result, lower):
    """Teach Numba the operator `op` for two lanes values, and for lanes and a scalar.

    accepts(lanes): whether the operator exists for that type. result(lanes): the type of what it gives.
    lower(builder, lanes, a, b): writes the instruction.
    """

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


def _arithmetic(of_floats, of_integers):
    return lambda builder, lanes, a, b: getattr(builder, of_floats if _is_float(lanes) else of_integers)(a, b)


for _op, _names in {
    operator.add: ("fadd", "add"),
    operator.sub: ("fsub", "sub"),
    operator.mul: ("fmul", "mul"),
}.items():
    _register(_op, lambda lanes: lanes.element != "mask", lambda lanes: lanes, _arithmetic(*_names))
_register(operator.truediv, _is_float, lambda lanes: lanes, lambda builder, lanes, a, b: builder.fdiv(a, b))


def _comparison(symbol):
    def lower(builder, lanes, a, b):
        if _is_float(lanes):
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
    _register(_op, lambda lanes: not _is_float(lanes), lambda lanes: lanes, _arithmetic("", _name))
_register(operator.rshift, lambda lanes: lanes.element == "i32", lambda lanes: lanes, _arithmetic("", "ashr"))


@infer_global(operator.neg)
class _Negative(AbstractTemplate):
    def generic(self, args, kws):
        return signature(args[0], args[0]) if isinstance(args[0], Lanes) and _is_float(args[0]) else None


@lower_builtin(operator.neg, Lanes)
def _lower_neg(context, builder, sig, args):
    return builder.fneg(args[0])
