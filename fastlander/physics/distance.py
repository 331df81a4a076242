"""How far an edge of the moon is from a body: Box2D 2.3, `b2Distance.cpp` (GJK), without radii. Scalars only."""

from typing import NamedTuple

import numpy as np

from fastlander.kernels.jit import inlined, part
from fastlander.physics.collide_edge import local_vertex, vertex_count
from fastlander.physics.constants import EPSILON, HALF, ONE, TWO, ZERO
from fastlander.physics.vector_math import (
    Vec2,
    cross,
    dot,
    length,
    moon_rotate,
    moon_transform,
    rotate_inverse,
    sub,
    transform,
)

MAX_ITERATIONS = 20  # b2Distance's k_maxIters
_WA, _WB, _W, _A = 0, 2, 4, 6  # fields of Scratch.simplex: b2SimplexVertex wA, wB, w (m) and a


class Cache(NamedTuple):
    """A b2SimplexCache without its vertex indices, which are in Scratch.simplex_index."""

    count: int
    metric: np.float32  # m for two vertices, m^2 for three


@inlined
def edge_vertex(v1, v2, k):
    """b2DistanceProxy::GetVertex for an edge."""
    return v1 if k == 0 else v2


@inlined
def edge_support(v1, v2, direction):
    """b2DistanceProxy::GetSupport for an edge: the number of a vertex."""
    return 1 if dot(v2, direction) > dot(v1, direction) else 0


@inlined
def body_support(body, direction):
    """b2DistanceProxy::GetSupport for a body's polygon: the number of a vertex."""
    best, best_value = 0, dot(local_vertex(body, 0), direction)
    for k in range(1, vertex_count(body)):
        value = dot(local_vertex(body, k), direction)
        if value > best_value:
            best, best_value = k, value
    return best


@inlined
def _w(s, k):
    return Vec2(s[k, _W], s[k, _W + 1])


@inlined
def _set_vertex(s, index, k, v1, v2, body, q, p, on_edge, on_body, a):
    wa, wb = moon_transform(edge_vertex(v1, v2, on_edge)), transform(q, p, local_vertex(body, on_body))
    w = sub(wb, wa)
    index[k, 0], index[k, 1] = on_edge, on_body
    s[k, 0], s[k, 1], s[k, 2], s[k, 3], s[k, 4], s[k, 5], s[k, 6] = wa.x, wa.y, wb.x, wb.y, w.x, w.y, a


@inlined
def _copy_vertex(s, index, to, of):
    for f in range(7):
        s[to, f] = s[of, f]
    index[to, 0], index[to, 1] = index[of, 0], index[of, 1]


@inlined
def metric(s, count):
    """b2Simplex::GetMetric."""
    if count == 1:
        return ZERO
    if count == 2:
        return length(sub(_w(s, 0), _w(s, 1)))
    return cross(sub(_w(s, 1), _w(s, 0)), sub(_w(s, 2), _w(s, 0)))


@inlined
def solve2(s, index):
    """b2Simplex::Solve2. Returns how many vertices are left."""
    w1, w2 = _w(s, 0), _w(s, 1)
    e12 = sub(w2, w1)
    d2 = -dot(w1, e12)
    if d2 <= ZERO:
        s[0, _A] = ONE
        return 1
    d1 = dot(w2, e12)
    if d1 <= ZERO:
        s[1, _A] = ONE
        _copy_vertex(s, index, 0, 1)
        return 1
    inverse = ONE / (d1 + d2)
    s[0, _A], s[1, _A] = d1 * inverse, d2 * inverse
    return 2


