"""Which bodies are near which edges: Box2D 2.3, `b2BroadPhase`, `b2DynamicTree::MoveProxy`, `b2Fixture::Synchronize`.

Box2D finds pairs in a tree and handles them in the order of their proxy ids. Here the ids never change: edges first,
then the lander, then the legs. So comparing each moved body with each edge finds the same contacts in the same order.
"""

from typing import NamedTuple

import numpy as np

from fastlander.kernels.jit import inlined, part
from fastlander.kernels.simd import where
from fastlander.kernels.simd_memory import gather, scatter
from fastlander.physics.bodies import NUM_BODIES, NUM_EDGES
from fastlander.physics.constants import AABB_EXTENSION, AABB_MULTIPLIER, NO, POLYGON_RADIUS, TWO, YES, ZERO
from fastlander.physics.contact import FLOOR_LENGTH, create
from fastlander.physics.state import BODY, EDGE, FAT_AABB, HEIGHT, MOVED, NUM_CONTACTS, TOP
from fastlander.physics.vector_math import Vec2, maximum, minimum, transform

EDGE_MARGIN = POLYGON_RADIUS  # m: an edge's AABB is larger than the edge by this (b2EdgeShape::ComputeAABB)


class AABB(NamedTuple):
    """b2AABB, m."""

    lower: Vec2
    upper: Vec2


@inlined
def compute_aabb(shape, q, p):
    """b2PolygonShape::ComputeAABB of a Shape with the transform (q, p)."""
    xs, ys = shape.vertices_x, shape.vertices_y
    lower = upper = transform(q, p, Vec2(xs[0], ys[0]))
    for k in range(1, len(xs)):
        v = transform(q, p, Vec2(xs[k], ys[k]))
        lower = Vec2(minimum(lower.x, v.x), minimum(lower.y, v.y))
        upper = Vec2(maximum(upper.x, v.x), maximum(upper.y, v.y))
    return AABB(
        Vec2(lower.x - POLYGON_RADIUS, lower.y - POLYGON_RADIUS),
        Vec2(upper.x + POLYGON_RADIUS, upper.y + POLYGON_RADIUS),
    )


@inlined
def synchronize(state, index, body, shape, q1, p1, q2, p2):
    """b2Fixture::Synchronize and b2DynamicTree::MoveProxy, for a body that goes from (q1, p1) to (q2, p2).

    A fat AABB that contains the body before and after stays as it is. Otherwise it is replaced, and MOVED is set.
    """
    a, b = compute_aabb(shape, q1, p1), compute_aabb(shape, q2, p2)
    lower = Vec2(minimum(a.lower.x, b.lower.x), minimum(a.lower.y, b.lower.y))
    upper = Vec2(maximum(a.upper.x, b.upper.x), maximum(a.upper.y, b.upper.y))
    row = FAT_AABB + 4 * body
    lx, ly = gather(state.f32, row, index), gather(state.f32, row + 1, index)
    ux, uy = gather(state.f32, row + 2, index), gather(state.f32, row + 3, index)
    stays = (lx <= lower.x) & (ly <= lower.y) & (upper.x <= ux) & (upper.y <= uy)
    dx, dy = AABB_MULTIPLIER * (p2.x - p1.x), AABB_MULTIPLIER * (p2.y - p1.y)
    new_lx, new_ly = lower.x - AABB_EXTENSION, lower.y - AABB_EXTENSION
    new_ux, new_uy = upper.x + AABB_EXTENSION, upper.y + AABB_EXTENSION
    left, down = dx < ZERO, dy < ZERO
    scatter(state.f32, row, index, where(stays, lx, where(left, new_lx + dx, new_lx)))
    scatter(state.f32, row + 1, index, where(stays, ly, where(down, new_ly + dy, new_ly)))
    scatter(state.f32, row + 2, index, where(stays, ux, where(left, new_ux, new_ux + dx)))
    scatter(state.f32, row + 3, index, where(stays, uy, where(down, new_uy, new_uy + dy)))
    scatter(state.i32, MOVED + body, index, where(stays, NO, YES))


@inlined
def edge_aabb(state, i, edge):
    """The fat AABB of an edge, m: (lower x, lower y, upper x, upper y)."""
    if edge == 0:
        x1, x2, y1, y2 = ZERO, FLOOR_LENGTH, ZERO, ZERO
    else:
        x1, x2 = TWO * np.float32(edge - 1), TWO * np.float32(edge)
        y1, y2 = state.f32[HEIGHT + edge - 1, i], state.f32[HEIGHT + edge, i]
    low, high = (y1, y2) if y1 < y2 else (y2, y1)
    return (
        x1 - EDGE_MARGIN - AABB_EXTENSION,
        low - EDGE_MARGIN - AABB_EXTENSION,
        x2 + EDGE_MARGIN + AABB_EXTENSION,
        high + EDGE_MARGIN + AABB_EXTENSION,
    )


@inlined
def test_overlap(state, i, edge, body):
    """b2TestOverlap for the fat AABBs of an edge and a body."""
    lx, ly, ux, uy = edge_aabb(state, i, edge)
    row = FAT_AABB + 4 * body
    return not (
        state.f32[row, i] > ux or state.f32[row + 1, i] > uy or lx > state.f32[row + 2, i] or ly > state.f32[row + 3, i]
    )


@inlined
def near_ground(state, i):
    """Whether a moved body is lower than the highest point of the terrain. If none is, none overlaps an edge."""
    top = state.f32[TOP, i] + EDGE_MARGIN + AABB_EXTENSION
    low = False
    for body in range(NUM_BODIES):
        low = low or (state.i32[MOVED + body, i] != 0 and state.f32[FAT_AABB + 4 * body + 1, i] <= top)
    return low


@inlined
def has_contact(state, i, edge, body):
    """Whether there is a contact of this edge and this body already."""
    for slot in range(state.i32[NUM_CONTACTS, i]):
        contact = state.contact_i32[i, slot]
        if contact[BODY] == body and contact[EDGE] == edge:
            return True
    return False


@part
def find_new_contacts(state, i):
    """b2ContactManager::FindNewContacts: a contact for each new pair, by edge first, then by body."""
    for edge in range(NUM_EDGES):
        for body in range(NUM_BODIES):
            moved = state.i32[MOVED + body, i] != 0
            if moved and test_overlap(state, i, edge, body) and not has_contact(state, i, edge, body):
                create(state, i, edge, body)
    for body in range(NUM_BODIES):
        state.i32[MOVED + body, i] = 0


@inlined
def update_pairs(state, i):
    """b2ContactManager::FindNewContacts, skipped where no body is near the ground, as in most steps in flight."""
    if near_ground(state, i):
        find_new_contacts(state, i)
    else:
        for body in range(NUM_BODIES):
            state.i32[MOVED + body, i] = 0
