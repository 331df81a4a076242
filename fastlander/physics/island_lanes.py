"""The island solver for the common situations, for one lander or for lanes of sixteen or thirty-two.

All three bodies are awake. Each leg touches nothing, or touches one edge at one point with its corner (e_faceA). The
lander's hull touches nothing. `island_general` is the slow twin, and it takes all other situations.
"""

from fastlander.kernels.jit import inlined, part
from fastlander.kernels.simd import all_lanes, any_lane, bits, where
from fastlander.kernels.simd_memory import gather, scatter
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
    LEG_INV_INERTIA,
    LEG_INV_MASS,
    LEG_SHAPE,
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
    constraint_point,
    solve_normal,
    solve_position_point,
    solve_tangent,
    warm_start,
    world_point,
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
    origin_of,
    store_impulse,
)
from fastlander.physics.revolute_joint import (
    Impulse,
    solve_free_velocity_constraints,
    solve_position_constraints,
    solve_velocity_constraints,
)
from fastlander.physics.state import LEG_CONTACT, LEG_TOUCHES, POSITION, VELOCITY
from fastlander.physics.vector_math import Motion, Vec2, maximum, minimum

LEG_CENTER = Vec2(ZERO, ZERO)  # m, a leg's localCenter
FIRST_CHECK = 6  # iterations before the first search for a cycle; each later search comes after twice as many

# What `solve_lanes` is called with. Numba removes branches on None, so each combination is compiled to a solver of its
# own.
LIMITS, NO_LIMITS = 1, None
LEG_CONTACTS, NO_LEG_CONTACTS = 1, None


@inlined
def load_motions(state, row, index):
    """The Motions of all three bodies from the rows POSITION or VELOCITY of the state."""
    return (
        load_motion(state, row, LANDER, index),
        load_motion(state, row, LEG0, index),
        load_motion(state, row, LEG1, index),
    )


@inlined
def load_rotations(state, index):
    """The Rots of all three bodies from the state."""
    return load_rotation(state, LANDER, index), load_rotation(state, LEG0, index), load_rotation(state, LEG1, index)


@inlined
def accelerated(state, index, gravity):
    """The velocities of all three bodies after the first loop of b2Island::Solve."""
    v0, v1, v2 = load_motions(state, VELOCITY, index)
    v0 = integrate_lander_velocity(state, index, v0, gravity)
    return v0, integrate_leg_velocity(v1, gravity), integrate_leg_velocity(v2, gravity)


@inlined
def select(mask, a, b):
    """The Motion a where the mask holds, else the Motion b."""
    return Motion(where(mask, a.x, b.x), where(mask, a.y, b.y), where(mask, a.a, b.a))


@inlined
def load_leg_contact(state, leg, index):
    """A leg's contact: (mask: it touches, Manifold, point on the leg, normal impulse, tangent impulse, friction)."""
    row = LEG_CONTACT + 9 * leg
    manifold = Manifold(
        True,
        Vec2(gather(state.f32, row, index), gather(state.f32, row + 1, index)),
        Vec2(gather(state.f32, row + 2, index), gather(state.f32, row + 3, index)),
    )
    local = Vec2(gather(state.f32, row + 4, index), gather(state.f32, row + 5, index))
    touches = gather(state.i32, LEG_TOUCHES + leg, index) != 0
    normal_impulse, tangent_impulse = gather(state.f32, row + 6, index), gather(state.f32, row + 7, index)
    return touches, manifold, local, normal_impulse, tangent_impulse, gather(state.f32, row + 8, index)


@inlined
def store_leg_contact(state, leg, index, normal_impulse, tangent_impulse):
    """Write the impulses of a leg's contact into the state, N s."""
    scatter(state.f32, LEG_CONTACT + 9 * leg + 6, index, normal_impulse)
    scatter(state.f32, LEG_CONTACT + 9 * leg + 7, index, tangent_impulse)


@inlined
def begin_contact(manifold, local, q, c):
    """InitializeVelocityConstraints for a leg's contact: (normal, Point)."""
    normal, world = world_point(manifold, local, q, origin_of(c, q, LEG_CENTER))
    return normal, constraint_point(normal, world, c, LEG_INV_MASS, LEG_INV_INERTIA)


@inlined
def solve_leg_contact(touches, normal, point, v, normal_impulse, tangent_impulse, friction):
    """SolveVelocityConstraints for a leg's contact: (velocity, normal impulse, tangent impulse)."""
    mass, inertia = LEG_INV_MASS, LEG_INV_INERTIA
    new, tangent_impulse = solve_tangent(normal, point, v, normal_impulse, tangent_impulse, friction, mass, inertia)
    new, normal_impulse = solve_normal(normal, point, new, normal_impulse, mass, inertia)
    return select(touches, new, v), normal_impulse, tangent_impulse


