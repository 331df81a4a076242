"""The joint between the lander (body A) and a leg (body B): Box2D 2.3, `b2RevoluteJoint.cpp`, with motor and limits."""

from typing import NamedTuple

from fastlander.kernels.jit import inlined
from fastlander.kernels.lanes import Mask, Number
from fastlander.kernels.simd import where
from fastlander.physics.bodies import (
    JOINT_INV_INERTIA,
    LANDER_CENTER_Y,
    LANDER_INV_INERTIA,
    LANDER_INV_MASS,
    LEG_INV_INERTIA,
    LEG_INV_MASS,
    MAX_MOTOR_IMPULSE,
    MOTOR_MASS,
)
from fastlander.physics.constants import (
    ANGULAR_SLOP,
    AT_LOWER,
    AT_UPPER,
    INACTIVE,
    INFINITY,
    LINEAR_SLOP,
    MAX_ANGULAR_CORRECTION,
    MINUS_ZERO,
    ONE,
    ZERO,
)
from fastlander.physics.vector_math import (
    Motion,
    Vec2,
    clamp,
    cross,
    cross_scalar,
    inverse_or_zero,
    length,
    rotate,
    rotation,
)

LANDER_ANCHOR = Vec2(ZERO - ZERO, ZERO - LANDER_CENTER_Y)  # m, localAnchorA - localCenterA


class Joint(NamedTuple):
    """What is the same in all velocity iterations of a step."""

    rA: Vec2  # m, from the lander's centre of mass to the joint
    rB: Vec2  # m, from the leg's centre of mass to the joint
    ex_x: Number  # m_mass, a symmetric 3 by 3 matrix with the columns ex, ey, ez; ez_z is JOINT_INV_INERTIA
    ey_x: Number
    ez_x: Number
    ey_y: Number
    ez_y: Number
    inverse22: Number  # 1 / determinant of the upper left 2 by 2 part of m_mass
    inverse33: Number  # -1 / determinant of m_mass: impulses are solutions with the opposite sign
    cross_x: Number  # ey x ez
    cross_y: Number
    cross_z: Number
    free: Mask  # at no limit
    lower: Mask  # at the lower limit
    upper: Mask  # at the upper limit
    least: Number  # N m s: the limit lets go of an impulse below. Infinity at no limit: of any
    most: Number  # N m s: and of one above
    rhs_x: Number  # ez_x where a limit is active. Elsewhere -1: its product with a limit impulse of 0 adds nothing
    rhs_y: Number  # ez_y where a limit is active. Elsewhere -1


class Impulse(NamedTuple):
    """The impulses of a joint, summed over the iterations. The next step starts with them."""

    x: Number  # N s, at the joint
    y: Number  # N s
    z: Number  # N m s, of the limit
    motor: Number  # N m s


class Change(NamedTuple):
    """What one velocity iteration adds to an Impulse."""

    x: Number  # N s
    y: Number  # N s
    z: Number  # N m s
    released: Mask  # the limit let go: z does not hold, the impulse of the limit became 0


@inlined
def limit_state(definition, lander_angle, leg_angle):
    """INACTIVE, AT_LOWER or AT_UPPER, int32: the part of InitVelocityConstraints that decides it. Angles in rad."""
    angle = leg_angle - lander_angle - definition.reference_angle
    above = where(angle >= definition.upper_angle, AT_UPPER, INACTIVE)
    return where(angle <= definition.lower_angle, AT_LOWER, above)


@inlined
def make_joint(definition, qA, qB, state):
    """The part of b2RevoluteJoint::InitVelocityConstraints that needs no velocity. state: the joint's limit state."""
    rA = rotate(qA, LANDER_ANCHOR)
    rB = rotate(qB, Vec2(definition.anchor_x, definition.anchor_y))
    mA, mB, iA, iB = LANDER_INV_MASS, LEG_INV_MASS, LANDER_INV_INERTIA, LEG_INV_INERTIA
    ex_x = (mA + mB) + rA.y * rA.y * iA + rB.y * rB.y * iB
    ey_x = -rA.y * rA.x * iA - rB.y * rB.x * iB
    ez_x = -rA.y * iA - rB.y * iB
    ey_y = (mA + mB) + rA.x * rA.x * iA + rB.x * rB.x * iB
    ez_y = rA.x * iA + rB.x * iB
    ez_z = JOINT_INV_INERTIA
    cross_x = ey_y * ez_z - ez_y * ez_y
    cross_y = ez_y * ez_x - ey_x * ez_z
    cross_z = ey_x * ez_y - ey_y * ez_x
    free, upper = state == INACTIVE, state == AT_UPPER
    return Joint(
        rA=rA,
        rB=rB,
        ex_x=ex_x,
        ey_x=ey_x,
        ez_x=ez_x,
        ey_y=ey_y,
        ez_y=ez_y,
        inverse22=inverse_or_zero(ex_x * ey_y - ey_x * ey_x),
        inverse33=-inverse_or_zero(ex_x * cross_x + ey_x * cross_y + ez_x * cross_z),
        cross_x=cross_x,
        cross_y=cross_y,
        cross_z=cross_z,
        free=free,
        lower=state == AT_LOWER,
        upper=upper,
        least=where(upper, -INFINITY, where(free, INFINITY, ZERO)),
        most=where(upper, ZERO, INFINITY),
        rhs_x=where(free, -ONE, ez_x),
        rhs_y=where(free, -ONE, ez_y),
    )


