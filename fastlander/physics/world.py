"""What a world step does around the island solver: Box2D 2.3, `b2ContactManager::Collide`, `b2World::SolveTOI`.

Scalars only.
"""

import numpy as np

from fastlander.kernels.jit import inlined, part
from fastlander.kernels.simd import bits, square_root
from fastlander.physics.bodies import LANDER, LANDER_SHAPE, LEG_SHAPE, MOON
from fastlander.physics.broad_phase import synchronize, test_overlap, update_pairs
from fastlander.physics.collide_edge import local_vertex, vertex_count
from fastlander.physics.constants import (
    EPSILON,
    MAX_SUB_STEPS,
    ONE,
    TIME_STEP,
    TOI_BAUMGARTE,
    TOI_MINIMUM_SEPARATION,
    TOI_POSITION_ITERATIONS,
    VELOCITY_ITERATIONS,
    ZERO,
)
from fastlander.physics.contact import (
    begin_step,
    destroy,
    edge_end,
    edge_start,
    forget_times_of_impact,
    set_awake,
    update,
)
from fastlander.physics.contact_constraint import initialize_contact, solve_contact, solve_contact_position
from fastlander.physics.island import center_of, integrate_position, load_motion, origin_of, store_motion
from fastlander.physics.state import (
    AWAKE,
    BODY,
    CONSTRAINT_IMPULSE,
    CONSTRAINT_SLOT,
    EDGE,
    ENABLED,
    IMPULSE_BEFORE,
    IMPULSE_TWO_BEFORE,
    IN_ISLAND,
    NUM_CONTACTS,
    ORIGIN,
    POSITION,
    PREVIOUS,
    ROTATION,
    TOI,
    TOI_COUNT,
    TOI_VALID,
    TOUCHING,
    VELOCITY,
)
from fastlander.physics.time_of_impact import Sweep, time_of_impact
from fastlander.physics.vector_math import Motion, Rot, Vec2, rotate, rotation, sub

LAST_ALPHA = ONE - np.float32(10) * EPSILON  # b2World::SolveTOI: an impact after this time is left to the next step
# Shapes touch at a distance of TARGET + TOLERANCE, which is 0.00625 m (time_of_impact). At this distance they do not.
SAFE_DISTANCE = np.float32(0.0085)  # m
# No vertex is farther than this from the body's centre of mass.
LANDER_RADIUS, LEG_RADIUS = np.float32(0.72), np.float32(0.28)  # m
EIGHTH = np.float32(0.125)


@part
def collide(state, i, scratch):
    """b2ContactManager::Collide, newest contact first: a contact ends if the boxes are apart, else it is updated."""
    for slot in range(state.i32[NUM_CONTACTS, i] - 1, -1, -1):
        contact = state.contact_i32[i, slot]
        body = contact[BODY]
        if state.i32[AWAKE + body, i] == 0:
            continue
        if test_overlap(state, i, contact[EDGE], body):
            update(state, i, slot, scratch.polygon)
        else:
            destroy(state, i, slot)


@inlined
def synchronize_transform(state, i, body):
    """b2Body::SynchronizeTransform: the body's rotation and origin from its position."""
    c = load_motion(state, POSITION, body, i)
    q = rotation(c.a)
    p = origin_of(c, q, center_of(body))
    state.f32[ROTATION + 2 * body, i], state.f32[ROTATION + 2 * body + 1, i] = q.s, q.c
    state.f32[ORIGIN + 2 * body, i], state.f32[ORIGIN + 2 * body + 1, i] = p.x, p.y


@inlined
def advance_sweep(state, i, body, alpha, alpha0):
    """b2Sweep::Advance to the time alpha. alpha0: Scratch.alpha0. The moon has no motion, only its alpha0 changes."""
    if body != MOON:
        beta = (alpha - alpha0[body]) / (ONE - alpha0[body])
        c0, c = load_motion(state, PREVIOUS, body, i), load_motion(state, POSITION, body, i)
        rest = ONE - beta
        moved = Motion(rest * c0.x + beta * c.x, rest * c0.y + beta * c.y, rest * c0.a + beta * c.a)
        store_motion(state, PREVIOUS, body, i, moved)
    alpha0[body] = alpha


