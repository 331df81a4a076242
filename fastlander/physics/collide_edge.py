"""Where an edge of the moon and a body touch: Box2D 2.3, `b2CollideEdge.cpp` and `b2ClipSegmentToLine`. Scalars only.

The moon's edges have no neighbours (hasVertex0 and hasVertex3 are false), so m_lowerLimit and m_upperLimit are both
minus the normal.
"""

import numpy as np

from fastlander.kernels.jit import inlined, part
from fastlander.physics.bodies import (
    LANDER,
    LANDER_CENTROID_X,
    LANDER_CENTROID_Y,
    LANDER_NORMALS_X,
    LANDER_NORMALS_Y,
    LANDER_VERTICES_X,
    LANDER_VERTICES_Y,
    LEG_NORMALS_X,
    LEG_NORMALS_Y,
    LEG_VERTICES_X,
    LEG_VERTICES_Y,
)
from fastlander.physics.constants import ANGULAR_SLOP, MAX_FLOAT, TOTAL_RADIUS, ZERO
from fastlander.physics.state import FACE_B, LOCAL_NORMAL, LOCAL_POINT, POINT, POINT_COUNT, POINT_ID
from fastlander.physics.vector_math import Rot, Vec2, dot, normalize, rotate, sub, transform, transform_inverse

# b2CollideEdge's k_relativeTol and k_absoluteTol (m): the polygon's axis must be clearly better than the edge's.
RELATIVE_TOLERANCE, ABSOLUTE_TOLERANCE = np.float32(0.98), np.float32(0.001)
_VERTEX, _FACE = 0, 1  # b2ContactFeature::Type


@inlined
def contact_id(index_a, index_b, type_a, type_b):
    """b2ContactID: the four bytes of a b2ContactFeature as one int32."""
    return np.int32(index_a | (index_b << 8) | (type_a << 16) | (type_b << 24))


@inlined
def vertex_count(body):
    """How many vertices a body's polygon has."""
    return 6 if body == LANDER else 4


@inlined
def local_vertex(body, k):
    """Vertex k of a body's polygon in the body's frame, m."""
    if body == LANDER:
        return Vec2(LANDER_VERTICES_X[k], LANDER_VERTICES_Y[k])
    return Vec2(LEG_VERTICES_X[k], LEG_VERTICES_Y[k])


@inlined
def local_normal(body, k):
    """Outward normal of the polygon's edge from vertex k to the next one, in the body's frame."""
    if body == LANDER:
        return Vec2(LANDER_NORMALS_X[k], LANDER_NORMALS_Y[k])
    return Vec2(LEG_NORMALS_X[k], LEG_NORMALS_Y[k])


@inlined
def clip_segment_to_line(v0, id0, v1, id1, normal, offset, vertex):
    """b2ClipSegmentToLine: (number of points left, first point, its id, second point, its id)."""
    distance0, distance1 = dot(normal, v0) - offset, dot(normal, v1) - offset
    count, a, id_a, b, id_b = 0, v0, id0, v1, id1
    if distance0 <= ZERO:
        count = 1
    if distance1 <= ZERO:
        if count == 0:
            a, id_a = v1, id1
        count += 1
    if distance0 * distance1 < ZERO:
        t = distance0 / (distance0 - distance1)
        b = Vec2(v0.x + t * (v1.x - v0.x), v0.y + t * (v1.y - v0.y))
        id_b = contact_id(vertex, (id0 >> 8) & 255, _VERTEX, _FACE)
        count += 1
    return count, a, id_a, b, id_b


