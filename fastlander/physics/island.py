"""The pieces of one step of three bodies and two joints: Box2D 2.3, `b2Island.cpp`, for scalars and lanes alike.

`index` is the number of a lander, or lanes of them.
"""

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
    """A body's Motion from the rows POSITION, PREVIOUS or VELOCITY of the state."""
    row = row + 3 * body
    return Motion(gather(state.f32, row, index), gather(state.f32, row + 1, index), gather(state.f32, row + 2, index))


@inlined
def store_motion(state, row, body, index, motion):
    """A body's Motion into the rows POSITION, PREVIOUS or VELOCITY of the state."""
    row = row + 3 * body
    scatter(state.f32, row, index, motion.x)
    scatter(state.f32, row + 1, index, motion.y)
    scatter(state.f32, row + 2, index, motion.a)


@inlined
def load_rotation(state, body, index):
    """A body's Rot from the state. Until the end of a step it is that of the angle at the start."""
    row = ROTATION + 2 * body
    return Rot(gather(state.f32, row, index), gather(state.f32, row + 1, index))


@inlined
def load_impulse(state, joint, index):
    """A joint's Impulse from the state: the sum of the last step's iterations."""
    row = IMPULSE + 4 * joint
    return Impulse(
        gather(state.f32, row, index),
        gather(state.f32, row + 1, index),
        gather(state.f32, row + 2, index),
        gather(state.f32, row + 3, index),
    )


@inlined
def store_impulse(state, joint, index, impulse):
    """A joint's Impulse into the state. The next step starts with it."""
    row = IMPULSE + 4 * joint
    scatter(state.f32, row, index, impulse.x)
    scatter(state.f32, row + 1, index, impulse.y)
    scatter(state.f32, row + 2, index, impulse.z)
    scatter(state.f32, row + 3, index, impulse.motor)


@inlined
def integrate_lander_velocity(state, index, v, gravity):
    """The first loop of b2Island::Solve for the lander: gravity and this step's forces. There is no damping."""
    fx, fy = gather(state.f32, FORCE, index), gather(state.f32, FORCE + 1, index)
    torque = gather(state.f32, FORCE + 2, index)
    return Motion(
        v.x + TIME_STEP * (ZERO + LANDER_INV_MASS * fx),
        v.y + TIME_STEP * (gravity + LANDER_INV_MASS * fy),
        v.a + TIME_STEP * LANDER_INV_INERTIA * torque,
    )


@inlined
def integrate_leg_velocity(v, gravity):
    """The first loop of b2Island::Solve for a leg: gravity only."""
    return Motion(v.x + ZERO, v.y + TIME_STEP * gravity, v.a + ZERO)


@inlined
def integrate_position(c, v, h):
    """The loop of b2Island::Solve after the velocity iterations: (position, velocity). h: time step, s.

    A velocity that would move a body farther than MAX_TRANSLATION or MAX_ROTATION is reduced.
    """
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
    """The end of b2Island::Solve: sleep times, and bodies that rest for TIME_TO_SLEEP fall asleep: (v0, v1, v2).

    solved: mask, the position iterations have ended with small errors.
    """
    t0, t1, t2 = (
        rest_time(state, LANDER, index, v0),
        rest_time(state, LEG0, index, v1),
        rest_time(state, LEG1, index, v2),
    )
    asleep = (minimum(minimum(t0, t1), t2) >= TIME_TO_SLEEP) & solved
    scatter(state.f32, SLEEP_TIME, index, where(asleep, ZERO, t0))
    scatter(state.f32, SLEEP_TIME + 1, index, where(asleep, ZERO, t1))
    scatter(state.f32, SLEEP_TIME + 2, index, where(asleep, ZERO, t2))
    for body in range(NUM_BODIES):
        scatter(state.i32, AWAKE + body, index, where(asleep, NO, YES))
    return stopped(v0, asleep), stopped(v1, asleep), stopped(v2, asleep)


@inlined
def rest_time(state, body, index, v):
    """How long a body has been at rest with this step, s."""
    moves = (v.a * v.a > ANGULAR_SLEEP_TOLERANCE_SQUARED) | (dot(v, v) > LINEAR_SLEEP_TOLERANCE_SQUARED)
    return where(moves, ZERO, gather(state.f32, SLEEP_TIME + body, index) + TIME_STEP)


@inlined
def stopped(v, asleep):
    """The velocity, or 0 where `asleep` holds."""
    return Motion(where(asleep, ZERO, v.x), where(asleep, ZERO, v.y), where(asleep, ZERO, v.a))


@inlined
def center_of(body):
    """A body's localCenter, m."""
    return Vec2(ZERO, LANDER_CENTER_Y) if body == LANDER else Vec2(ZERO, ZERO)


@inlined
def origin_of(c, q, center):
    """b2Body::SynchronizeTransform: the body's origin when its centre of mass is at c, m. center: its localCenter."""
    shift = rotate(q, center)
    return Vec2(c.x - shift.x, c.y - shift.y)


@inlined
def move_body(state, index, body, shape, center, q1, c0, c, v):
    """Write a body's motion into the state, with its transform, its rotation and its place in the broad phase.

    shape, center: the body's Shape and localCenter. q1: its rotation before the step. c0, c: its position before and
    after the step. v: its velocity after the step.
    """
    store_motion(state, PREVIOUS, body, index, c0)
    store_motion(state, POSITION, body, index, c)
    store_motion(state, VELOCITY, body, index, v)
    q2 = rotation(c.a)
    p1, p2 = origin_of(c0, q1, center), origin_of(c, q2, center)
    scatter(state.f32, ROTATION + 2 * body, index, q2.s)
    scatter(state.f32, ROTATION + 2 * body + 1, index, q2.c)
    scatter(state.f32, ORIGIN + 2 * body, index, p2.x)
    scatter(state.f32, ORIGIN + 2 * body + 1, index, p2.y)
    synchronize(state, index, body, shape, q1, p1, q2, p2)


@inlined
def begin_joints(state, index, q0, q1, q2, c0, c1, c2, v0, v1, v2, leg1_first):
    """InitVelocityConstraints for both joints: (joint0, joint1, impulse0, impulse1, v0, v1, v2).

    leg1_first: joint 1 comes before joint 0 in the island. That is so whenever all bodies are awake.
    """
    old0, old1 = gather(state.i32, LIMIT_STATE, index), gather(state.i32, LIMIT_STATE + 1, index)
    state0, state1 = limit_state(JOINT0, c0.a, c1.a), limit_state(JOINT1, c0.a, c2.a)
    scatter(state.i32, LIMIT_STATE, index, state0)
    scatter(state.i32, LIMIT_STATE + 1, index, state1)
    impulse0, impulse1 = load_impulse(state, JOINT_NUMBER0, index), load_impulse(state, JOINT_NUMBER1, index)
    if leg1_first:
        joint1, v0, v2, impulse1 = init_velocity_constraints(JOINT1, q0, q2, v0, v2, impulse1, old1, state1)
        joint0, v0, v1, impulse0 = init_velocity_constraints(JOINT0, q0, q1, v0, v1, impulse0, old0, state0)
    else:
        joint0, v0, v1, impulse0 = init_velocity_constraints(JOINT0, q0, q1, v0, v1, impulse0, old0, state0)
        joint1, v0, v2, impulse1 = init_velocity_constraints(JOINT1, q0, q2, v0, v2, impulse1, old1, state1)
    return joint0, joint1, impulse0, impulse1, v0, v1, v2