@inlined
def contact_time(state, i, slot, scratch):
    """The time in [0, 1] of the step at which a contact's shapes first touch, or 1 if they do not."""
    contact, alpha0 = state.contact_i32[i, slot], scratch.alpha0
    body, edge = contact[BODY], contact[EDGE]
    start = alpha0[MOON]
    if alpha0[MOON] < alpha0[body]:
        start = alpha0[body]
        advance_sweep(state, i, MOON, start, alpha0)
    elif alpha0[body] < alpha0[MOON]:
        advance_sweep(state, i, body, start, alpha0)
    sweep = Sweep(load_motion(state, PREVIOUS, body, i), load_motion(state, POSITION, body, i), center_of(body))
    v1, v2 = edge_start(state, i, edge), edge_end(state, i, edge)
    if stays_apart(v1, v2, body, sweep):
        return ONE
    alpha = start + (ONE - start) * time_of_impact(v1, v2, body, sweep, scratch)
    return alpha if alpha < ONE else ONE


@inlined
def outside(v1, v2, x0, y0, x, y, radius):
    """Whether a disc that moves straight from (x0, y0) to (x, y) stays above, below, left or right of an edge."""
    if (x0 > v2.x + radius and x > v2.x + radius) or (x0 < v1.x - radius and x < v1.x - radius):
        return True
    ex, ey = v2.x - v1.x, v2.y - v1.y
    height0, height = ex * (y0 - v1.y) - ey * (x0 - v1.x), ex * (y - v1.y) - ey * (x - v1.x)
    margin = radius * square_root(ex * ex + ey * ey)
    return (height0 > margin and height > margin) or (height0 < -margin and height < -margin)


@part
def stays_apart(v1, v2, body, sweep):
    """Whether a body surely does not touch an edge during a sweep. Then no time of impact has to be computed.

    Only the vertices' positions at the two ends of the sweep are compared with the edge. In between, a vertex at
    distance r from the centre of mass leaves the straight line by at most r turn^2 / 8. The margin includes that.
    """
    c0, c, radius = sweep.c0, sweep.c, LANDER_RADIUS if body == LANDER else LEG_RADIUS
    if outside(v1, v2, c0.x, c0.y, c.x, c.y, radius + SAFE_DISTANCE):
        return True
    turn = c.a - c0.a
    margin = SAFE_DISTANCE + radius * turn * turn * EIGHTH
    q0, q = rotation(c0.a), rotation(c.a)
    ex, ey = v2.x - v1.x, v2.y - v1.y
    above = below = right = left = True
    line = margin * square_root(ex * ex + ey * ey)
    for k in range(vertex_count(body)):
        local = sub(local_vertex(body, k), sweep.center)
        r0, r = rotate(q0, local), rotate(q, local)
        for x, y in ((c0.x + r0.x, c0.y + r0.y), (c.x + r.x, c.y + r.y)):
            height = ex * (y - v1.y) - ey * (x - v1.x)
            above, below = above and height > line, below and height < -line
            right, left = right and x > v2.x + margin, left and x < v1.x - margin
    return above or below or right or left


@part
def solve_toi(state, i, scratch):
    """b2World::SolveTOI: a body that would pass through the ground within the step is stopped where it touches it."""
    begin_step(state, i)
    for body in range(MOON + 1):
        scratch.alpha0[body] = ZERO
    while True:
        first, least = -1, ONE
        for slot in range(state.i32[NUM_CONTACTS, i] - 1, -1, -1):
            contact = state.contact_i32[i, slot]
            if contact[ENABLED] == 0 or contact[TOI_COUNT] > MAX_SUB_STEPS:
                continue
            if contact[TOI_VALID] == 0:
                if state.i32[AWAKE + contact[BODY], i] == 0:
                    continue
                state.contact_f32[i, slot, TOI] = contact_time(state, i, slot, scratch)
                contact[TOI_VALID] = 1
            alpha = state.contact_f32[i, slot, TOI]
            if alpha < least:
                first, least = slot, alpha
        if first < 0 or least > LAST_ALPHA:
            return
        handle_impact(state, i, first, least, scratch)


