"""Contacts between the moon (body A) and a body (B): Box2D 2.3, `b2ContactSolver.cpp`, with its block solver.

The moon never moves: its inverse mass and inertia are 0, so only B's velocity and position change. In all functions mB
and iB are the inverse mass (1 / kg) and the inverse inertia (1 / (kg m^2)) of the body.
"""

from typing import NamedTuple

from fastlander.kernels.jit import inlined
from fastlander.kernels.lanes import Mask, Number
from fastlander.kernels.simd import where
from fastlander.physics.constants import (
    HALF,
    LINEAR_SLOP,
    MAX_CONDITION_NUMBER,
    MAX_LINEAR_CORRECTION,
    ONE,
    POLYGON_RADIUS,
    ZERO,
)
from fastlander.physics.vector_math import (
    Motion,
    Vec2,
    clamp,
    cross,
    dot,
    inverse_or_zero,
    maximum,
    moon_rotate,
    moon_transform,
    rotate,
    rotation,
    scale,
    sub,
    transform,
)


class Manifold(NamedTuple):
    """The part of a b2Manifold that is the same for its points."""

    face_a: Mask  # the reference face is the moon's edge (e_faceA), otherwise the body's (e_faceB)
    normal: Vec2  # localNormal
    point: Vec2  # m, localPoint


class Point(NamedTuple):
    """A b2VelocityConstraintPoint without its impulses."""

    r: Vec2  # m, from the body's centre of mass (rB)
    still_x: Number  # b2Cross(wA, rA) with wA = 0: a zero whose sign matters
    still_y: Number
    normal_mass: Number  # kg
    tangent_mass: Number  # kg


@inlined
def world_point(manifold, local_point, qB, pB):
    """b2WorldManifold::Initialize for one point: (normal from A to B, point in the world in m)."""
    normal_a, normal_b = moon_rotate(manifold.normal), rotate(qB, manifold.normal)
    normal = Vec2(where(manifold.face_a, normal_a.x, normal_b.x), where(manifold.face_a, normal_a.y, normal_b.y))
    plane_a, plane_b = moon_transform(manifold.point), transform(qB, pB, manifold.point)
    clip_a, clip_b = transform(qB, pB, local_point), moon_transform(local_point)
    plane = Vec2(where(manifold.face_a, plane_a.x, plane_b.x), where(manifold.face_a, plane_a.y, plane_b.y))
    clip = Vec2(where(manifold.face_a, clip_a.x, clip_b.x), where(manifold.face_a, clip_a.y, clip_b.y))
    depth = POLYGON_RADIUS - dot(sub(clip, plane), normal)
    on_reference = Vec2(clip.x + depth * normal.x, clip.y + depth * normal.y)
    on_incident = Vec2(clip.x - POLYGON_RADIUS * normal.x, clip.y - POLYGON_RADIUS * normal.y)
    # Box2D adds cA and cB in this order for e_faceA and in the other order for e_faceB. The sum is the same.
    point = Vec2(HALF * (on_reference.x + on_incident.x), HALF * (on_reference.y + on_incident.y))
    normal = Vec2(where(manifold.face_a, normal.x, -normal.x), where(manifold.face_a, normal.y, -normal.y))
    return normal, point


@inlined
def constraint_point(normal, point, cB, mB, iB):
    """b2ContactSolver::InitializeVelocityConstraints for one point. Restitution is 0, so there is no velocity bias."""
    rA, r = Vec2(point.x - ZERO, point.y - ZERO), Vec2(point.x - cB.x, point.y - cB.y)
    tangent = tangent_of(normal)
    rn, rt = cross(r, normal), cross(r, tangent)
    k_normal, k_tangent = mB + iB * rn * rn, mB + iB * rt * rt
    return Point(
        r=r,
        still_x=-ZERO * rA.y,
        still_y=ZERO * rA.x,
        normal_mass=where(k_normal > ZERO, ONE / k_normal, ZERO),
        tangent_mass=where(k_tangent > ZERO, ONE / k_tangent, ZERO),
    )


@inlined
def tangent_of(normal):
    """The direction of friction: b2Cross(normal, 1.0f)."""
    return Vec2(normal.y, -normal.x)


@inlined
def relative_velocity(point, v):
    """The body's velocity at the point, m/s: vB + b2Cross(wB, rB) - vA - b2Cross(wA, rA)."""
    return Vec2(v.x + -v.a * point.r.y - point.still_x, v.y + v.a * point.r.x - point.still_y)


@inlined
def apply_impulse(point, v, impulse, mB, iB):
    """Add an impulse (Vec2, N s) to the body's velocity."""
    return Motion(v.x + mB * impulse.x, v.y + mB * impulse.y, v.a + iB * cross(point.r, impulse))


@inlined
def warm_start(normal, point, v, normal_impulse, tangent_impulse, mB, iB):
    """b2ContactSolver::WarmStart for one point."""
    tangent = tangent_of(normal)
    impulse = Vec2(
        normal_impulse * normal.x + tangent_impulse * tangent.x, normal_impulse * normal.y + tangent_impulse * tangent.y
    )
    turned = v.a + iB * cross(point.r, impulse)
    return Motion(v.x + mB * impulse.x, v.y + mB * impulse.y, turned)


