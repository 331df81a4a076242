"""The lander, its legs, the joints between them and the moon, as Box2D 2.3 computes them from Gymnasium's shapes.

All numbers are float32, as in `constants`.
"""

from typing import NamedTuple

import numpy as np

from fastlander.physics.constants import ONE, TIME_STEP


def from_hex(text: str) -> np.float32:
    """A float32 from C's hexadecimal notation, which gives every bit."""
    return np.float32(float.fromhex(text))


# Numbers of the bodies. The legs are Gymnasium's legs[0] and legs[1]. The moon never moves and has no row in the state.
LANDER, LEG0, LEG1, MOON = (np.int64(b) for b in range(4))
NUM_BODIES = 3
NUM_EDGES = 11  # of the moon: edge 0 is the floor y = 0, edges 1 to 10 are the terrain from left to right
MAX_CONTACTS = NUM_BODIES * NUM_EDGES

# 1 / kg and 1 / (kg m^2), the inertia about the centre of mass.
LANDER_INV_MASS, LANDER_INV_INERTIA = from_hex("0x1.a930b8p-3"), from_hex("0x1.46948ep+0")
LEG_INV_MASS, LEG_INV_INERTIA = from_hex("0x1.c1fffcp+3"), from_hex("0x1.172e92p+9")
LANDER_CENTER_Y = from_hex("0x1.9ef44ap-4")  # m: the lander's localCenter is (0, LANDER_CENTER_Y), a leg's (0, 0)

# Vertices (m), normals and centroids (m) in the body's frame, as Box2D orders and rounds them (b2PolygonShape::Set).
_A, _B, _C = "0x1.222222p-1", "0x1.555556p-2", "0x1.dddddep-2"
LANDER_VERTICES_X = np.array([from_hex(v) for v in (_A, _A, _C, "-" + _C, "-" + _A, "-" + _A)])
LANDER_VERTICES_Y = np.array([from_hex(v) for v in ("-" + _B, "0x0p+0", _A, _A, "0x0p+0", "-" + _B)])
_N, _M = "0x1.f8358ep-1", "0x1.63e990p-3"
LANDER_NORMALS_X = np.array([from_hex(v) for v in ("0x1p+0", _N, "0x0p+0", "-" + _N, "-0x1p+0", "0x0p+0")])
LANDER_NORMALS_Y = np.array([from_hex(v) for v in ("-0x0p+0", _M, "0x1p+0", _M, "-0x0p+0", "-0x1p+0")])
LANDER_CENTROID_X, LANDER_CENTROID_Y = from_hex("0x1.09be72p-28"), from_hex("0x1.9ef446p-4")
LEG_HALF_WIDTH, LEG_HALF_HEIGHT = from_hex("0x1.111112p-4"), from_hex("0x1.111112p-2")
LEG_VERTICES_X = np.array([-LEG_HALF_WIDTH, LEG_HALF_WIDTH, LEG_HALF_WIDTH, -LEG_HALF_WIDTH])
LEG_VERTICES_Y = np.array([-LEG_HALF_HEIGHT, -LEG_HALF_HEIGHT, LEG_HALF_HEIGHT, LEG_HALF_HEIGHT])
LEG_NORMALS_X = np.array([0, 1, 0, -1], np.float32)
LEG_NORMALS_Y = np.array([-1, 0, 1, 0], np.float32)


class Shape(NamedTuple):
    """The vertices of a body's polygon in its own frame, m."""

    vertices_x: np.ndarray  # float32[V]
    vertices_y: np.ndarray  # float32[V]


LANDER_SHAPE = Shape(LANDER_VERTICES_X, LANDER_VERTICES_Y)
LEG_SHAPE = Shape(LEG_VERTICES_X, LEG_VERTICES_Y)

# Friction of the body with each edge, float32[NUM_EDGES]: sqrtf(edge friction * body friction), b2MixFriction.
_FLOOR, _TERRAIN, _LANDER, _LEG = (np.float32(x) for x in (0.2, 0.1, 0.1, 0.2))
LANDER_FRICTION = np.array([np.sqrt(_FLOOR * _LANDER)] + [np.sqrt(_TERRAIN * _LANDER)] * 10, np.float32)
LEG_FRICTION = np.array([np.sqrt(_FLOOR * _LEG)] + [np.sqrt(_TERRAIN * _LEG)] * 10, np.float32)


class JointDefinition(NamedTuple):
    """What differs between the two revolute joints. Body A is the lander, joined at its origin; body B is the leg."""

    anchor_x: np.float32  # m, in the leg's frame
    anchor_y: np.float32
    reference_angle: np.float32  # rad, of the leg relative to the lander: joint angles are counted from it
    lower_angle: np.float32  # rad, limit of the joint angle
    upper_angle: np.float32  # rad, limit of the joint angle
    motor_speed: np.float32  # rad/s


JOINT0 = JointDefinition(
    anchor_x=np.float32(-20 / 30),
    anchor_y=np.float32(18 / 30),
    reference_angle=np.float32(-0.05),
    lower_angle=np.float32(0.9 - 0.5),
    upper_angle=np.float32(0.9),
    motor_speed=np.float32(-0.3),
)
JOINT1 = JointDefinition(
    anchor_x=np.float32(20 / 30),
    anchor_y=np.float32(18 / 30),
    reference_angle=np.float32(0.05),
    lower_angle=np.float32(-0.9),
    upper_angle=np.float32(-0.9 + 0.5),
    motor_speed=np.float32(0.3),
)
MAX_MOTOR_IMPULSE = TIME_STEP * np.float32(40)  # N m s: time step * maxMotorTorque (Gymnasium's LEG_SPRING_TORQUE)
JOINT_INV_INERTIA = LANDER_INV_INERTIA + LEG_INV_INERTIA  # 1 / (kg m^2), the last entry of the joint's matrix
MOTOR_MASS = ONE / JOINT_INV_INERTIA  # kg m^2, m_motorMass

JOINT_NUMBER0, JOINT_NUMBER1 = np.int64(0), np.int64(1)  # joint j holds leg j