@part
def handle_impact(state, i, slot, alpha, scratch):
    """One event of b2World::SolveTOI: the body is put where it touches and solved there with all its contacts."""
    alpha0 = scratch.alpha0
    contact = state.contact_i32[i, slot]
    body = contact[BODY]
    before0, before, alpha_before = (
        load_motion(state, PREVIOUS, body, i),
        load_motion(state, POSITION, body, i),
        alpha0[body],
    )
    moon_before = alpha0[MOON]
    advance_sweep(state, i, MOON, alpha, alpha0)
    advance_sweep(state, i, body, alpha, alpha0)
    store_motion(state, POSITION, body, i, load_motion(state, PREVIOUS, body, i))
    synchronize_transform(state, i, body)
    update(state, i, slot, scratch.polygon)
    contact[TOI_VALID] = 0
    contact[TOI_COUNT] += 1
    if contact[TOUCHING] == 0:
        contact[ENABLED] = 0
        store_motion(state, PREVIOUS, body, i, before0)
        store_motion(state, POSITION, body, i, before)
        alpha0[body], alpha0[MOON] = alpha_before, moon_before
        synchronize_transform(state, i, body)
        return
    set_awake(state, i, body)
    scratch.constraint_i32[0, CONSTRAINT_SLOT] = slot
    contact[IN_ISLAND] = 1
    count = 1
    for other in range(state.i32[NUM_CONTACTS, i] - 1, -1, -1):
        other_contact = state.contact_i32[i, other]
        if other_contact[BODY] != body or other_contact[IN_ISLAND]:
            continue
        update(state, i, other, scratch.polygon)
        if other_contact[TOUCHING]:
            other_contact[IN_ISLAND] = 1
            scratch.constraint_i32[count, CONSTRAINT_SLOT] = other
            count += 1
    solve_toi_island(state, i, body, count, (ONE - alpha) * TIME_STEP, scratch)
    forget_times_of_impact(state, i, body)
    update_pairs(state, i)


@inlined
def same_bits(a, b):
    """Whether two Motions have the same bits."""
    return bits(a.x) == bits(b.x) and bits(a.y) == bits(b.y) and bits(a.a) == bits(b.a)


@part
def solve_until_cyclic(constraint, counts, count, body, v):
    """All velocity iterations of one body's contacts. Returns the body's velocity.

    An iteration depends only on the velocity and the impulses. If all of them have the bits that they had one or two
    iterations ago, they repeat from then on, and the result of the remaining iterations is known without them.
    """
    before, iteration = v, 0
    while iteration < VELOCITY_ITERATIONS:
        start = v
        for k in range(count):
            for f in range(4):
                constraint[k, IMPULSE_TWO_BEFORE + f] = constraint[k, IMPULSE_BEFORE + f]
                constraint[k, IMPULSE_BEFORE + f] = constraint[k, CONSTRAINT_IMPULSE + f]
            v = solve_contact(constraint[k], counts[k], body, v)
        iteration += 1
        one, two = same_bits(v, start), iteration > 1 and same_bits(v, before)
        for k in range(count):
            for f in range(4):
                now = bits(constraint[k, CONSTRAINT_IMPULSE + f])
                one = one and now == bits(constraint[k, IMPULSE_BEFORE + f])
                two = two and now == bits(constraint[k, IMPULSE_TWO_BEFORE + f])
        if one or (two and (VELOCITY_ITERATIONS - iteration) % 2 == 0):
            break
        before = start
    return v


@part
def solve_toi_island(state, i, body, count, h, scratch):
    """b2Island::SolveTOI for one body: its position by its contacts, then its velocity, then its motion over time h.

    count: how many contacts; their numbers are in Scratch. h: the rest of the step, s.
    """
    counts, constraint = scratch.constraint_i32, scratch.constraint_f32
    c = load_motion(state, POSITION, body, i)
    for _ in range(TOI_POSITION_ITERATIONS):
        least = ZERO
        for k in range(count):
            c, least = solve_contact_position(state, i, counts[k, CONSTRAINT_SLOT], c, TOI_BAUMGARTE, least)
        if least >= TOI_MINIMUM_SEPARATION:
            break
    store_motion(state, PREVIOUS, body, i, c)
    for k in range(count):
        initialize_contact(state, i, constraint[k], counts[k], c, False)
    v = solve_until_cyclic(constraint, counts, count, body, load_motion(state, VELOCITY, body, i))
    start = c
    c, v = integrate_position(c, v, h)
    store_motion(state, POSITION, body, i, c)
    store_motion(state, VELOCITY, body, i, v)
    synchronize_transform(state, i, body)
    q1 = rotation(start.a)
    p1 = origin_of(start, q1, center_of(body))
    q2 = Rot(state.f32[ROTATION + 2 * body, i], state.f32[ROTATION + 2 * body + 1, i])
    p2 = Vec2(state.f32[ORIGIN + 2 * body, i], state.f32[ORIGIN + 2 * body + 1, i])
    if body == LANDER:
        synchronize(state, i, LANDER, LANDER_SHAPE, q1, p1, q2, p2)
    else:
        synchronize(state, i, np.int64(body), LEG_SHAPE, q1, p1, q2, p2)