@inlined
def solve_tangent(normal, point, v, normal_impulse, tangent_impulse, friction, mB, iB):
    """Friction at one point in b2ContactSolver::SolveVelocityConstraints: (velocity, tangent impulse)."""
    tangent = tangent_of(normal)
    change = point.tangent_mass * -dot(relative_velocity(point, v), tangent)
    limit = friction * normal_impulse
    new = clamp(tangent_impulse + change, -limit, limit)
    return apply_impulse(point, v, scale(new - tangent_impulse, tangent), mB, iB), new


@inlined
def solve_normal(normal, point, v, normal_impulse, mB, iB):
    """The normal part of a one-point contact in SolveVelocityConstraints: (velocity, normal impulse)."""
    change = -point.normal_mass * dot(relative_velocity(point, v), normal)
    new = maximum(normal_impulse + change, ZERO)
    return apply_impulse(point, v, scale(new - normal_impulse, normal), mB, iB), new


@inlined
def block_matrix(normal, point1, point2, mB, iB):
    """The matrix of a two-point contact: (k11, k12, k22, whether its condition number allows the block solver)."""
    rn1, rn2 = cross(point1.r, normal), cross(point2.r, normal)
    k11, k22, k12 = mB + iB * rn1 * rn1, mB + iB * rn2 * rn2, mB + iB * rn1 * rn2
    return k11, k12, k22, k11 * k11 < MAX_CONDITION_NUMBER * (k11 * k22 - k12 * k12)


@inlined
def solve_normal_block(normal, point1, point2, v, a1, a2, k11, k12, k22, mB, iB):
    """The block solver of a two-point contact in SolveVelocityConstraints. It tries four cases in turn. Scalars only.

    a1, a2: the normal impulses so far, N s. Returns (velocity, a1, a2).
    """
    dv1, dv2 = relative_velocity(point1, v), relative_velocity(point2, v)
    b1, b2 = dot(dv1, normal), dot(dv2, normal)
    b1, b2 = b1 - (k11 * a1 + k12 * a2), b2 - (k12 * a1 + k22 * a2)
    # Case 1: both points push, and both normal velocities are 0.
    det = inverse_or_zero(k11 * k22 - k12 * k12)
    x1 = -((det * k22) * b1 + (-det * k12) * b2)
    x2 = -((-det * k12) * b1 + (det * k11) * b2)
    found = x1 >= ZERO and x2 >= ZERO
    if not found:  # Case 2: only the first point pushes.
        x1, x2 = -point1.normal_mass * b1, ZERO
        found = x1 >= ZERO and k12 * x1 + b2 >= ZERO
    if not found:  # Case 3: only the second point pushes.
        x1, x2 = ZERO, -point2.normal_mass * b2
        found = x2 >= ZERO and k12 * x2 + b1 >= ZERO
    if not found:  # Case 4: no point pushes.
        x1, x2 = ZERO, ZERO
        found = b1 >= ZERO and b2 >= ZERO
    if not found:
        return v, a1, a2
    impulse1, impulse2 = scale(x1 - a1, normal), scale(x2 - a2, normal)
    v = Motion(
        v.x + mB * (impulse1.x + impulse2.x),
        v.y + mB * (impulse1.y + impulse2.y),
        v.a + iB * (cross(point1.r, impulse1) + cross(point2.r, impulse2)),
    )
    return v, x1, x2


@inlined
def solve_position_point(manifold, local_point, center, cB, mB, iB, baumgarte):
    """b2ContactSolver::SolvePositionConstraints or SolveTOIPositionConstraints for one point: (cB, separation in m).

    center: the body's localCenter, Vec2 in m. baumgarte: BAUMGARTE or TOI_BAUMGARTE.
    """
    qB = rotation(cB.a)
    shift = rotate(qB, center)
    pB = Vec2(cB.x - shift.x, cB.y - shift.y)
    normal_a, normal_b = moon_rotate(manifold.normal), rotate(qB, manifold.normal)
    plane_a, plane_b = moon_transform(manifold.point), transform(qB, pB, manifold.point)
    clip_a, clip_b = transform(qB, pB, local_point), moon_transform(local_point)
    normal = Vec2(where(manifold.face_a, normal_a.x, normal_b.x), where(manifold.face_a, normal_a.y, normal_b.y))
    plane = Vec2(where(manifold.face_a, plane_a.x, plane_b.x), where(manifold.face_a, plane_a.y, plane_b.y))
    clip = Vec2(where(manifold.face_a, clip_a.x, clip_b.x), where(manifold.face_a, clip_a.y, clip_b.y))
    separation = dot(sub(clip, plane), normal) - POLYGON_RADIUS - POLYGON_RADIUS
    normal = Vec2(where(manifold.face_a, normal.x, -normal.x), where(manifold.face_a, normal.y, -normal.y))
    r = Vec2(clip.x - cB.x, clip.y - cB.y)
    error = clamp(baumgarte * (separation + LINEAR_SLOP), -MAX_LINEAR_CORRECTION, ZERO)
    rn = cross(r, normal)
    k = mB + iB * rn * rn
    impulse = scale(where(k > ZERO, -error / k, ZERO), normal)
    moved = Motion(cB.x + mB * impulse.x, cB.y + mB * impulse.y, cB.a + iB * cross(r, impulse))
    return moved, separation
