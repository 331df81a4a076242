"""The contact solver for one contact as the state holds it: `contact_solver` on records. Scalars only."""

from fastlander.kernels.jit import inlined, part
from fastlander.physics.bodies import (
    LANDER,
    LANDER_FRICTION,
    LANDER_INV_INERTIA,
    LANDER_INV_MASS,
    LEG_FRICTION,
    LEG_INV_INERTIA,
    LEG_INV_MASS,
)
from fastlander.physics.constants import ZERO
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
from fastlander.physics.island import center_of, origin_of
from fastlander.physics.state import (
    BODY,
    CONSTRAINT_FRICTION,
    CONSTRAINT_IMPULSE,
    CONSTRAINT_K,
    CONSTRAINT_NORMAL,
    CONSTRAINT_POINT,
    CONSTRAINT_POINTS,
    CONSTRAINT_SLOT,
    EDGE,
    FACE_B,
    LOCAL_NORMAL,
    LOCAL_POINT,
    POINT,
    POINT_COUNT,
)
from fastlander.physics.vector_math import Vec2, rotation


@inlined
def mass_of(body):
    """A body's (inverse mass, inverse inertia), 1 / kg and 1 / (kg m^2)."""
    if body == LANDER:
        return LANDER_INV_MASS, LANDER_INV_INERTIA
    return LEG_INV_MASS, LEG_INV_INERTIA


@inlined
def friction_of(body, edge):
    """The friction of a body with an edge: b2MixFriction."""
    return LANDER_FRICTION[edge] if body == LANDER else LEG_FRICTION[edge]


@inlined
def load_manifold(values, contact):
    """A contact's Manifold from its fields."""
    return Manifold(
        contact[FACE_B] == 0,
        Vec2(values[LOCAL_NORMAL], values[LOCAL_NORMAL + 1]),
        Vec2(values[LOCAL_POINT], values[LOCAL_POINT + 1]),
    )


@part
def initialize_contact(state, i, constraint, counts, c, warm):
    """b2ContactSolver's constructor and InitializeVelocityConstraints for one contact.

    constraint, counts: float32[NUM_CONSTRAINT_F32] and int32[NUM_CONSTRAINT_I32], its constraint in Scratch. c: the
    body's position. warm: whether to start with the last step's impulses.
    """
    slot = counts[CONSTRAINT_SLOT]
    contact, values = state.contact_i32[i, slot], state.contact_f32[i, slot]
    body = contact[BODY]
    mB, iB = mass_of(body)
    q = rotation(c.a)
    p = origin_of(c, q, center_of(body))
    manifold = load_manifold(values, contact)
    points = contact[POINT_COUNT]
    for k in range(points):
        normal, world = world_point(manifold, Vec2(values[POINT + 4 * k], values[POINT + 4 * k + 1]), q, p)
        point = constraint_point(normal, world, c, mB, iB)
        at = CONSTRAINT_POINT + 6 * k
        constraint[CONSTRAINT_NORMAL], constraint[CONSTRAINT_NORMAL + 1] = normal.x, normal.y
        constraint[at], constraint[at + 1] = point.r.x, point.r.y
        constraint[at + 2], constraint[at + 3] = point.still_x, point.still_y
        constraint[at + 4], constraint[at + 5] = point.normal_mass, point.tangent_mass
        impulse = CONSTRAINT_IMPULSE + 2 * k
        constraint[impulse] = values[POINT + 4 * k + 2] if warm else ZERO
        constraint[impulse + 1] = values[POINT + 4 * k + 3] if warm else ZERO
    constraint[CONSTRAINT_FRICTION] = friction_of(body, contact[EDGE])
    counts[CONSTRAINT_POINTS] = points
    if points == 2:
        normal = Vec2(constraint[CONSTRAINT_NORMAL], constraint[CONSTRAINT_NORMAL + 1])
        k11, k12, k22, good = block_matrix(normal, load_point(constraint, 0), load_point(constraint, 1), mB, iB)
        constraint[CONSTRAINT_K], constraint[CONSTRAINT_K + 1], constraint[CONSTRAINT_K + 2] = k11, k12, k22
        if not good:
            counts[CONSTRAINT_POINTS] = 1


@inlined
def load_point(constraint, k):
    """Point k of a contact's constraint."""
    at = CONSTRAINT_POINT + 6 * k
    return Point(
        Vec2(constraint[at], constraint[at + 1]),
        constraint[at + 2],
        constraint[at + 3],
        constraint[at + 4],
        constraint[at + 5],
    )


@part
def warm_start_contact(constraint, counts, body, v):
    """b2ContactSolver::WarmStart for one contact."""
    mB, iB = mass_of(body)
    normal = Vec2(constraint[CONSTRAINT_NORMAL], constraint[CONSTRAINT_NORMAL + 1])
    for k in range(counts[CONSTRAINT_POINTS]):
        at = CONSTRAINT_IMPULSE + 2 * k
        v = warm_start(normal, load_point(constraint, k), v, constraint[at], constraint[at + 1], mB, iB)
    return v


@part
def solve_contact(constraint, counts, body, v):
    """b2ContactSolver::SolveVelocityConstraints for one contact."""
    mB, iB = mass_of(body)
    normal = Vec2(constraint[CONSTRAINT_NORMAL], constraint[CONSTRAINT_NORMAL + 1])
    friction = constraint[CONSTRAINT_FRICTION]
    for k in range(counts[CONSTRAINT_POINTS]):
        point, at = load_point(constraint, k), CONSTRAINT_IMPULSE + 2 * k
        v, tangent = solve_tangent(normal, point, v, constraint[at], constraint[at + 1], friction, mB, iB)
        constraint[at + 1] = tangent
    point1, at1, at2 = load_point(constraint, 0), CONSTRAINT_IMPULSE, CONSTRAINT_IMPULSE + 2
    if counts[CONSTRAINT_POINTS] == 1:
        v, impulse = solve_normal(normal, point1, v, constraint[at1], mB, iB)
        constraint[at1] = impulse
    else:
        k11, k12, k22 = constraint[CONSTRAINT_K], constraint[CONSTRAINT_K + 1], constraint[CONSTRAINT_K + 2]
        point2, a1, a2 = load_point(constraint, 1), constraint[at1], constraint[at2]
        v, a1, a2 = solve_normal_block(normal, point1, point2, v, a1, a2, k11, k12, k22, mB, iB)
        constraint[at1], constraint[at2] = a1, a2
    return v


@part
def solve_contact_position(state, i, slot, c, baumgarte, least):
    """b2ContactSolver::SolvePositionConstraints for one contact: (position, smallest separation so far).

    c: the body's position. baumgarte: BAUMGARTE or TOI_BAUMGARTE. least: the smallest separation before, m.
    """
    contact, values = state.contact_i32[i, slot], state.contact_f32[i, slot]
    body = contact[BODY]
    mB, iB = mass_of(body)
    manifold = load_manifold(values, contact)
    for k in range(contact[POINT_COUNT]):
        local = Vec2(values[POINT + 4 * k], values[POINT + 4 * k + 1])
        c, separation = solve_position_point(manifold, local, center_of(body), c, mB, iB, baumgarte)
        least = least if least < separation else separation
    return c, least


@part
def store_contact_impulses(state, i, constraint, counts):
    """b2ContactSolver::StoreImpulses for one contact."""
    values = state.contact_f32[i, counts[CONSTRAINT_SLOT]]
    for k in range(counts[CONSTRAINT_POINTS]):
        at = CONSTRAINT_IMPULSE + 2 * k
        values[POINT + 4 * k + 2], values[POINT + 4 * k + 3] = constraint[at], constraint[at + 1]
