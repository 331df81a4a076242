"""One step of three bodies and two joints: Box2D 2.3, `b2Island.cpp`. The pieces are generic over scalars and lanes."""

from fastlander.kernels.jit import inlined
from fastlander.kernels.simd import where
from fastlander.kernels.simd_memory import gather, scatter
from fastlander.physics.bodies import (
    JOINT0,
    JOINT1,
    JOINT_NUMBER0,
    JOINT_NUMBER1,
    LANDER,
    LANDER_CENTER_Y,
    LANDER_INV_INERTIA,
    LANDER_INV_MASS,
    LEG0,
    LEG1,
    NUM_BODIES,
)
from fastlander.physics.broad_phase import synchronize
from fastlander.physics.constants import (
    ANGULAR_SLEEP_TOLERANCE_SQUARED,
    LINEAR_SLEEP_TOLERANCE_SQUARED,
    MAX_ROTATION,
    MAX_ROTATION_SQUARED,
    MAX_TRANSLATION,
    MAX_TRANSLATION_SQUARED,
    NO,
    TIME_STEP,
    TIME_TO_SLEEP,
    YES,
    ZERO,
)
from fastlander.physics.revolute_joint import Impulse, init_velocity_constraints, limit_state
from fastlander.physics.state import (
    AWAKE,
    FORCE,
    IMPULSE,
    LIMIT_STATE,
    ORIGIN,
    POSITION,
    PREVIOUS,
    ROTATION,
    SLEEP_TIME,
    VELOCITY,
)
from fastlander.physics.vector_math import Motion, Rot, Vec2, absolute, dot, length, minimum, rotate, rotation


@inlined
def load_motion(state, row, body, index):
    """A Motion from rows of the state."""
    row = row + 3 * body
    return Motion(
        gather(state.real, row, index), gather(state.real, row + 1, index), gather(state.real, row + 2, index)
    )


@inlined
def store_motion(state, row, body, index, motion):
    """A Motion into rows of the state."""
    row = row + 3 * body
    scatter(state.real, row, index, motion.x)
    scatter(state.real, row + 1, index, motion.y)
    scatter(state.real, row + 2, index, motion.a)


@inlined
def load_rotation(state, body, index):
    """A body's Rot, which is that of its angle at the start of the step."""
    row = ROTATION + 2 * body
    return Rot(gather(state.real, row, index), gather(state.real, row + 1, index))


@inlined
def load_impulse(state, joint, index):
    """A joint's accumulated Impulse."""
    row = IMPULSE + 4 * joint
    return Impulse(
        gather(state.real, row, index),
        gather(state.real, row + 1, index),
        gather(state.real, row + 2, index),
        gather(state.real, row + 3, index),
    )


@inlined
def store_impulse(state, joint, index, impulse):
    """The Impulse that the next step starts with."""
    row = IMPULSE + 4 * joint
    scatter(state.real, row, index, impulse.x)
    scatter(state.real, row + 1, index, impulse.y)
    scatter(state.real, row + 2, index, impulse.z)
    scatter(state.real, row + 3, index, impulse.motor)


@inlined
def integrate_lander_velocity(state, index, v, gravity):
    """b2Island::Solve, first loop, for the lander: gravity and the forces of this step; there is no damping."""
    fx, fy = gather(state.real, FORCE, index), gather(state.real, FORCE + 1, index)
    torque = gather(state.real, FORCE + 2, index)
    return Motion(
        v.x + TIME_STEP * (ZERO + LANDER_INV_MASS * fx),
        v.y + TIME_STEP * (gravity + LANDER_INV_MASS * fy),
        v.a + TIME_STEP * LANDER_INV_INERTIA * torque,
    )


@inlined
def integrate_leg_velocity(v, gravity):
    """b2Island::Solve, first loop, for a leg: gravity alone."""
    return Motion(v.x + ZERO, v.y + TIME_STEP * gravity, v.a + ZERO)


@inlined
def integrate_position(c, v, h):
    """b2Island::Solve's loop after the velocity iterations: (c, v), both clipped to what a step may move."""
    translation = Vec2(h * v.x, h * v.y)
    squared = dot(translation, translation)
    fast = squared > MAX_TRANSLATION_SQUARED
    ratio = MAX_TRANSLATION / length(translation)
    turn = h * v.a
    spins = turn * turn > MAX_ROTATION_SQUARED
    v = Motion(
        where(fast, v.x * ratio, v.x),
        where(fast, v.y * ratio, v.y),
        where(spins, v.a * (MAX_ROTATION / absolute(turn)), v.a),
    )
    return Motion(c.x + h * v.x, c.y + h * v.y, c.a + h * v.a), v


