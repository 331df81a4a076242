"""When a moving body first touches an edge of the moon: Box2D 2.3, `b2TimeOfImpact.cpp`. Scalars only."""

from typing import NamedTuple

import numpy as np

from fastlander.kernels.jit import inlined, part
from fastlander.physics.collide_edge import local_vertex
from fastlander.physics.constants import HALF, LINEAR_SLOP, MAX_POLYGON_VERTICES, ONE, PI, TOTAL_RADIUS, TWO, ZERO
from fastlander.physics.distance import Cache, body_support, distance, edge_support, edge_vertex
from fastlander.physics.vector_math import (
    Motion,
    Vec2,
    dot,
    moon_rotate,
    moon_transform,
    normalize,
    rotate,
    rotate_inverse,
    rotation,
    sub,
    transform,
)

MAX_ITERATIONS = 20  # b2TimeOfImpact's k_maxIterations
MAX_ROOT_ITERATIONS = 50  # of the search for the time at which the separation is TARGET
_PUSHED = TOTAL_RADIUS - np.float32(3) * LINEAR_SLOP
TARGET = LINEAR_SLOP if LINEAR_SLOP > _PUSHED else _PUSHED  # m: bodies stop at this distance, without radii
TOLERANCE = np.float32(0.25) * LINEAR_SLOP  # m
_POINTS, _FACE_A, _FACE_B = 0, 1, 2  # b2SeparationFunction::Type


class Sweep(NamedTuple):
    """b2Sweep: a body's motion over a step. The moon does not move and needs none."""

    c0: Motion  # at time 0
    c: Motion  # at time 1
    center: Vec2  # m, localCenter


class Separation(NamedTuple):
    """b2SeparationFunction: the distance along an axis as a function of time."""

    kind: int  # _POINTS, _FACE_A or _FACE_B
    axis: Vec2
    local_point: Vec2  # m


@inlined
def transform_at(sweep, t):
    """b2Sweep::GetTransform at time t in [0, 1]: (Rot, Vec2 in m)."""
    rest = ONE - t
    q = rotation(rest * sweep.c0.a + t * sweep.c.a)
    shift = rotate(q, sweep.center)
    return q, Vec2((rest * sweep.c0.x + t * sweep.c.x) - shift.x, (rest * sweep.c0.y + t * sweep.c.y) - shift.y)


@inlined
def make_separation(cache, index, v1, v2, body, sweep, t):
    """b2SeparationFunction::Initialize."""
    q, p = transform_at(sweep, t)
    a0, b0, a1, b1 = index[0, 0], index[0, 1], index[1, 0], index[1, 1]
    if cache.count == 1:
        axis, _ = normalize(sub(transform(q, p, local_vertex(body, b0)), moon_transform(edge_vertex(v1, v2, a0))))
        return Separation(_POINTS, axis, Vec2(ZERO, ZERO))
    if a0 == a1:
        first, second = local_vertex(body, b0), local_vertex(body, b1)
        between = sub(second, first)
        axis, _ = normalize(Vec2(between.y, -between.x))
        normal = rotate(q, axis)
        middle = Vec2(HALF * (first.x + second.x), HALF * (first.y + second.y))
        kind, s = _FACE_B, dot(sub(moon_transform(edge_vertex(v1, v2, a0)), transform(q, p, middle)), normal)
    else:
        first, second = edge_vertex(v1, v2, a0), edge_vertex(v1, v2, a1)
        between = sub(second, first)
        axis, _ = normalize(Vec2(between.y, -between.x))
        normal = moon_rotate(axis)
        middle = Vec2(HALF * (first.x + second.x), HALF * (first.y + second.y))
        kind, s = _FACE_A, dot(sub(transform(q, p, local_vertex(body, b0)), moon_transform(middle)), normal)
    if s < ZERO:
        axis = Vec2(-axis.x, -axis.y)
    return Separation(kind, axis, middle)


@inlined
def evaluate(function, v1, v2, body, sweep, on_edge, on_body, t):
    """b2SeparationFunction::Evaluate: the separation of two vertices at time t, m."""
    q, p = transform_at(sweep, t)
    if function.kind == _POINTS:
        between = sub(transform(q, p, local_vertex(body, on_body)), moon_transform(edge_vertex(v1, v2, on_edge)))
        return dot(between, function.axis)
    if function.kind == _FACE_A:
        between = sub(transform(q, p, local_vertex(body, on_body)), moon_transform(function.local_point))
        return dot(between, moon_rotate(function.axis))
    between = sub(moon_transform(edge_vertex(v1, v2, on_edge)), transform(q, p, function.local_point))
    return dot(between, rotate(q, function.axis))


@inlined
def find_min_separation(function, v1, v2, body, sweep, t):
    """b2SeparationFunction::FindMinSeparation: (separation, vertex on the edge, vertex on the body)."""
    q, _ = transform_at(sweep, t)
    axis, on_edge, on_body = function.axis, 0, 0
    if function.kind == _POINTS:
        on_edge = edge_support(v1, v2, moon_rotate(axis))
        on_body = body_support(body, rotate_inverse(q, Vec2(-axis.x, -axis.y)))
    elif function.kind == _FACE_A:
        normal = moon_rotate(axis)
        on_body = body_support(body, rotate_inverse(q, Vec2(-normal.x, -normal.y)))
    else:
        normal = rotate(q, axis)
        on_edge = edge_support(v1, v2, moon_rotate(Vec2(-normal.x, -normal.y)))
    return evaluate(function, v1, v2, body, sweep, on_edge, on_body, t), on_edge, on_body


@part
def time_of_impact(v1, v2, body, sweep, scratch):
    """b2TimeOfImpact: the time in [0, 1] at which body and edge touch (e_touching), or 1 in every other case."""
    turns = TWO * PI * np.float32(np.floor(sweep.c0.a / (TWO * PI)))  # b2Sweep::Normalize
    sweep = Sweep(
        Motion(sweep.c0.x, sweep.c0.y, sweep.c0.a - turns),
        Motion(sweep.c.x, sweep.c.y, sweep.c.a - turns),
        sweep.center,
    )
    t1 = ZERO
    cache = Cache(0, ZERO)
    for _ in range(MAX_ITERATIONS):
        q, p = transform_at(sweep, t1)
        gap, cache = distance(cache, v1, v2, body, q, p, scratch)
        if gap <= ZERO:
            return ONE
        if gap < TARGET + TOLERANCE:
            return t1
        function = make_separation(cache, scratch.simplex_index, v1, v2, body, sweep, t1)
        t2 = ONE
        for _ in range(MAX_POLYGON_VERTICES):
            s2, on_edge, on_body = find_min_separation(function, v1, v2, body, sweep, t2)
            if s2 > TARGET + TOLERANCE:
                return ONE
            if s2 > TARGET - TOLERANCE:
                t1 = t2
                break
            s1 = evaluate(function, v1, v2, body, sweep, on_edge, on_body, t1)
            if s1 < TARGET - TOLERANCE:
                return ONE
            if s1 <= TARGET + TOLERANCE:
                return t1
            low, high = t1, t2
            for iteration in range(MAX_ROOT_ITERATIONS):
                t = low + (TARGET - s1) * (high - low) / (s2 - s1) if iteration & 1 else HALF * (low + high)
                s = evaluate(function, v1, v2, body, sweep, on_edge, on_body, t)
                if abs(s - TARGET) < TOLERANCE:
                    t2 = t
                    break
                if s > TARGET:
                    low, s1 = t, s
                else:
                    high, s2 = t, s
    return ONE
