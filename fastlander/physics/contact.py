"""How a contact begins, changes and ends: Box2D 2.3, `b2Contact.cpp`. The listener is Gymnasium's ContactDetector."""

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
    NUM_CONTACT_F32,
    NUM_CONTACT_I32,
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

FLOOR_LENGTH = np.float32(20)  # m: Gymnasium's W


@inlined
def edge_start(state, i, edge):
    """First vertex of an edge of lander i's moon, m."""
    if edge == 0:
        return Vec2(ZERO, ZERO)
    return Vec2(TWO * np.float32(edge - 1), state.f32[HEIGHT + edge - 1, i])


@inlined
def edge_end(state, i, edge):
    """Second vertex of an edge of lander i's moon, m."""
    if edge == 0:
        return Vec2(FLOOR_LENGTH, ZERO)
    return Vec2(TWO * np.float32(edge), state.f32[HEIGHT + edge, i])


@inlined
def set_awake(state, i, body):
    """b2Body::SetAwake(true), which every force, impulse and new contact does."""
    if state.i32[AWAKE + body, i] == 0:
        state.i32[AWAKE + body, i] = 1
        state.f32[SLEEP_TIME + body, i] = ZERO


@inlined
def end_contact(state, i, body):
    """ContactDetector.EndContact: the leg counts as in the air, even if it still touches another edge."""
    if body != LANDER:
        state.i32[GROUND_CONTACT + body - 1, i] = 0


@inlined
def begin_contact(state, i, body):
    """ContactDetector.BeginContact: the lander has crashed, or the leg touches the ground."""
    if body == LANDER:
        state.i32[CRASHED, i] = 1
    else:
        state.i32[GROUND_CONTACT + body - 1, i] = 1


@part
def create(state, i, edge, body):
    """The second half of b2ContactManager::AddPair: a new contact, last in the list. It wakes the body."""
    slot = state.i32[NUM_CONTACTS, i]
    contact = state.contact_i32[i, slot]
    for field in range(NUM_CONTACT_I32):
        contact[field] = 0
    contact[BODY], contact[EDGE], contact[ENABLED] = body, edge, 1
    for field in range(NUM_CONTACT_F32):
        state.contact_f32[i, slot, field] = ZERO
    state.i32[NUM_CONTACTS, i] = slot + 1
    set_awake(state, i, body)


@part
def destroy(state, i, slot):
    """b2ContactManager::Destroy: the contact leaves the list. If it was touching, that is an EndContact."""
    contacts, values = state.contact_i32[i], state.contact_f32[i]
    if contacts[slot, TOUCHING]:
        end_contact(state, i, contacts[slot, BODY])
    count = state.i32[NUM_CONTACTS, i] - 1
    for k in range(slot, count):
        for f in range(NUM_CONTACT_I32):
            contacts[k, f] = contacts[k + 1, f]
        for f in range(NUM_CONTACT_F32):
            values[k, f] = values[k + 1, f]
    state.i32[NUM_CONTACTS, i] = count


@part
def update(state, i, slot, polygon):
    """b2Contact::Update: a new manifold, with the old impulses for points of the same id; begin and end of touching.

    polygon: Scratch.polygon.
    """
    contact, values = state.contact_i32[i, slot], state.contact_f32[i, slot]
    body, edge = contact[BODY], contact[EDGE]
    old_count, id0, id1 = contact[POINT_COUNT], contact[POINT_ID], contact[POINT_ID + 1]
    normal0, tangent0, normal1, tangent1 = values[POINT + 2], values[POINT + 3], values[POINT + 6], values[POINT + 7]
    contact[ENABLED] = 1
    was_touching = contact[TOUCHING]
    q = Rot(state.f32[ROTATION + 2 * body, i], state.f32[ROTATION + 2 * body + 1, i])
    p = Vec2(state.f32[ORIGIN + 2 * body, i], state.f32[ORIGIN + 2 * body + 1, i])
    collide_edge_and_polygon(values, contact, edge_start(state, i, edge), edge_end(state, i, edge), body, q, p, polygon)
    for k in range(contact[POINT_COUNT]):
        key, normal, tangent = contact[POINT_ID + k], ZERO, ZERO
        if old_count > 0 and key == id0:
            normal, tangent = normal0, tangent0
        elif old_count > 1 and key == id1:
            normal, tangent = normal1, tangent1
        values[POINT + 4 * k + 2], values[POINT + 4 * k + 3] = normal, tangent
    touching = 1 if contact[POINT_COUNT] > 0 else 0
    if touching != was_touching:
        set_awake(state, i, body)
        contact[TOUCHING] = touching
        if touching:
            begin_contact(state, i, body)
        else:
            end_contact(state, i, body)


@inlined
def forget_times_of_impact(state, i, body):
    """Make the stored times of impact of a body's contacts invalid, because the body was moved (b2World::SolveTOI)."""
    for slot in range(state.i32[NUM_CONTACTS, i]):
        contact = state.contact_i32[i, slot]
        if contact[BODY] == body:
            contact[TOI_VALID], contact[IN_ISLAND] = 0, 0


@inlined
def begin_step(state, i):
    """Reset what b2World::SolveTOI keeps in every contact, as it does before its first event."""
    for slot in range(state.i32[NUM_CONTACTS, i]):
        contact = state.contact_i32[i, slot]
        contact[TOI_VALID], contact[IN_ISLAND], contact[TOI_COUNT] = 0, 0, 0