@part
def collide_edge_and_polygon(values, contact, v1, v2, body, qB, pB, polygon):
    """b2CollideEdgeAndPolygon: writes the manifold of a contact, except for its impulses.

    values, contact: the fields of the contact, float32[NUM_CONTACT_F32] and int32[NUM_CONTACT_I32]. v1, v2: the ends of
    the edge, m. qB, pB: the body's transform. polygon: Scratch.polygon.
    """
    contact[POINT_COUNT] = 0
    # b2MulT(xfA, xfB) with the moon's transform: the body in the edge's frame, which is the frame of the world.
    q = Rot(qB.s - ZERO * qB.c, qB.c + ZERO * qB.s)
    p = Vec2((pB.x - ZERO) + ZERO * (pB.y - ZERO), -ZERO * (pB.x - ZERO) + (pB.y - ZERO))
    centroid = Vec2(LANDER_CENTROID_X, LANDER_CENTROID_Y) if body == LANDER else Vec2(ZERO, ZERO)
    center = transform(q, p, centroid)
    edge, _ = normalize(sub(v2, v1))
    normal1 = Vec2(edge.y, -edge.x)
    front = dot(normal1, sub(center, v1)) >= ZERO
    normal = normal1 if front else Vec2(-normal1.x, -normal1.y)
    count = vertex_count(body)
    for k in range(count):
        v, n = transform(q, p, local_vertex(body, k)), rotate(q, local_normal(body, k))
        polygon[0, k], polygon[1, k], polygon[2, k], polygon[3, k] = v.x, v.y, n.x, n.y

    # b2EPCollider::ComputeEdgeSeparation
    edge_separation = MAX_FLOAT
    for k in range(count):
        s = dot(normal, Vec2(polygon[0, k] - v1.x, polygon[1, k] - v1.y))
        if s < edge_separation:
            edge_separation = s
    if edge_separation > TOTAL_RADIUS:
        return

    # b2EPCollider::ComputePolygonSeparation
    axis, separation = -1, -MAX_FLOAT
    limit = Vec2(-normal.x, -normal.y)
    for k in range(count):
        n = Vec2(-polygon[2, k], -polygon[3, k])
        s1 = dot(n, Vec2(polygon[0, k] - v1.x, polygon[1, k] - v1.y))
        s2 = dot(n, Vec2(polygon[0, k] - v2.x, polygon[1, k] - v2.y))
        s = s1 if s1 < s2 else s2
        if s > TOTAL_RADIUS:
            return
        if dot(sub(n, limit), normal) < -ANGULAR_SLOP:
            continue
        if s > separation:
            axis, separation = k, s

    face_b = axis >= 0 and separation > RELATIVE_TOLERANCE * edge_separation + ABSOLUTE_TOLERANCE
    if not face_b:
        best, best_value = 0, dot(normal, Vec2(polygon[2, 0], polygon[3, 0]))
        for k in range(1, count):
            value = dot(normal, Vec2(polygon[2, k], polygon[3, k]))
            if value < best_value:
                best, best_value = k, value
        i1 = best
        i2 = i1 + 1 if i1 + 1 < count else 0
        e0, id0 = Vec2(polygon[0, i1], polygon[1, i1]), contact_id(0, i1, _FACE, _VERTEX)
        e1, id1 = Vec2(polygon[0, i2], polygon[1, i2]), contact_id(0, i2, _FACE, _VERTEX)
        if front:
            r1, r2, f1, f2, face = 0, 1, v1, v2, normal1
        else:
            r1, r2, f1, f2, face = 1, 0, v2, v1, Vec2(-normal1.x, -normal1.y)
    else:
        e0, id0 = v1, contact_id(0, axis, _VERTEX, _FACE)
        e1, id1 = v2, contact_id(0, axis, _VERTEX, _FACE)
        r1 = axis
        r2 = r1 + 1 if r1 + 1 < count else 0
        f1, f2 = Vec2(polygon[0, r1], polygon[1, r1]), Vec2(polygon[0, r2], polygon[1, r2])
        face = Vec2(polygon[2, r1], polygon[3, r1])

    side1 = Vec2(face.y, -face.x)
    side2 = Vec2(-side1.x, -side1.y)
    left, e0, id0, e1, id1 = clip_segment_to_line(e0, id0, e1, id1, side1, dot(side1, f1), r1)
    if left < 2:
        return
    left, e0, id0, e1, id1 = clip_segment_to_line(e0, id0, e1, id1, side2, dot(side2, f2), r2)
    if left < 2:
        return

    contact[FACE_B] = 1 if face_b else 0
    if face_b:
        reference_normal, reference_point = local_normal(body, r1), local_vertex(body, r1)
    else:
        reference_normal, reference_point = face, f1
    values[LOCAL_NORMAL], values[LOCAL_NORMAL + 1] = reference_normal.x, reference_normal.y
    values[LOCAL_POINT], values[LOCAL_POINT + 1] = reference_point.x, reference_point.y
    points = 0
    for k in range(2):
        v, key = (e0, id0) if k == 0 else (e1, id1)
        if dot(face, sub(v, f1)) <= TOTAL_RADIUS:
            if face_b:
                local = v
                key = contact_id((key >> 8) & 255, key & 255, (key >> 24) & 255, (key >> 16) & 255)
            else:
                local = transform_inverse(q, p, v)
            values[POINT + 4 * points], values[POINT + 4 * points + 1] = local.x, local.y
            contact[POINT_ID + points] = key
            points += 1
    contact[POINT_COUNT] = points
