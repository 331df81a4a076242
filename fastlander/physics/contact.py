"""One contact through its life: Box2D 2.3, `b2Contact.cpp`, with Gymnasium's ContactDetector as its listener."""

import numpy as np

from fastlander.kernels.jit import inlined, part
from fastlander.physics.bodies import LANDER
from fastlander.physics.collide_edge import collide_edge_and_polygon
from fastlander.physics.constants import TWO, ZERO
from fastlander.physics.state import (
    AWAKE,
    BODY,
    CRASHED,
    EDGE,
    ENABLED,
    GROUND_CONTACT,
    HEIGHT,
    IN_ISLAND,
    NUM_CONTACT_REAL,
    NUM_CONTACT_WHOLE,
    NUM_CONTACTS,
    ORIGIN,
    POINT,
    POINT_COUNT,
    POINT_ID,
    ROTATION,
    SLEEP_TIME,
    TOI_COUNT,
    TOI_VALID,
    TOUCHING,
)
from fastlander.physics.vector_math import Rot, Vec2

FLOOR_LENGTH = np.float32(20)


@inlined
def edge_start(state, i, edge):
    """First vertex of an edge of lander i's moon."""
    if edge == 0:
        return Vec2(ZERO, ZERO)
    return Vec2(TWO * np.float32(edge - 1), state.real[HEIGHT + edge - 1, i])


@inlined
def edge_end(state, i, edge):
    """Second vertex of an edge of lander i's moon."""
    if edge == 0:
        return Vec2(FLOOR_LENGTH, ZERO)
    return Vec2(TWO * np.float32(edge), state.real[HEIGHT + edge, i])


@inlined
def set_awake(state, i, body):
    """b2Body::SetAwake(true)."""
    if state.whole[AWAKE + body, i] == 0:
        state.whole[AWAKE + body, i] = 1
        state.real[SLEEP_TIME + body, i] = ZERO


@inlined
def end_contact(state, i, body):
    """ContactDetector.EndContact: the leg counts as in the air even where it touches another edge."""
    if body != LANDER:
        state.whole[GROUND_CONTACT + body - 1, i] = 0


@inlined
def begin_contact(state, i, body):
    """ContactDetector.BeginContact: a touching hull is a crash."""
    if body == LANDER:
        state.whole[CRASHED, i] = 1
    else:
        state.whole[GROUND_CONTACT + body - 1, i] = 1


@part
def create(state, i, edge, body):
    """b2ContactManager::AddPair's factory: a new contact, last in the list (the newest); wakes the body."""
    slot = state.whole[NUM_CONTACTS, i]
    whole = state.contact_whole[i, slot]
    whole[:] = 0
    whole[BODY], whole[EDGE], whole[ENABLED] = body, edge, 1
    state.contact_real[i, slot, :] = ZERO
    state.whole[NUM_CONTACTS, i] = slot + 1
    set_awake(state, i, body)


@part
def destroy(state, i, slot):
    """b2ContactManager::Destroy: the contact leaves the list; one that touched fires EndContact."""
    whole, real = state.contact_whole[i], state.contact_real[i]
    if whole[slot, TOUCHING]:
        end_contact(state, i, whole[slot, BODY])
    count = state.whole[NUM_CONTACTS, i] - 1
    for k in range(slot, count):
        for f in range(NUM_CONTACT_WHOLE):
            whole[k, f] = whole[k + 1, f]
        for f in range(NUM_CONTACT_REAL):
            real[k, f] = real[k + 1, f]
    state.whole[NUM_CONTACTS, i] = count


@part
def update(state, i, slot, polygon):
    """b2Contact::Update: a fresh manifold, impulses kept by point id, events, waking."""
    whole, real = state.contact_whole[i, slot], state.contact_real[i, slot]
    body, edge = whole[BODY], whole[EDGE]
    old_count, id0, id1 = whole[POINT_COUNT], whole[POINT_ID], whole[POINT_ID + 1]
    normal0, tangent0, normal1, tangent1 = real[POINT + 2], real[POINT + 3], real[POINT + 6], real[POINT + 7]
    whole[ENABLED] = 1
    was_touching = whole[TOUCHING]
    q = Rot(state.real[ROTATION + 2 * body, i], state.real[ROTATION + 2 * body + 1, i])
    p = Vec2(state.real[ORIGIN + 2 * body, i], state.real[ORIGIN + 2 * body + 1, i])
    collide_edge_and_polygon(real, whole, edge_start(state, i, edge), edge_end(state, i, edge), body, q, p, polygon)
    for k in range(whole[POINT_COUNT]):
        key, normal, tangent = whole[POINT_ID + k], ZERO, ZERO
        if old_count > 0 and key == id0:
            normal, tangent = normal0, tangent0
        elif old_count > 1 and key == id1:
            normal, tangent = normal1, tangent1
        real[POINT + 4 * k + 2], real[POINT + 4 * k + 3] = normal, tangent
    touching = 1 if whole[POINT_COUNT] > 0 else 0
    if touching != was_touching:
        set_awake(state, i, body)
        whole[TOUCHING] = touching
        if touching:
            begin_contact(state, i, body)
        else:
            end_contact(state, i, body)


@inlined
def forget_times_of_impact(state, i, body):
    """Invalidate the cached time of impact of every contact of a body that was displaced."""
    for slot in range(state.whole[NUM_CONTACTS, i]):
        whole = state.contact_whole[i, slot]
        if whole[BODY] == body:
            whole[TOI_VALID], whole[IN_ISLAND] = 0, 0


@inlined
def begin_step(state, i):
    """What SolveTOI does to every contact before it looks for events."""
    for slot in range(state.whole[NUM_CONTACTS, i]):
        whole = state.contact_whole[i, slot]
        whole[TOI_VALID], whole[IN_ISLAND], whole[TOI_COUNT] = 0, 0, 0