@part
def solve3(s, index):
    """b2Simplex::Solve3. Returns how many vertices are left."""
    w1, w2, w3 = _w(s, 0), _w(s, 1), _w(s, 2)
    e12, e13, e23 = sub(w2, w1), sub(w3, w1), sub(w3, w2)
    d12_1, d12_2 = dot(w2, e12), -dot(w1, e12)
    d13_1, d13_2 = dot(w3, e13), -dot(w1, e13)
    d23_1, d23_2 = dot(w3, e23), -dot(w2, e23)
    n = cross(e12, e13)
    d123_1, d123_2, d123_3 = n * cross(w2, w3), n * cross(w3, w1), n * cross(w1, w2)
    if d12_2 <= ZERO and d13_2 <= ZERO:
        s[0, _A] = ONE
        return 1
    if d12_1 > ZERO and d12_2 > ZERO and d123_3 <= ZERO:
        inverse = ONE / (d12_1 + d12_2)
        s[0, _A], s[1, _A] = d12_1 * inverse, d12_2 * inverse
        return 2
    if d13_1 > ZERO and d13_2 > ZERO and d123_2 <= ZERO:
        inverse = ONE / (d13_1 + d13_2)
        s[0, _A], s[2, _A] = d13_1 * inverse, d13_2 * inverse
        _copy_vertex(s, index, 1, 2)
        return 2
    if d12_1 <= ZERO and d23_2 <= ZERO:
        s[1, _A] = ONE
        _copy_vertex(s, index, 0, 1)
        return 1
    if d13_1 <= ZERO and d23_1 <= ZERO:
        s[2, _A] = ONE
        _copy_vertex(s, index, 0, 2)
        return 1
    if d23_1 > ZERO and d23_2 > ZERO and d123_1 <= ZERO:
        inverse = ONE / (d23_1 + d23_2)
        s[1, _A], s[2, _A] = d23_1 * inverse, d23_2 * inverse
        _copy_vertex(s, index, 0, 2)
        return 2
    inverse = ONE / (d123_1 + d123_2 + d123_3)
    s[0, _A], s[1, _A], s[2, _A] = d123_1 * inverse, d123_2 * inverse, d123_3 * inverse
    return 3


@inlined
def read_cache(s, index, cache, v1, v2, body, q, p):
    """b2Simplex::ReadCache. Returns how many vertices the simplex starts with."""
    count = cache.count
    for k in range(count):
        _set_vertex(s, index, k, v1, v2, body, q, p, index[k, 0], index[k, 1], ZERO)
    if count > 1:
        new = metric(s, count)
        if new < HALF * cache.metric or TWO * cache.metric < new or new < EPSILON:
            count = 0
    if count == 0:
        _set_vertex(s, index, 0, v1, v2, body, q, p, 0, 0, ONE)
        count = 1
    return count


@inlined
def witness_distance(s, count):
    """The distance between the points that b2Simplex::GetWitnessPoints gives, m."""
    if count == 1:
        a, b = Vec2(s[0, _WA], s[0, _WA + 1]), Vec2(s[0, _WB], s[0, _WB + 1])
    elif count == 2:
        a1, a2 = s[0, _A], s[1, _A]
        a = Vec2(a1 * s[0, _WA] + a2 * s[1, _WA], a1 * s[0, _WA + 1] + a2 * s[1, _WA + 1])
        b = Vec2(a1 * s[0, _WB] + a2 * s[1, _WB], a1 * s[0, _WB + 1] + a2 * s[1, _WB + 1])
    else:
        return ZERO
    return length(sub(a, b))


@part
def distance(cache, v1, v2, body, q, p, scratch):
    """b2Distance between the edge v1-v2 and a body at transform (q, p): (distance in m, Cache)."""
    s, index, saved = scratch.simplex, scratch.simplex_index, scratch.saved_index
    count = read_cache(s, index, cache, v1, v2, body, q, p)
    for _ in range(MAX_ITERATIONS):
        saved_count = count
        for k in range(saved_count):
            saved[k, 0], saved[k, 1] = index[k, 0], index[k, 1]
        if count == 2:
            count = solve2(s, index)
        elif count == 3:
            count = solve3(s, index)
        if count == 3:
            break
        if count == 1:  # b2Simplex::GetSearchDirection
            d = Vec2(-s[0, _W], -s[0, _W + 1])
        else:
            e12 = sub(_w(s, 1), _w(s, 0))
            d = Vec2(-e12.y, e12.x) if cross(e12, Vec2(-s[0, _W], -s[0, _W + 1])) > ZERO else Vec2(e12.y, -e12.x)
        if dot(d, d) < EPSILON * EPSILON:
            break
        # Box2D uses b2MulT here. With the moon's sin 0 = 0 it differs at most in the sign of a zero, which changes no
        # comparison.
        on_edge = edge_support(v1, v2, moon_rotate(Vec2(-d.x, -d.y)))
        on_body = body_support(body, rotate_inverse(q, d))
        _set_vertex(s, index, count, v1, v2, body, q, p, on_edge, on_body, ZERO)
        duplicate = False
        for k in range(saved_count):
            if on_edge == saved[k, 0] and on_body == saved[k, 1]:
                duplicate = True
        if duplicate:
            break
        count += 1
    return witness_distance(s, count), Cache(count, metric(s, count))
