"""The state of N landers as a few arrays, field by field.

A row holds one quantity of all landers, so that sixteen of them are gathered into lanes at once. Contacts are rare, and
only scalar code touches them: they are records, one block per lander.
"""

from typing import NamedTuple

import numpy as np

from fastlander.physics.settings import MAX_CONTACTS

# Rows of `real`, float32. Bodies are 0 the lander, 1 and 2 the legs; joint j holds leg j.
POSITION = 0  # + 3 body + (x, y, angle): m, rad, the centre of mass at the end of the step (b2Sweep c, a)
PREVIOUS = 9  # + 3 body + (x, y, angle): the same at the start of the sweep (b2Sweep c0, a0)
VELOCITY = 18  # + 3 body + (x, y, angular): m/s, rad/s
ROTATION = 27  # + 2 body + (sin, cos) of the body's angle (b2Transform q)
ORIGIN = 33  # + 2 body + (x, y): m, the body's origin (b2Transform p)
FAT_AABB = 39  # + 4 body + (lower x, lower y, upper x, upper y): m, in the broad phase
SLEEP_TIME = 51  # + body: s
IMPULSE = 54  # + 4 joint + (x, y, limit, motor): N s, N s, N m s, N m s
FORCE = 62  # + (x, y, torque) on the lander in this step: N, N, N m
HEIGHT = 65  # + k: m, the terrain at x = 2 k, k = 0 .. 10
TOP = 76  # m, the highest of them
LEG_CONTACT = 77  # + 9 leg + (normal x y, point x y, body point x y, normal and tangent impulse, friction)
NUM_REAL = 95

# Rows of `whole`, int32.
AWAKE = 0  # + body
LIMIT_STATE = 3  # + joint: INACTIVE, AT_LOWER, AT_UPPER
GROUND_CONTACT = 5  # + leg: Gymnasium's `ground_contact`
CRASHED = 7  # Gymnasium's `game_over`
NUM_CONTACTS = 8
ELAPSED = 9  # steps of this episode
MOVED = 10  # + body: its fat AABB is new, the broad phase has to look for new contacts
LEG_TOUCHES = 13  # + leg: whether LEG_CONTACT holds its one contact
KIND = 15  # which solver this step takes
NUM_WHOLE = 16

# Rows of `stream`, uint64: the lander's own random stream, NumPy's PCG64.
STATE_HIGH, STATE_LOW, INCREMENT_HIGH, INCREMENT_LOW = 0, 1, 2, 3
BUFFERED = 4  # bit 32: there is a half-used draw; bits 0 to 31: that half
WIND_INDEX, TORQUE_INDEX = 5, 6  # int64 in uint64
NUM_STREAM = 7

# Fields of a contact between an edge of the moon and a body, float32.
LOCAL_NORMAL = 0  # + (x, y)
LOCAL_POINT = 2  # + (x, y)
POINT = 4  # + 4 point + (x, y, normal impulse, tangent impulse): localPoint in m, N s
TOI = 12
NUM_CONTACT_REAL = 13

# ... and int32.
BODY = 0
EDGE = 1
TOUCHING = 2
ENABLED = 3
IN_ISLAND = 4
TOI_VALID = 5
TOI_COUNT = 6
POINT_COUNT = 7
FACE_B = 8  # b2Manifold type: 0 e_faceA, 1 e_faceB
POINT_ID = 9  # + point: b2ContactID key
NUM_CONTACT_WHOLE = 11


class State(NamedTuple):
    """N landers. S is N rounded up to whole vectors, and an odd number of them, so that rows don't share cache sets."""

    real: np.ndarray  # float32[NUM_REAL, S]
    whole: np.ndarray  # int32[NUM_WHOLE, S]
    stream: np.ndarray  # uint64[NUM_STREAM, S]
    shaping: np.ndarray  # float64[S], Gymnasium's prev_shaping
    contact_real: np.ndarray  # float32[N, MAX_CONTACTS, NUM_CONTACT_REAL], oldest contact first
    contact_whole: np.ndarray  # int32[N, MAX_CONTACTS, NUM_CONTACT_WHOLE]


class Scratch(NamedTuple):
    """What a thread needs beside the state; nothing in it outlives a step of a lander."""

    polygon: np.ndarray  # float32[4, 6]: vertices x, y and normals x, y of a body in the moon's frame
    simplex: np.ndarray  # float32[3, 7]: wA x y, wB x y, w x y, a
    simplex_index: np.ndarray  # int32[3, 2]: vertex on A, on B
    saved_index: np.ndarray  # int32[3, 2]
    alpha0: np.ndarray  # float32[4]: b2Sweep alpha0 of the bodies and the moon
    constraint: np.ndarray  # float32[MAX_CONTACTS, 32]: contact constraints of an island
    constraint_whole: np.ndarray  # int32[MAX_CONTACTS, 4]


def allocate(num_envs: int) -> State:
    """The arrays of `num_envs` landers, zeroed."""
    vectors = -(-num_envs // 16)
    stride = 16 * (vectors + 1 - vectors % 2)
    return State(
        real=np.zeros((NUM_REAL, stride), np.float32),
        whole=np.zeros((NUM_WHOLE, stride), np.int32),
        stream=np.zeros((NUM_STREAM, stride), np.uint64),
        shaping=np.zeros(stride),
        contact_real=np.zeros((num_envs, MAX_CONTACTS, NUM_CONTACT_REAL), np.float32),
        contact_whole=np.zeros((num_envs, MAX_CONTACTS, NUM_CONTACT_WHOLE), np.int32),
    )


def allocate_scratch() -> Scratch:
    """One thread's scratch space."""
    return Scratch(
        polygon=np.zeros((4, 6), np.float32),
        simplex=np.zeros((3, 7), np.float32),
        simplex_index=np.zeros((3, 2), np.int32),
        saved_index=np.zeros((3, 2), np.int32),
        alpha0=np.zeros(4, np.float32),
        constraint=np.zeros((MAX_CONTACTS, 32), np.float32),
        constraint_whole=np.zeros((MAX_CONTACTS, 4), np.int32),
    )
