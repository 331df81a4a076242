"""The island solver for one lander in any situation: any contacts, any bodies asleep. Scalars only.

`island_lanes` is the fast form for the common situations.
"""

from fastlander.kernels.jit import inlined, part
from fastlander.physics.bodies import (
    JOINT0,
    JOINT1,
    JOINT_NUMBER0,
    JOINT_NUMBER1,
    LANDER,
    LANDER_CENTER_Y,
    LANDER_SHAPE,
    LEG0,
    LEG1,
    LEG_SHAPE,
    NUM_BODIES,
)
from fastlander.physics.constants import (
    BAUMGARTE,
    MINIMUM_SEPARATION,
    POSITION_ITERATIONS,
    TIME_STEP,
    VELOCITY_ITERATIONS,
    ZERO,
)
from fastlander.physics.contact_constraint import (
    initialize_contact,
    solve_contact,
    solve_contact_position,
    store_contact_impulses,
    warm_start_contact,
)
from fastlander.physics.island import (
    begin_joints,
    fall_asleep,
    integrate_lander_velocity,
    integrate_leg_velocity,
    integrate_position,
    load_motion,
    load_rotation,
    move_body,
    store_impulse,
)
from fastlander.physics.revolute_joint import solve_position_constraints, solve_velocity_constraints
from fastlander.physics.state import (
    AWAKE,
    BODY,
    CONSTRAINT_SLOT,
    ENABLED,
    NUM_CONTACTS,
    POSITION,
    SLEEP_TIME,
    TOUCHING,
    VELOCITY,
)
from fastlander.physics.vector_math import Vec2


@inlined
def add_body_contacts(state, i, body, scratch, count):
    """Append a body's contacts to the island, newest first, as b2World::Solve visits them.

    count: how many contacts the island has already. Returns how many it has now.
    """
    for slot in range(state.i32[NUM_CONTACTS, i] - 1, -1, -1):
        contact = state.contact_i32[i, slot]
        if contact[BODY] == body and contact[ENABLED] and contact[TOUCHING]:
            scratch.constraint_i32[count, CONSTRAINT_SLOT] = slot
            count += 1
    return count


@inlined
def _pick(body, of_lander, of_leg0, of_leg1):
    if body == LANDER:
        return of_lander
    return of_leg0 if body == LEG0 else of_leg1


@inlined
def _replace(body, new, of_lander, of_leg0, of_leg1):
    if body == LANDER:
        return new, of_leg0, of_leg1
    if body == LEG0:
        return of_lander, new, of_leg1
    return of_lander, of_leg0, new


@part
def solve_general(state, i, gravity, scratch):
    """b2World::Solve and b2Island::Solve for a lander that has at least one body awake.

    gravity: m/s^2, negative.
    """
    leg1_first = state.i32[AWAKE + LEG1, i] != 0 or state.i32[AWAKE + LEG0, i] == 0
    # Box2D's depth-first search from the first awake body visits the bodies in this order, and so their contacts.
    if state.i32[AWAKE + LEG1, i]:
        first, second, third = LEG1, LANDER, LEG0
    elif state.i32[AWAKE + LEG0, i]:
        first, second, third = LEG0, LANDER, LEG1
    else:
        first, second, third = LANDER, LEG0, LEG1
    count = add_body_contacts(state, i, first, scratch, 0)
    count = add_body_contacts(state, i, second, scratch, count)
    count = add_body_contacts(state, i, third, scratch, count)
    for body in range(NUM_BODIES):
        if state.i32[AWAKE + body, i] == 0:
            state.i32[AWAKE + body, i] = 1
            state.f32[SLEEP_TIME + body, i] = ZERO

    start0, start1, start2 = (
        load_motion(state, POSITION, LANDER, i),
        load_motion(state, POSITION, LEG0, i),
        load_motion(state, POSITION, LEG1, i),
    )
    q0, q1, q2 = load_rotation(state, LANDER, i), load_rotation(state, LEG0, i), load_rotation(state, LEG1, i)
    v0 = integrate_lander_velocity(state, i, load_motion(state, VELOCITY, LANDER, i), gravity)
    v1 = integrate_leg_velocity(load_motion(state, VELOCITY, LEG0, i), gravity)
    v2 = integrate_leg_velocity(load_motion(state, VELOCITY, LEG1, i), gravity)
    constraint, counts = scratch.constraint_f32, scratch.constraint_i32
    for k in range(count):
        body = state.contact_i32[i, counts[k, CONSTRAINT_SLOT], BODY]
        initialize_contact(state, i, constraint[k], counts[k], _pick(body, start0, start1, start2), True)
    for k in range(count):
        body = state.contact_i32[i, counts[k, CONSTRAINT_SLOT], BODY]
        v = warm_start_contact(constraint[k], counts[k], body, _pick(body, v0, v1, v2))
        v0, v1, v2 = _replace(body, v, v0, v1, v2)
    joint0, joint1, impulse0, impulse1, v0, v1, v2 = begin_joints(
        state, i, q0, q1, q2, start0, start1, start2, v0, v1, v2, leg1_first
    )
    for _ in range(VELOCITY_ITERATIONS):
        if leg1_first:
            v0, v2, impulse1, _ = solve_velocity_constraints(JOINT1, joint1, v0, v2, impulse1)
        v0, v1, impulse0, _ = solve_velocity_constraints(JOINT0, joint0, v0, v1, impulse0)
        if not leg1_first:
            v0, v2, impulse1, _ = solve_velocity_constraints(JOINT1, joint1, v0, v2, impulse1)
        for k in range(count):
            body = state.contact_i32[i, counts[k, CONSTRAINT_SLOT], BODY]
            v = solve_contact(constraint[k], counts[k], body, _pick(body, v0, v1, v2))
            v0, v1, v2 = _replace(body, v, v0, v1, v2)
    for k in range(count):
        store_contact_impulses(state, i, constraint[k], counts[k])
    store_impulse(state, JOINT_NUMBER0, i, impulse0)
    store_impulse(state, JOINT_NUMBER1, i, impulse1)

    c0, v0 = integrate_position(start0, v0, TIME_STEP)
    c1, v1 = integrate_position(start1, v1, TIME_STEP)
    c2, v2 = integrate_position(start2, v2, TIME_STEP)
    solved = False
    for _ in range(POSITION_ITERATIONS):
        least = ZERO
        for k in range(count):
            slot = counts[k, CONSTRAINT_SLOT]
            body = state.contact_i32[i, slot, BODY]
            c, least = solve_contact_position(state, i, slot, _pick(body, c0, c1, c2), BAUMGARTE, least)
            c0, c1, c2 = _replace(body, c, c0, c1, c2)
        okay1 = True
        if leg1_first:
            c0, c2, okay1 = solve_position_constraints(JOINT1, joint1, c0, c2)
        c0, c1, okay0 = solve_position_constraints(JOINT0, joint0, c0, c1)
        if not leg1_first:
            c0, c2, okay1 = solve_position_constraints(JOINT1, joint1, c0, c2)
        if least >= MINIMUM_SEPARATION and okay0 and okay1:
            solved = True
            break

    v0, v1, v2 = fall_asleep(state, i, solved, v0, v1, v2)
    move_body(state, i, LANDER, LANDER_SHAPE, Vec2(ZERO, LANDER_CENTER_Y), q0, start0, c0, v0)
    move_body(state, i, LEG0, LEG_SHAPE, Vec2(ZERO, ZERO), q1, start1, c1, v1)
    move_body(state, i, LEG1, LEG_SHAPE, Vec2(ZERO, ZERO), q2, start2, c2, v2)