@inlined
def solve_leg_position(touches, manifold, local, c, least):
    """SolvePositionConstraints for a leg's contact: (position, smallest separation so far in m)."""
    new, separation = solve_position_point(manifold, local, LEG_CENTER, c, LEG_INV_MASS, LEG_INV_INERTIA, BAUMGARTE)
    return select(touches, new, c), where(touches, minimum(least, separation), least)


@inlined
def solve_free_joints(joint0, joint1, v0, v1, v2, impulse0, impulse1):
    """One velocity iteration of both joints, joint 1 first. None is at a limit: (v0, v1, v2, impulse0, impulse1)."""
    v0, v2, impulse1 = solve_free_velocity_constraints(JOINT1, joint1, v0, v2, impulse1)
    v0, v1, impulse0 = solve_free_velocity_constraints(JOINT0, joint0, v0, v1, impulse0)
    return v0, v1, v2, impulse0, impulse1


@inlined
def solve_joints(joint0, joint1, v0, v1, v2, impulse0, impulse1):
    """One velocity iteration of both joints, joint 1 first.

    Returns (v0, v1, v2, impulse0, impulse1, change0, change1): the changes are what was added to the impulses.
    """
    v0, v2, impulse1, change1 = solve_velocity_constraints(JOINT1, joint1, v0, v2, impulse1)
    v0, v1, impulse0, change0 = solve_velocity_constraints(JOINT0, joint0, v0, v1, impulse0)
    return v0, v1, v2, impulse0, impulse1, change0, change1


@inlined
def same_bits(a, b):
    """Mask: the two Motions have the same bits."""
    return (bits(a.x) == bits(b.x)) & (bits(a.y) == bits(b.y)) & (bits(a.a) == bits(b.a))


@inlined
def repeats(u0, u1, u2, motor0, motor1, v0, v1, v2, impulse0, impulse1):
    """Mask: the velocities v and the motors of the impulses have the bits of the u and of motor0 and motor1."""
    same = same_bits(u0, v0) & same_bits(u1, v1) & same_bits(u2, v2)
    return same & (bits(motor0) == bits(impulse0.motor)) & (bits(motor1) == bits(impulse1.motor))