@inlined
def init_velocity_constraints(definition, qA, qB, vA, vB, impulse, old_state, state):
    """b2RevoluteJoint::InitVelocityConstraints with a warm start: (Joint, vA, vB, Impulse).

    dtRatio is 1. In a lander's first step Box2D's dtRatio is 0; there the impulses are 0 anyway. old_state, state: the
    joint's limit state in the last step and in this one.
    """
    joint = make_joint(definition, qA, qB, state)
    rA, rB = joint.rA, joint.rB
    mA, mB, iA, iB = LANDER_INV_MASS, LEG_INV_MASS, LANDER_INV_INERTIA, LEG_INV_INERTIA
    impulse = Impulse(impulse.x, impulse.y, where(state == old_state, impulse.z, ZERO), impulse.motor)
    turn = cross(rA, impulse) + impulse.motor + impulse.z
    vA = Motion(vA.x - mA * impulse.x, vA.y - mA * impulse.y, vA.a - iA * turn)
    turn = cross(rB, impulse) + impulse.motor + impulse.z
    vB = Motion(vB.x + mB * impulse.x, vB.y + mB * impulse.y, vB.a + iB * turn)
    return joint, vA, vB, impulse


@inlined
def solve_motor(definition, vA, vB, motor):
    """The motor in SolveVelocityConstraints: (angular velocity of A, angular velocity of B, motor impulse)."""
    impulse = -MOTOR_MASS * (vB.a - vA.a - definition.motor_speed)
    new = clamp(motor + impulse, -MAX_MOTOR_IMPULSE, MAX_MOTOR_IMPULSE)
    impulse = new - motor
    return vA.a - LANDER_INV_INERTIA * impulse, vB.a + LEG_INV_INERTIA * impulse, new


@inlined
def relative_velocity(joint, vA, wA, vB, wB):
    """The relative velocity of the joint's two anchors, m/s: vB + b2Cross(wB, rB) - vA - b2Cross(wA, rA)."""
    cB, cA = cross_scalar(wB, joint.rB), cross_scalar(wA, joint.rA)
    return Vec2(vB.x + cB.x - vA.x - cA.x, vB.y + cB.y - vA.y - cA.y)


@inlined
def solve22(joint, x, y):
    """b2Mat33::Solve22 for the right side (x, y)."""
    return Vec2(
        joint.inverse22 * (joint.ey_y * x - joint.ey_x * y), joint.inverse22 * (joint.ex_x * y - joint.ey_x * x)
    )


@inlined
def apply_impulse(joint, vA, wA, vB, wB, x, y, z):
    """The end of SolveVelocityConstraints: (vA, vB). With z = MINUS_ZERO the limit adds nothing."""
    impulse = Vec2(x, y)
    return (
        Motion(
            vA.x - LANDER_INV_MASS * x,
            vA.y - LANDER_INV_MASS * y,
            wA - LANDER_INV_INERTIA * (cross(joint.rA, impulse) + z),
        ),
        Motion(vB.x + LEG_INV_MASS * x, vB.y + LEG_INV_MASS * y, wB + LEG_INV_INERTIA * (cross(joint.rB, impulse) + z)),
    )


@inlined
def solve_free_velocity_constraints(definition, joint, vA, vB, impulse):
    """b2RevoluteJoint::SolveVelocityConstraints for a joint that is at no limit: (vA, vB, Impulse)."""
    wA, wB, motor = solve_motor(definition, vA, vB, impulse.motor)
    cdot = relative_velocity(joint, vA, wA, vB, wB)
    step = solve22(joint, -cdot.x, -cdot.y)
    vA, vB = apply_impulse(joint, vA, wA, vB, wB, step.x, step.y, MINUS_ZERO)
    return vA, vB, Impulse(impulse.x + step.x, impulse.y + step.y, impulse.z, motor)


