"""Vectors, rotations and transforms (Box2D 2.3, `b2Math.h`), for scalars and lanes alike.

The order of operations is exactly Box2D's, because float32 addition is not associative. Products with zero stay too,
because they decide the sign of a zero.
"""

from typing import NamedTuple

import numpy as np

from fastlander.kernels.jit import inlined
from fastlander.kernels.lanes import Number
from fastlander.kernels.simd import any_lane, libm_cos, libm_sin, square_root, to_f32, to_f64, to_i32, where
from fastlander.physics.constants import EPSILON, ONE, ZERO


class Vec2(NamedTuple):
    """b2Vec2."""

    x: Number
    y: Number


class Rot(NamedTuple):
    """b2Rot: sine and cosine of an angle."""

    s: Number
    c: Number


class Motion(NamedTuple):
    """Position (m, rad) or velocity (m/s, rad/s) of a body's centre of mass: b2Position or b2Velocity."""

    x: Number
    y: Number
    a: Number


@inlined
def minimum(a, b):
    """b2Min."""
    return where(a < b, a, b)


@inlined
def maximum(a, b):
    """b2Max."""
    return where(a > b, a, b)


@inlined
def clamp(a, low, high):
    """b2Clamp."""
    return maximum(low, minimum(a, high))


@inlined
def absolute(a):
    """b2Abs."""
    return where(a > ZERO, a, -a)


@inlined
def dot(a, b):
    """b2Dot."""
    return a.x * b.x + a.y * b.y


@inlined
def cross(a, b):
    """b2Cross of two vectors."""
    return a.x * b.y - a.y * b.x


@inlined
def cross_scalar(s, a):
    """b2Cross of a scalar and a vector."""
    return Vec2(-s * a.y, s * a.x)


@inlined
def sub(a, b):
    """a - b."""
    return Vec2(a.x - b.x, a.y - b.y)


@inlined
def scale(s, a):
    """s * a."""
    return Vec2(s * a.x, s * a.y)


@inlined
def length(a):
    """b2Vec2::Length."""
    return square_root(a.x * a.x + a.y * a.y)


@inlined
def normalize(a):
    """b2Vec2::Normalize: (unit vector, length). A vector shorter than EPSILON is returned as it is, with length 0."""
    size = length(a)
    short = size < EPSILON
    inverse = ONE / size
    return Vec2(where(short, a.x, a.x * inverse), where(short, a.y, a.y * inverse)), where(short, ZERO, size)


@inlined
def inverse_or_zero(det):
    """1 / det, or 0 if det is 0, as in b2Mat22::Solve and b2Mat33::Solve33."""
    return where(det != ZERO, ONE / det, det)


@inlined
def rotate(q, v):
    """b2Mul(b2Rot, b2Vec2)."""
    return Vec2(q.c * v.x - q.s * v.y, q.s * v.x + q.c * v.y)


@inlined
def rotate_inverse(q, v):
    """b2MulT(b2Rot, b2Vec2)."""
    return Vec2(q.c * v.x + q.s * v.y, -q.s * v.x + q.c * v.y)


@inlined
def transform(q, p, v):
    """b2Mul(b2Transform, b2Vec2)."""
    return Vec2((q.c * v.x - q.s * v.y) + p.x, (q.s * v.x + q.c * v.y) + p.y)


@inlined
def transform_inverse(q, p, v):
    """b2MulT(b2Transform, b2Vec2)."""
    return rotate_inverse(q, Vec2(v.x - p.x, v.y - p.y))


# The moon is at the origin and not rotated: sin 0 = 0 and cos 0 = 1. Below, products with 1 are left out. Products with
# 0 stay, because they may change the sign of a zero.


@inlined
def moon_rotate(v):
    """b2Mul(b2Rot, b2Vec2) with the moon's rotation."""
    return Vec2(v.x - ZERO * v.y, ZERO * v.x + v.y)


@inlined
def moon_transform(v):
    """b2Mul(b2Transform, b2Vec2) with the moon's transform."""
    return Vec2((v.x - ZERO * v.y) + ZERO, (ZERO * v.x + v.y) + ZERO)


# glibc's sinf and cosf (s_sincosf_data.c): a reduction to [-pi/4, pi/4] and two polynomials, in float64. The
# coefficients are glibc's; n counts quarter turns, and 2^24 is the scale of its fixed-point rounding.
_TWO_OVER_PI_2_24, _HALF_PI = (float.fromhex(x) for x in ("0x1.45F306DC9C883p+23", "0x1.921FB54442D18p0"))
_S1, _S2, _S3 = (float.fromhex(x) for x in ("-0x1.555545995a603p-3", "0x1.1107605230bc4p-7", "-0x1.994eb3774cf24p-13"))
_C1, _C2 = (float.fromhex(x) for x in ("-0x1.ffffffd0c621cp-2", "0x1.55553e1068f19p-5"))
_C3, _C4 = (float.fromhex(x) for x in ("-0x1.6c087e89a359dp-10", "0x1.99343027bf8c3p-16"))
_TINY, _LARGE = np.float32(2**-12), np.float32(16)
_ROUND, _24, _1, _2 = np.int32(0x800000), np.int32(24), np.int32(1), np.int32(2)
_ONE64, _ZERO32 = np.float64(1), np.int32(0)


@inlined
def rotation(angle):
    """b2Rot::Set: (sinf(angle), cosf(angle)) with the bits of glibc's. From 16 rad on the C library computes them."""
    x = to_f64(angle)
    n = (to_i32(x * _TWO_OVER_PI_2_24) + _ROUND) >> _24
    x = x - to_f64(n) * _HALF_PI
    x2 = x * x
    x3 = x * x2
    s1 = _S2 + x2 * _S3
    sine = (x + x3 * _S1) + (x3 * x2) * s1
    x4 = x2 * x2
    c2 = _C3 + x2 * _C4
    c1 = _ONE64 + x2 * _C1
    cosine = (c1 + x4 * _C2) + (x4 * x2) * c2
    odd = (n & _1) != _ZERO32
    s = to_f32(where(odd, cosine, sine))
    c = to_f32(where(odd, sine, cosine))
    s = where((n & _2) != _ZERO32, -s, s)
    c = where(((n + _1) & _2) != _ZERO32, -c, c)
    size = absolute(angle)
    s = where(size < _TINY, angle, s)
    large = size >= _LARGE
    if any_lane(large):
        s = where(large, libm_sin(angle), s)
        c = where(large, libm_cos(angle), c)
    return Rot(s, c)
