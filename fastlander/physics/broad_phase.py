"""Which bodies are near which edges: Box2D 2.3, `b2BroadPhase`, `b2DynamicTree::MoveProxy`, `b2Fixture::Synchronize`.

The tree itself is not needed. Proxy ids never change (edges, then the lander, then the legs) and pairs are handled in
their order, so comparing each moved body with each edge finds the same contacts in the same order.
"""

from typing import Any, NamedTuple

import numpy as np

from fastlander.kernels.jit import inlined, part
from fastlander.kernels.simd import where
from fastlander.kernels.simd_memory import gather, scatter
from fastlander.physics.bodies import (
    LANDER_VERTICES_X,
    LANDER_VERTICES_Y,
    LEG_VERTICES_X,
    LEG_VERTICES_Y,
    NUM_BODIES,
    NUM_EDGES,
)
from fastlander.physics.constants import AABB_EXTENSION, AABB_MULTIPLIER, POLYGON_RADIUS, TWO, ZERO
from fastlander.physics.contact import FLOOR_LENGTH, create
from fastlander.physics.state import BODY, EDGE, FAT_AABB, HEIGHT, MOVED, NUM_CONTACTS, TOP
from fastlander.physics.vector_math import Vec2, maximum, minimum, transform

EDGE_MARGIN = POLYGON_RADIUS  # of an edge's AABB; its fat AABB is AABB_EXTENSION larger


class AABB(NamedTuple):
    """b2AABB, m."""

    lower: Any  # Vec2
    upper: Any  # Vec2


@inlined
def compute_aabb(is_lander, q, p):
    """b2PolygonShape::ComputeAABB of the lander (is_lander is not None) or a leg."""
    if is_lander is None:
        xs, ys = LEG_VERTICES_X, LEG_VERTICES_Y
    else:
        xs, ys = LANDER_VERTICES_X, LANDER_VERTICES_Y
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
def synchronize(state, index, body, is_lander, q1, p1, q2, p2):
    """b2Fixture::Synchronize and MoveProxy: a fat AABB that holds the swept body stays; else the body has moved."""
    a, b = compute_aabb(is_lander, q1, p1), compute_aabb(is_lander, q2, p2)
    lower = Vec2(minimum(a.lower.x, b.lower.x), minimum(a.lower.y, b.lower.y))
    upper = Vec2(maximum(a.upper.x, b.upper.x), maximum(a.upper.y, b.upper.y))
    row = FAT_AABB + 4 * body
    lx, ly = gather(state.real, row, index), gather(state.real, row + 1, index)
    ux, uy = gather(state.real, row + 2, index), gather(state.real, row + 3, index)
    stays = (lx <= lower.x) & (ly <= lower.y) & (upper.x <= ux) & (upper.y <= uy)
    dx, dy = AABB_MULTIPLIER * (p2.x - p1.x), AABB_MULTIPLIER * (p2.y - p1.y)
    new_lx, new_ly = lower.x - AABB_EXTENSION, lower.y - AABB_EXTENSION
    new_ux, new_uy = upper.x + AABB_EXTENSION, upper.y + AABB_EXTENSION
    left, down = dx < ZERO, dy < ZERO
    scatter(state.real, row, index, where(stays, lx, where(left, new_lx + dx, new_lx)))
    scatter(state.real, row + 1, index, where(stays, ly, where(down, new_ly + dy, new_ly)))
    scatter(state.real, row + 2, index, where(stays, ux, where(left, new_ux, new_ux + dx)))
    scatter(state.real, row + 3, index, where(stays, uy, where(down, new_uy, new_uy + dy)))
    scatter(state.whole, MOVED + body, index, where(stays, np.int32(0), np.int32(1)))


@inlined
def edge_aabb(state, i, edge):
    """The fat AABB of an edge: (lower x, lower y, upper x, upper y)."""
    if edge == 0:
        x1, x2, y1, y2 = ZERO, FLOOR_LENGTH, ZERO, ZERO
    else:
        x1, x2 = TWO * np.float32(edge - 1), TWO * np.float32(edge)
        y1, y2 = state.real[HEIGHT + edge - 1, i], state.real[HEIGHT + edge, i]
    low, high = (y1, y2) if y1 < y2 else (y2, y1)
    return (
        x1 - EDGE_MARGIN - AABB_EXTENSION,
        low - EDGE_MARGIN - AABB_EXTENSION,
        x2 + EDGE_MARGIN + AABB_EXTENSION,
        high + EDGE_MARGIN + AABB_EXTENSION,
    )


@inlined
def test_overlap(state, i, edge, body):
    """b2TestOverlap of the fat AABBs of an edge and a body."""
    lx, ly, ux, uy = edge_aabb(state, i, edge)
    row = FAT_AABB + 4 * body
    return not (
        state.real[row, i] > ux
        or state.real[row + 1, i] > uy
        or lx > state.real[row + 2, i]
        or ly > state.real[row + 3, i]
    )


@inlined
def near_ground(state, i):
    """Whether a moved body may overlap an edge at all: whether one is lower than the top of the terrain."""
    top = state.real[TOP, i] + EDGE_MARGIN + AABB_EXTENSION
    low = False
    for body in range(NUM_BODIES):
        low = low or (state.whole[MOVED + body, i] != 0 and state.real[FAT_AABB + 4 * body + 1, i] <= top)
    return low


@inlined
def has_contact(state, i, edge, body):
    """Whether the pair is in the contact list already."""
    for slot in range(state.whole[NUM_CONTACTS, i]):
        whole = state.contact_whole[i, slot]
        if whole[BODY] == body and whole[EDGE] == edge:
            return True
    return False


@part
def find_new_contacts(state, i):
    """b2ContactManager::FindNewContacts: a contact for each new pair of an edge and a moved body, in that order."""
    for edge in range(NUM_EDGES):
        for body in range(NUM_BODIES):
            moved = state.whole[MOVED + body, i] != 0
            if moved and test_overlap(state, i, edge, body) and not has_contact(state, i, edge, body):
                create(state, i, edge, body)
    for body in range(NUM_BODIES):
        state.whole[MOVED + body, i] = 0


@inlined
def update_pairs(state, i):
    """FindNewContacts, after the quick look that settles most steps in flight."""
    if near_ground(state, i):
        find_new_contacts(state, i)
    else:
        for body in range(NUM_BODIES):
            state.whole[MOVED + body, i] = 0