@inlined
def add_changes(joint, impulse, first, second, iterations):
    """Add the changes of two iterations in turn, `iterations` in all: (Impulse, mask: a limit lets go meanwhile)."""
    x, y, z = impulse.x, impulse.y, impulse.z
    low, high = z, z
    for _ in range(iterations // 2):
        x, y, z = x + first.x, y + first.y, z + first.z
        low, high = minimum(low, z), maximum(high, z)
        x, y, z = x + second.x, y + second.y, z + second.z
        low, high = minimum(low, z), maximum(high, z)
    lets_go = ((low < ZERO) & joint.lower) | ((high > ZERO) & joint.upper)
    return Impulse(x, y, z, impulse.motor), lets_go


@inlined
def solve_limited_joints(joint0, joint1, v0, v1, v2, impulse0, impulse1):
    """All velocity iterations of the joints of landers that touch nothing: (v0, v1, v2, impulse0, impulse1).

    After a few iterations, joints at limits often reach a cycle: two iterations lead back to the same bits of the
    velocities and motor impulses. Then each further pair of iterations adds the same changes to the impulses, as long
    as no limit lets go. If that is so in all lanes, only these sums are computed for the remaining iterations.
    """
    iteration, check = 0, FIRST_CHECK
    while iteration < VELOCITY_ITERATIONS:
        if iteration != check:
            v0, v1, v2, impulse0, impulse1, _, _ = solve_joints(joint0, joint1, v0, v1, v2, impulse0, impulse1)
            iteration += 1
            continue
        u0, u1, u2, motor0, motor1 = v0, v1, v2, impulse0.motor, impulse1.motor
        v0, v1, v2, impulse0, impulse1, a0, a1 = solve_joints(joint0, joint1, v0, v1, v2, impulse0, impulse1)
        v0, v1, v2, impulse0, impulse1, b0, b1 = solve_joints(joint0, joint1, v0, v1, v2, impulse0, impulse1)
        iteration += 2
        check = 2 * iteration
        cyclic = repeats(u0, u1, u2, motor0, motor1, v0, v1, v2, impulse0, impulse1)
        if all_lanes(cyclic) and not any_lane(a0.released | a1.released | b0.released | b1.released):
            end0, lets_go0 = add_changes(joint0, impulse0, a0, b0, VELOCITY_ITERATIONS - iteration)
            end1, lets_go1 = add_changes(joint1, impulse1, a1, b1, VELOCITY_ITERATIONS - iteration)
            if not any_lane(lets_go0 | lets_go1):
                return v0, v1, v2, end0, end1
    return v0, v1, v2, impulse0, impulse1


@inlined
def finish_island(state, index, joint0, joint1, q0, q1, q2, start0, start1, start2, v0, v1, v2, contacts):
    """b2Island::Solve after the velocity iterations, and the synchronization of the fixtures.

    contacts: None, or (touches, Manifold, point on the leg) of leg 0 and of leg 1.
    """
    c0, v0 = integrate_position(start0, v0, TIME_STEP)
    c1, v1 = integrate_position(start1, v1, TIME_STEP)
    c2, v2 = integrate_position(start2, v2, TIME_STEP)
    solved = index < 0
    for _ in range(POSITION_ITERATIONS):
        new0, new1, new2 = c0, c1, c2
        least = c0.x * ZERO
        if contacts is not None:
            new2, least = solve_leg_position(contacts[1][0], contacts[1][1], contacts[1][2], new2, least)
            new1, least = solve_leg_position(contacts[0][0], contacts[0][1], contacts[0][2], new1, least)
        new0, new2, okay2 = solve_position_constraints(JOINT1, joint1, new0, new2)
        new0, new1, okay1 = solve_position_constraints(JOINT0, joint0, new0, new1)
        c0, c1, c2 = select(solved, c0, new0), select(solved, c1, new1), select(solved, c2, new2)
        solved = solved | (okay1 & okay2 & (least >= MINIMUM_SEPARATION))
        if all_lanes(solved):
            break

    v0, v1, v2 = fall_asleep(state, index, solved, v0, v1, v2)
    move_body(state, index, LANDER, LANDER_SHAPE, Vec2(ZERO, LANDER_CENTER_Y), q0, start0, c0, v0)
    move_body(state, index, LEG0, LEG_SHAPE, LEG_CENTER, q1, start1, c1, v1)
    move_body(state, index, LEG1, LEG_SHAPE, LEG_CENTER, q2, start2, c2, v2)


@part
def solve_lanes(state, index, gravity, limits, legs):
    """b2Island::Solve for the landers of `index`, and the synchronization of their fixtures.

    gravity: m/s^2, negative. limits: NO_LIMITS if no joint is at a limit, else LIMITS. legs: NO_LEG_CONTACTS if no leg
    touches the ground, else LEG_CONTACTS.
    """
    start0, start1, start2 = load_motions(state, POSITION, index)
    q0, q1, q2 = load_rotations(state, index)
    v0, v1, v2 = accelerated(state, index, gravity)
    mass, inertia = LEG_INV_MASS, LEG_INV_INERTIA
    if legs is not None:
        touches2, manifold2, local2, normal_impulse2, tangent_impulse2, friction2 = load_leg_contact(
            state, JOINT_NUMBER1, index
        )
        touches1, manifold1, local1, normal_impulse1, tangent_impulse1, friction1 = load_leg_contact(
            state, JOINT_NUMBER0, index
        )
        normal2, point2 = begin_contact(manifold2, local2, q2, start2)
        normal1, point1 = begin_contact(manifold1, local1, q1, start1)
        v2 = select(touches2, warm_start(normal2, point2, v2, normal_impulse2, tangent_impulse2, mass, inertia), v2)
        v1 = select(touches1, warm_start(normal1, point1, v1, normal_impulse1, tangent_impulse1, mass, inertia), v1)
    joint0, joint1, impulse0, impulse1, v0, v1, v2 = begin_joints(
        state, index, q0, q1, q2, start0, start1, start2, v0, v1, v2, True
    )
    if limits is None:
        for _ in range(VELOCITY_ITERATIONS):
            v0, v1, v2, impulse0, impulse1 = solve_free_joints(joint0, joint1, v0, v1, v2, impulse0, impulse1)
    elif legs is None:
        v0, v1, v2, impulse0, impulse1 = solve_limited_joints(joint0, joint1, v0, v1, v2, impulse0, impulse1)
    else:
        for _ in range(VELOCITY_ITERATIONS):
            # Joint 0 and the contact of leg 1 have no body in common: which of them is first changes no bit.
            v0, v2, impulse1, _ = solve_velocity_constraints(JOINT1, joint1, v0, v2, impulse1)
            v2, normal_impulse2, tangent_impulse2 = solve_leg_contact(
                touches2, normal2, point2, v2, normal_impulse2, tangent_impulse2, friction2
            )
            v0, v1, impulse0, _ = solve_velocity_constraints(JOINT0, joint0, v0, v1, impulse0)
            v1, normal_impulse1, tangent_impulse1 = solve_leg_contact(
                touches1, normal1, point1, v1, normal_impulse1, tangent_impulse1, friction1
            )
    store_impulse(state, JOINT_NUMBER0, index, impulse0)
    store_impulse(state, JOINT_NUMBER1, index, impulse1)
    if legs is not None:
        store_leg_contact(state, JOINT_NUMBER0, index, normal_impulse1, tangent_impulse1)
        store_leg_contact(state, JOINT_NUMBER1, index, normal_impulse2, tangent_impulse2)
    if legs is not None:
        contacts = (touches1, manifold1, local1), (touches2, manifold2, local2)
        finish_island(state, index, joint0, joint1, q0, q1, q2, start0, start1, start2, v0, v1, v2, contacts)
    else:
        finish_island(state, index, joint0, joint1, q0, q1, q2, start0, start1, start2, v0, v1, v2, None)