@inlined
def solve_velocity_constraints(definition, joint, vA, vB, impulse):
    """b2RevoluteJoint::SolveVelocityConstraints for any joint: (vA, vB, Impulse, Change)."""
    wA, wB, motor = solve_motor(definition, vA, vB, impulse.motor)
    cdot = relative_velocity(joint, vA, wA, vB, wB)
    turn = wB - wA
    # b2Mat33::Solve33. Its ey x ez and its determinant are the same in all iterations, so `joint` has them.
    ez_z = JOINT_INV_INERTIA
    bz_x = cdot.y * ez_z - turn * joint.ez_y
    bz_y = turn * joint.ez_x - cdot.x * ez_z
    bz_z = cdot.x * joint.ez_y - cdot.y * joint.ez_x
    yb_x = joint.ey_y * turn - joint.ez_y * cdot.y
    yb_y = joint.ez_y * cdot.x - joint.ey_x * turn
    yb_z = joint.ey_x * cdot.y - joint.ey_y * cdot.x
    x = joint.inverse33 * (cdot.x * joint.cross_x + cdot.y * joint.cross_y + turn * joint.cross_z)
    y = joint.inverse33 * (joint.ex_x * bz_x + joint.ey_x * bz_y + joint.ez_x * bz_z)
    z = joint.inverse33 * (joint.ex_x * yb_x + joint.ey_x * yb_y + joint.ez_x * yb_z)
    # The limit lets go where its impulse would pull. Without a limit impulse.z is 0, and -impulse.z adds nothing.
    # Comparing numbers takes less than masks that are kept from one iteration to the next.
    new = impulse.z + z
    released = (new < joint.least) | (new > joint.most)
    lets_go = (joint.lower & (new < ZERO)) | (joint.upper & (new > ZERO))
    reduced = solve22(joint, -cdot.x + impulse.z * joint.rhs_x, -cdot.y + impulse.z * joint.rhs_y)
    x, y = where(released, reduced.x, x), where(released, reduced.y, y)
    change = Change(x, y, where(joint.free, ZERO, z), lets_go)
    z, new = where(released, -impulse.z, z), where(released, ZERO, new)
    vA, vB = apply_impulse(joint, vA, wA, vB, wB, x, y, z)
    return vA, vB, Impulse(impulse.x + x, impulse.y + y, new, motor), change


@inlined
def solve_position_constraints(definition, joint, cA, cB):
    """b2RevoluteJoint::SolvePositionConstraints: (cA, cB, mask: both errors are small)."""
    angle = cB.a - cA.a - definition.reference_angle
    below, above = angle - definition.lower_angle, angle - definition.upper_angle
    angular_error = where(joint.lower, -below, where(joint.upper, above, ZERO))
    correction = where(
        joint.lower,
        clamp(below + ANGULAR_SLOP, -MAX_ANGULAR_CORRECTION, ZERO),
        clamp(above - ANGULAR_SLOP, ZERO, MAX_ANGULAR_CORRECTION),
    )
    limit_impulse = -MOTOR_MASS * correction
    aA = where(joint.free, cA.a, cA.a - LANDER_INV_INERTIA * limit_impulse)
    aB = where(joint.free, cB.a, cB.a + LEG_INV_INERTIA * limit_impulse)

    rA = rotate(rotation(aA), LANDER_ANCHOR)
    rB = rotate(rotation(aB), Vec2(definition.anchor_x, definition.anchor_y))
    error = Vec2(cB.x + rB.x - cA.x - rA.x, cB.y + rB.y - cA.y - rA.y)
    mA, mB, iA, iB = LANDER_INV_MASS, LEG_INV_MASS, LANDER_INV_INERTIA, LEG_INV_INERTIA
    k11 = (mA + mB) + iA * rA.y * rA.y + iB * rB.y * rB.y
    k12 = -iA * rA.x * rA.y - iB * rB.x * rB.y
    k22 = (mA + mB) + iA * rA.x * rA.x + iB * rB.x * rB.x
    det = inverse_or_zero(k11 * k22 - k12 * k12)
    impulse = Vec2(-(det * (k22 * error.x - k12 * error.y)), -(det * (k11 * error.y - k12 * error.x)))
    return (
        Motion(cA.x - mA * impulse.x, cA.y - mA * impulse.y, aA - iA * cross(rA, impulse)),
        Motion(cB.x + mB * impulse.x, cB.y + mB * impulse.y, aB + iB * cross(rB, impulse)),
        (length(error) <= LINEAR_SLOP) & (angular_error <= ANGULAR_SLOP),
    )
