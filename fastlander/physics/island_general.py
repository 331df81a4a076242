"""The island solver for every situation, one lander at a time: any contacts, any bodies asleep; scalars only.

`island_lanes` is its fast form for the common situations.
"""

from fastlander.kernels.jit import inlined, part
from fastlander.physics.bodies import (
    JOINT0,
    JOINT1,
    JOINT_NUMBER0,
    JOINT_NUMBER1,
    LANDER,
    LANDER_CENTER_Y,
    LANDER_FRICTION,
    LANDER_INV_INERTIA,
    LANDER_INV_MASS,
    LEG0,
    LEG1,
    LEG_FRICTION,
    LEG_INV_INERTIA,
    LEG_INV_MASS,
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
from fastlander.physics.contact_solver import (
    Manifold,
    Point,
    block_matrix,
    constraint_point,
    solve_normal,
    solve_normal_block,
    solve_position_point,
    solve_tangent,
    warm_start,
    world_point,
)
from fastlander.physics.island import (
    begin_joints,
    center_of,
    fall_asleep,
    integrate_lander_velocity,
    integrate_leg_velocity,
    integrate_position,
    load_motion,
    load_rotation,
    move_body,
    origin_of,
    store_impulse,
)
from fastlander.physics.revolute_joint import solve_position_constraints, solve_velocity_constraints
from fastlander.physics.state import (
    AWAKE,
    BODY,
    EDGE,
    ENABLED,
    FACE_B,
    LOCAL_NORMAL,
    LOCAL_POINT,
    NUM_CONTACTS,
    POINT,
    POINT_COUNT,
    POSITION,
    SLEEP_TIME,
    TOUCHING,
    VELOCITY,
)
from fastlander.physics.vector_math import Vec2, rotation

# Fields of Scratch.constraint: a contact's velocity constraint (b2ContactVelocityConstraint) ...
_NORMAL, _FRICTION, _K11, _K12, _K22, _IMPULSE, _POINT, _POINT_SIZE = 0, 2, 3, 4, 5, 6, 10, 6
_R, _STILL, _NORMAL_MASS, _TANGENT_MASS = 0, 2, 4, 5  # of a point; _IMPULSE + 2 point: its normal and tangent impulse
# ... and of Scratch.constraint_whole.
_SLOT, _SOLVED_POINTS = 0, 1


@inlined
def mass_of(body):
    """(inverse mass, inverse inertia)."""
    if body == LANDER:
        return LANDER_INV_MASS, LANDER_INV_INERTIA
    return LEG_INV_MASS, LEG_INV_INERTIA


@inlined
def friction_of(body, edge):
    """b2MixFriction of a body and an edge."""
    return LANDER_FRICTION[edge] if body == LANDER else LEG_FRICTION[edge]


@inlined
def load_manifold(real, whole):
    """The shared part of a contact's manifold."""
    return Manifold(
        whole[FACE_B] == 0,
        Vec2(real[LOCAL_NORMAL], real[LOCAL_NORMAL + 1]),
        Vec2(real[LOCAL_POINT], real[LOCAL_POINT + 1]),
    )


@inlined
def add_body_contacts(state, i, body, scratch, count):
    """The body's contacts that enter the island, newest first, as b2World::Solve visits them: how many now."""
    for slot in range(state.whole[NUM_CONTACTS, i] - 1, -1, -1):
        whole = state.contact_whole[i, slot]
        if whole[BODY] == body and whole[ENABLED] and whole[TOUCHING]:
            scratch.constraint_whole[count, _SLOT] = slot
            count += 1
    return count


@part
def initialize_contact(state, i, constraint, counts, c, warm):
    """b2ContactSolver's constructor and InitializeVelocityConstraints for one contact."""
    slot = counts[_SLOT]
    whole, real = state.contact_whole[i, slot], state.contact_real[i, slot]
    body = whole[BODY]
    mB, iB = mass_of(body)
    q = rotation(c.a)
    p = origin_of(c, q, center_of(body))
    manifold = load_manifold(real, whole)
    points = whole[POINT_COUNT]
    for k in range(points):
        normal, world = world_point(manifold, Vec2(real[POINT + 4 * k], real[POINT + 4 * k + 1]), q, p)
        point = constraint_point(normal, world, c, mB, iB)
        at = _POINT + _POINT_SIZE * k
        constraint[_NORMAL], constraint[_NORMAL + 1] = normal.x, normal.y
        constraint[at + _R], constraint[at + _R + 1] = point.r.x, point.r.y
        constraint[at + _STILL], constraint[at + _STILL + 1] = point.still_x, point.still_y
        constraint[at + _NORMAL_MASS], constraint[at + _TANGENT_MASS] = point.normal_mass, point.tangent_mass
        impulse = _IMPULSE + 2 * k
        constraint[impulse] = real[POINT + 4 * k + 2] if warm else ZERO
        constraint[impulse + 1] = real[POINT + 4 * k + 3] if warm else ZERO
    constraint[_FRICTION] = friction_of(body, whole[EDGE])
    counts[_SOLVED_POINTS] = points
    if points == 2:
        normal = Vec2(constraint[_NORMAL], constraint[_NORMAL + 1])
        k11, k12, k22, good = block_matrix(normal, load_point(constraint, 0), load_point(constraint, 1), mB, iB)
        constraint[_K11], constraint[_K12], constraint[_K22] = k11, k12, k22
        if not good:
            counts[_SOLVED_POINTS] = 1


@inlined
def load_point(constraint, k):
    """Point k of a velocity constraint."""
    at = _POINT + _POINT_SIZE * k
    return Point(
        Vec2(constraint[at + _R], constraint[at + _R + 1]),
        constraint[at + _STILL],
        constraint[at + _STILL + 1],
        constraint[at + _NORMAL_MASS],
        constraint[at + _TANGENT_MASS],
    )


@part
def warm_start_contact(constraint, counts, body, v):
    """b2ContactSolver::WarmStart for one contact."""
    mB, iB = mass_of(body)
    normal = Vec2(constraint[_NORMAL], constraint[_NORMAL + 1])
    for k in range(counts[_SOLVED_POINTS]):
        v = warm_start(
            normal, load_point(constraint, k), v, constraint[_IMPULSE + 2 * k], constraint[_IMPULSE + 2 * k + 1], mB, iB
        )
    return v


@part
def solve_contact(constraint, counts, body, v):
    """b2ContactSolver::SolveVelocityConstraints for one contact."""
    mB, iB = mass_of(body)
    normal, friction = Vec2(constraint[_NORMAL], constraint[_NORMAL + 1]), constraint[_FRICTION]
    for k in range(counts[_SOLVED_POINTS]):
        point = load_point(constraint, k)
        v, tangent = solve_tangent(
            normal, point, v, constraint[_IMPULSE + 2 * k], constraint[_IMPULSE + 2 * k + 1], friction, mB, iB
        )
        constraint[_IMPULSE + 2 * k + 1] = tangent
    if counts[_SOLVED_POINTS] == 1:
        v, impulse = solve_normal(normal, load_point(constraint, 0), v, constraint[_IMPULSE], mB, iB)
        constraint[_IMPULSE] = impulse
    else:
        k11, k12, k22 = constraint[_K11], constraint[_K12], constraint[_K22]
        v, impulse, second = solve_normal_block(
            normal,
            load_point(constraint, 0),
            load_point(constraint, 1),
            v,
            constraint[_IMPULSE],
            constraint[_IMPULSE + 2],
            k11,
            k12,
            k22,
            mB,
            iB,
        )
        constraint[_IMPULSE], constraint[_IMPULSE + 2] = impulse, second
    return v


@part
def solve_contact_position(state, i, slot, c, baumgarte, least):
    """b2ContactSolver::SolvePositionConstraints for one contact: (position, least separation so far)."""
    whole, real = state.contact_whole[i, slot], state.contact_real[i, slot]
    body = whole[BODY]
    mB, iB = mass_of(body)
    manifold = load_manifold(real, whole)
    for k in range(whole[POINT_COUNT]):
        local = Vec2(real[POINT + 4 * k], real[POINT + 4 * k + 1])
        c, separation = solve_position_point(manifold, local, center_of(body), c, mB, iB, baumgarte)
        least = least if least < separation else separation
    return c, least


@part
def store_contact_impulses(state, i, constraint, counts):
    """b2ContactSolver::StoreImpulses for one contact."""
    real = state.contact_real[i, counts[_SLOT]]
    for k in range(counts[_SOLVED_POINTS]):
        real[POINT + 4 * k + 2], real[POINT + 4 * k + 3] = (
            constraint[_IMPULSE + 2 * k],
            constraint[_IMPULSE + 2 * k + 1],
        )


@inlined
def _pick(body, a, b, c):
    if body == LANDER:
        return a
    return b if body == LEG0 else c


@part
def solve_general(state, i, gravity, scratch):
    """b2World::Solve and b2Island::Solve for a lander of which a body is awake; its fixtures are synchronized."""
    leg1_first = state.whole[AWAKE + LEG1, i] != 0 or state.whole[AWAKE + LEG0, i] == 0
    # Contacts in the order in which the depth-first search from the first awake body meets the bodies.
    if state.whole[AWAKE + LEG1, i]:
        first, second, third = LEG1, LANDER, LEG0
    elif state.whole[AWAKE + LEG0, i]:
        first, second, third = LEG0, LANDER, LEG1
    else:
        first, second, third = LANDER, LEG0, LEG1
    count = add_body_contacts(state, i, first, scratch, 0)
    count = add_body_contacts(state, i, second, scratch, count)
    count = add_body_contacts(state, i, third, scratch, count)
    for body in range(NUM_BODIES):
        if state.whole[AWAKE + body, i] == 0:
            state.whole[AWAKE + body, i] = 1
            state.real[SLEEP_TIME + body, i] = ZERO

    start0, start1, start2 = (
        load_motion(state, POSITION, LANDER, i),
        load_motion(state, POSITION, LEG0, i),
        load_motion(state, POSITION, LEG1, i),
    )
    q0, q1, q2 = load_rotation(state, LANDER, i), load_rotation(state, LEG0, i), load_rotation(state, LEG1, i)
    v0 = integrate_lander_velocity(state, i, load_motion(state, VELOCITY, LANDER, i), gravity)
    v1 = integrate_leg_velocity(load_motion(state, VELOCITY, LEG0, i), gravity)
    v2 = integrate_leg_velocity(load_motion(state, VELOCITY, LEG1, i), gravity)
    constraint, counts = scratch.constraint, scratch.constraint_whole
    for k in range(count):
        body = state.contact_whole[i, counts[k, _SLOT], BODY]
        initialize_contact(state, i, constraint[k], counts[k], _pick(body, start0, start1, start2), True)
    for k in range(count):
        body = state.contact_whole[i, counts[k, _SLOT], BODY]
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
            body = state.contact_whole[i, counts[k, _SLOT], BODY]
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
            slot = counts[k, _SLOT]
            body = state.contact_whole[i, slot, BODY]
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
    move_body(state, i, LANDER, 1, Vec2(ZERO, LANDER_CENTER_Y), q0, start0, c0, v0)
    move_body(state, i, LEG0, None, Vec2(ZERO, ZERO), q1, start1, c1, v1)
    move_body(state, i, LEG1, None, Vec2(ZERO, ZERO), q2, start2, c2, v2)


@inlined
def _replace(body, new, a, b, c):
    if body == LANDER:
        return new, b, c
    if body == LEG0:
        return a, new, c
    return a, b, new