@inlined
def fall_asleep(state, index, solved, v0, v1, v2):
    """The end of b2Island::Solve: sleep times, and bodies at rest for half a second put to sleep. The velocities."""
    t0, t1, t2 = (
        rest_time(state, LANDER, index, v0),
        rest_time(state, LEG0, index, v1),
        rest_time(state, LEG1, index, v2),
    )
    asleep = (minimum(minimum(t0, t1), t2) >= TIME_TO_SLEEP) & solved
    scatter(state.real, SLEEP_TIME, index, where(asleep, ZERO, t0))
    scatter(state.real, SLEEP_TIME + 1, index, where(asleep, ZERO, t1))
    scatter(state.real, SLEEP_TIME + 2, index, where(asleep, ZERO, t2))
    for body in range(NUM_BODIES):
        scatter(state.whole, AWAKE + body, index, where(asleep, NO, YES))
    return stopped(v0, asleep), stopped(v1, asleep), stopped(v2, asleep)


@inlined
def rest_time(state, body, index, v):
    """How long a body has been slow enough to sleep, s."""
    moves = (v.a * v.a > ANGULAR_SLEEP_TOLERANCE_SQUARED) | (dot(v, v) > LINEAR_SLEEP_TOLERANCE_SQUARED)
    return where(moves, ZERO, gather(state.real, SLEEP_TIME + body, index) + TIME_STEP)


@inlined
def stopped(v, asleep):
    """Velocity 0 where asleep."""
    return Motion(where(asleep, ZERO, v.x), where(asleep, ZERO, v.y), where(asleep, ZERO, v.a))


@inlined
def center_of(body):
    """localCenter of a body."""
    return Vec2(ZERO, LANDER_CENTER_Y) if body == 0 else Vec2(ZERO, ZERO)


@inlined
def origin_of(c, q, center):
    """b2Body::SynchronizeTransform: where the body's origin is when its centre of mass is at c."""
    shift = rotate(q, center)
    return Vec2(c.x - shift.x, c.y - shift.y)


@inlined
def move_body(state, index, body, is_lander, center, q1, c0, c, v):
    """Copy a body's motion back and synchronize its transform and its fixture. q1: its rotation before the step."""
    store_motion(state, PREVIOUS, body, index, c0)
    store_motion(state, POSITION, body, index, c)
    store_motion(state, VELOCITY, body, index, v)
    q2 = rotation(c.a)
    p1, p2 = origin_of(c0, q1, center), origin_of(c, q2, center)
    scatter(state.real, ROTATION + 2 * body, index, q2.s)
    scatter(state.real, ROTATION + 2 * body + 1, index, q2.c)
    scatter(state.real, ORIGIN + 2 * body, index, p2.x)
    scatter(state.real, ORIGIN + 2 * body + 1, index, p2.y)
    synchronize(state, index, body, is_lander, q1, p1, q2, p2)


@inlined
def begin_joints(state, index, q0, q1, q2, c0, c1, c2, v0, v1, v2, leg1_first):
    """Both joints' InitVelocityConstraints, in the island's order: the joints, their impulses, the velocities.

    leg1_first: the order is joint 1, joint 0, as it always is while all are awake.
    """
    old0, old1 = gather(state.whole, LIMIT_STATE, index), gather(state.whole, LIMIT_STATE + 1, index)
    state0, state1 = limit_state(JOINT0, c0.a, c1.a), limit_state(JOINT1, c0.a, c2.a)
    scatter(state.whole, LIMIT_STATE, index, state0)
    scatter(state.whole, LIMIT_STATE + 1, index, state1)
    impulse0, impulse1 = load_impulse(state, JOINT_NUMBER0, index), load_impulse(state, JOINT_NUMBER1, index)
    if leg1_first:
        joint1, v0, v2, impulse1 = init_velocity_constraints(JOINT1, q0, q2, v0, v2, impulse1, old1, state1)
        joint0, v0, v1, impulse0 = init_velocity_constraints(JOINT0, q0, q1, v0, v1, impulse0, old0, state0)
    else:
        joint0, v0, v1, impulse0 = init_velocity_constraints(JOINT0, q0, q1, v0, v1, impulse0, old0, state0)
        joint1, v0, v2, impulse1 = init_velocity_constraints(JOINT1, q0, q2, v0, v2, impulse1, old1, state1)
    return joint0, joint1, impulse0, impulse1, v0, v1, v2
