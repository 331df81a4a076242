"""The parts of a world step around the island solver: Box2D 2.3, `b2ContactManager::Collide`, `b2World::SolveTOI`."""

import numpy as np

from fastlander.jit import inlined, part
from fastlander.physics.broad_phase import synchronize, test_overlap, update_pairs
from fastlander.physics.contact import begin_step, destroy, edge_end, edge_start, forget_times_of_impact, set_awake, update
from fastlander.physics.island import center_of, integrate_position, load_motion, origin_of, store_motion
from fastlander.physics.island_general import initialize_contact, solve_contact, solve_contact_position
from fastlander.physics.settings import (
    EPSILON,
    LINEAR_SLOP,
    MAX_SUB_STEPS,
    MOON,
    ONE,
    TIME_STEP,
    TOI_BAUMGARTE,
    TOI_POSITION_ITERATIONS,
    VELOCITY_ITERATIONS,
    ZERO,
)
from fastlander.physics.state import (
    AWAKE,
    BODY,
    EDGE,
    ENABLED,
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
from fastlander.physics.vector_math import Motion, Rot, Vec2, rotation

_LAST_ALPHA = ONE - np.float32(10) * EPSILON
_SLOP = np.float32(-1.5) * LINEAR_SLOP


@part
def collide(state, i, scratch):
    """b2ContactManager::Collide: contacts whose boxes parted are destroyed, the others updated, newest first."""
    for slot in range(state.whole[NUM_CONTACTS, i] - 1, -1, -1):
        whole = state.contact_whole[i, slot]
        body = whole[BODY]
        if state.whole[AWAKE + body, i] == 0:
            continue
        if test_overlap(state, i, whole[EDGE], body):
            update(state, i, slot, scratch.polygon)
        else:
            destroy(state, i, slot)


@inlined
def synchronize_transform(state, i, body):
    """b2Body::SynchronizeTransform."""
    c = load_motion(state, POSITION, body, i)
    q = rotation(c.a)
    p = origin_of(c, q, center_of(body))
    state.real[ROTATION + 2 * body, i], state.real[ROTATION + 2 * body + 1, i] = q.s, q.c
    state.real[ORIGIN + 2 * body, i], state.real[ORIGIN + 2 * body + 1, i] = p.x, p.y


@inlined
def advance_sweep(state, i, body, alpha, alpha0):
    """b2Sweep::Advance; for the moon only alpha0 moves."""
    if body != MOON:
        beta = (alpha - alpha0[body]) / (ONE - alpha0[body])
        c0, c = load_motion(state, PREVIOUS, body, i), load_motion(state, POSITION, body, i)
        rest = ONE - beta
        moved = Motion(rest * c0.x + beta * c.x, rest * c0.y + beta * c.y, rest * c0.a + beta * c.a)
        store_motion(state, PREVIOUS, body, i, moved)
    alpha0[body] = alpha


@inlined
def contact_time(state, i, slot, scratch):
    """The time within the step, in [0, 1], at which a contact's shapes first touch; 1 if they don't."""
    whole, alpha0 = state.contact_whole[i, slot], scratch.alpha0
    body, edge = whole[BODY], whole[EDGE]
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
def stays_apart(v1, v2, body, sweep):
    """Whether a body surely keeps its distance from an edge over a sweep, so that the time of impact need not be sought."""
    return False


@part
def solve_toi(state, i, scratch):
    """b2World::SolveTOI: bodies that would pass through the moon within the step are stopped where they touch it."""
    begin_step(state, i)
    scratch.alpha0[:] = ZERO
    while True:
        first, least = -1, ONE
        for slot in range(state.whole[NUM_CONTACTS, i] - 1, -1, -1):
            whole = state.contact_whole[i, slot]
            if whole[ENABLED] == 0 or whole[TOI_COUNT] > MAX_SUB_STEPS:
                continue
            if whole[TOI_VALID] == 0:
                if state.whole[AWAKE + whole[BODY], i] == 0:
                    continue
                state.contact_real[i, slot, TOI] = contact_time(state, i, slot, scratch)
                whole[TOI_VALID] = 1
            alpha = state.contact_real[i, slot, TOI]
            if alpha < least:
                first, least = slot, alpha
        if first < 0 or _LAST_ALPHA < least:
            return
        handle_impact(state, i, first, least, scratch)


@part
def handle_impact(state, i, slot, alpha, scratch):
    """One event of SolveTOI: the body goes to where it touches, and is solved from there against all it touches."""
    alpha0 = scratch.alpha0
    whole = state.contact_whole[i, slot]
    body = whole[BODY]
    before0, before, alpha_before = load_motion(state, PREVIOUS, body, i), load_motion(state, POSITION, body, i), alpha0[body]
    moon_before = alpha0[MOON]
    advance_sweep(state, i, MOON, alpha, alpha0)
    advance_sweep(state, i, body, alpha, alpha0)
    store_motion(state, POSITION, body, i, load_motion(state, PREVIOUS, body, i))
    synchronize_transform(state, i, body)
    update(state, i, slot, scratch.polygon)
    whole[TOI_VALID] = 0
    whole[TOI_COUNT] += 1
    if whole[TOUCHING] == 0:
        whole[ENABLED] = 0
        store_motion(state, PREVIOUS, body, i, before0)
        store_motion(state, POSITION, body, i, before)
        alpha0[body], alpha0[MOON] = alpha_before, moon_before
        synchronize_transform(state, i, body)
        return
    set_awake(state, i, body)
    scratch.constraint_whole[0, 0] = slot
    whole[IN_ISLAND] = 1
    count = 1
    for other in range(state.whole[NUM_CONTACTS, i] - 1, -1, -1):
        contact = state.contact_whole[i, other]
        if contact[BODY] != body or contact[IN_ISLAND]:
            continue
        update(state, i, other, scratch.polygon)
        if contact[TOUCHING]:
            contact[IN_ISLAND] = 1
            scratch.constraint_whole[count, 0] = other
            count += 1
    solve_toi_island(state, i, body, count, (ONE - alpha) * TIME_STEP, scratch)
    forget_times_of_impact(state, i, body)
    update_pairs(state, i)


@part
def solve_toi_island(state, i, body, count, h, scratch):
    """b2Island::SolveTOI: positions out of the ground, then velocities by contacts alone, then the rest of the step."""
    counts, constraint = scratch.constraint_whole, scratch.constraint
    c = load_motion(state, POSITION, body, i)
    for _ in range(TOI_POSITION_ITERATIONS):
        least = ZERO
        for k in range(count):
            c, least = solve_contact_position(state, i, counts[k, 0], c, TOI_BAUMGARTE, least)
        if least >= _SLOP:
            break
    store_motion(state, PREVIOUS, body, i, c)
    for k in range(count):
        initialize_contact(state, i, constraint[k], counts[k], c, False)
    v = load_motion(state, VELOCITY, body, i)
    for _ in range(VELOCITY_ITERATIONS):
        for k in range(count):
            v = solve_contact(constraint[k], counts[k], body, v)
    start = c
    c, v = integrate_position(c, v, h)
    store_motion(state, POSITION, body, i, c)
    store_motion(state, VELOCITY, body, i, v)
    synchronize_transform(state, i, body)
    q1 = rotation(start.a)
    p1 = origin_of(start, q1, center_of(body))
    q2 = Rot(state.real[ROTATION + 2 * body, i], state.real[ROTATION + 2 * body + 1, i])
    p2 = Vec2(state.real[ORIGIN + 2 * body, i], state.real[ORIGIN + 2 * body + 1, i])
    if body == 0:
        synchronize(state, i, body, 1, q1, p1, q2, p2)
    else:
        synchronize(state, i, body, None, q1, p1, q2, p2)
