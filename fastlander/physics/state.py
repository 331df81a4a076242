"""The state of N landers as a few arrays, field by field.

A row holds one quantity of all landers, so that sixteen of them are gathered into lanes at once. Contacts are rare, and
only scalar code touches them: they are records, one block per lander.
"""

from typing import NamedTuple

import numpy as np

from fastlander.kernels.jit import shared
from fastlander.physics.bodies import MAX_CONTACTS

_row = np.int64  # not a Python int, which Numba would compile every kernel part anew for

# Rows of `real`, float32. Bodies are 0 the lander, 1 and 2 the legs; joint j holds leg j.
POSITION = _row(0)  # + 3 body + (x, y, angle): m, rad, the centre of mass at the end of the step (b2Sweep c, a)
PREVIOUS = _row(9)  # + 3 body + (x, y, angle): the same at the start of the sweep (b2Sweep c0, a0)
VELOCITY = _row(18)  # + 3 body + (x, y, angular): m/s, rad/s
ROTATION = _row(27)  # + 2 body + (sin, cos) of the body's angle (b2Transform q)
ORIGIN = _row(33)  # + 2 body + (x, y): m, the body's origin (b2Transform p)
FAT_AABB = _row(39)  # + 4 body + (lower x, lower y, upper x, upper y): m, in the broad phase
SLEEP_TIME = _row(51)  # + body: s
IMPULSE = _row(54)  # + 4 joint + (x, y, limit, motor): N s, N s, N m s, N m s
FORCE = _row(62)  # + (x, y, torque) on the lander in this step: N, N, N m
HEIGHT = _row(65)  # + k: m, the terrain at x = 2 k, k = 0 .. 10
TOP = _row(76)  # m, the highest of them
LEG_CONTACT = _row(77)  # + 9 leg + (normal x y, point x y, body point x y, normal and tangent impulse, friction)
NUM_REAL = 95

# Rows of `whole`, int32.
AWAKE = _row(0)  # + body
LIMIT_STATE = _row(3)  # + joint: INACTIVE, AT_LOWER, AT_UPPER
GROUND_CONTACT = _row(5)  # + leg: Gymnasium's `ground_contact`
CRASHED = _row(7)  # Gymnasium's `game_over`
NUM_CONTACTS = _row(8)
ELAPSED = _row(9)  # steps of this episode
MOVED = _row(10)  # + body: its fat AABB is new, the broad phase has to look for new contacts
LEG_TOUCHES = _row(13)  # + leg: the number of the contact in LEG_CONTACT, counted from 1; 0 for none
NUM_WHOLE = 15

# Rows of `wide`, float64.
SHAPING = _row(0)  # Gymnasium's prev_shaping
GROUND = _row(1)  # + k: m, the terrain at x = 2 k before it was rounded to float32, for the renderer
NUM_WIDE = 12

# Rows of `stream`, uint64: the lander's own random stream, NumPy's PCG64.
STATE_HIGH, STATE_LOW, INCREMENT_HIGH, INCREMENT_LOW = _row(0), _row(1), _row(2), _row(3)
BUFFERED = _row(4)  # bit 32: there is a half-used draw; bits 0 to 31: that half
WIND_INDEX, TORQUE_INDEX = _row(5), _row(6)  # int64 in uint64
NUM_STREAM = 7

# Fields of a contact between an edge of the moon and a body, float32.
LOCAL_NORMAL = _row(0)  # + (x, y)
LOCAL_POINT = _row(2)  # + (x, y)
POINT = _row(4)  # + 4 point + (x, y, normal impulse, tangent impulse): localPoint in m, N s
TOI = _row(12)
NUM_CONTACT_REAL = 13

# ... and int32.
BODY = _row(0)
EDGE = _row(1)
TOUCHING = _row(2)
ENABLED = _row(3)
IN_ISLAND = _row(4)
TOI_VALID = _row(5)
TOI_COUNT = _row(6)
POINT_COUNT = _row(7)
FACE_B = _row(8)  # b2Manifold type: 0 e_faceA, 1 e_faceB
POINT_ID = _row(9)  # + point: b2ContactID key
NUM_CONTACT_WHOLE = 11


class State(NamedTuple):
    """N landers. S is N rounded up to whole vectors, and an odd number of them, so that rows don't share cache sets."""

    real: np.ndarray  # float32[NUM_REAL, S]
    whole: np.ndarray  # int32[NUM_WHOLE, S]
    stream: np.ndarray  # uint64[NUM_STREAM, S]
    wide: np.ndarray  # float64[NUM_WIDE, S]
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


@shared
def stride_of(num_envs: int) -> int:
    """S: whole vectors, and an odd number of them, so that the same column of all rows is spread over the cache."""
    vectors = (num_envs + 15) // 16
    return 16 * (vectors + 1 - vectors % 2)


_BYTES = 8 * (NUM_STREAM + NUM_WIDE) + 4 * (NUM_REAL + NUM_WHOLE)  # per column of S
_CONTACT_REAL_BYTES, _CONTACT_WHOLE_BYTES = 4 * MAX_CONTACTS * NUM_CONTACT_REAL, 4 * MAX_CONTACTS * NUM_CONTACT_WHOLE


def memory_size(num_envs: int) -> int:
    """Bytes that the state of `num_envs` landers takes."""
    return _BYTES * stride_of(num_envs) + (_CONTACT_REAL_BYTES + _CONTACT_WHOLE_BYTES) * num_envs


@shared
def unpack(memory: np.ndarray, num_envs: int) -> State:
    """The fields of a state as views of its memory, uint8[memory_size(num_envs)].

    Kernels take that one array: handing over each field by itself would cost a call more than the step of one lander.
    """
    columns = stride_of(num_envs)
    end0 = 8 * NUM_STREAM * columns
    end1 = end0 + 8 * NUM_WIDE * columns
    end2 = end1 + 4 * NUM_REAL * columns
    end3 = end2 + 4 * NUM_WHOLE * columns
    end4 = end3 + _CONTACT_REAL_BYTES * num_envs
    end5 = end4 + _CONTACT_WHOLE_BYTES * num_envs
    return State(
        real=memory[end1:end2].view(np.float32).reshape(NUM_REAL, columns),
        whole=memory[end2:end3].view(np.int32).reshape(NUM_WHOLE, columns),
        stream=memory[:end0].view(np.uint64).reshape(NUM_STREAM, columns),
        wide=memory[end0:end1].view(np.float64).reshape(NUM_WIDE, columns),
        contact_real=memory[end3:end4].view(np.float32).reshape(num_envs, MAX_CONTACTS, NUM_CONTACT_REAL),
        contact_whole=memory[end4:end5].view(np.int32).reshape(num_envs, MAX_CONTACTS, NUM_CONTACT_WHOLE),
    )


SCRATCH_SIZE = 4 * (24 + 21 + 6 + 6 + 4 + MAX_CONTACTS * 32 + MAX_CONTACTS * 4)
"""Bytes of a Scratch."""


@shared
def unpack_scratch(memory: np.ndarray) -> Scratch:
    """The fields of a thread's scratch space as views of uint8[SCRATCH_SIZE]."""
    end = 244 + 128 * MAX_CONTACTS
    return Scratch(
        polygon=memory[:96].view(np.float32).reshape(4, 6),
        simplex=memory[96:180].view(np.float32).reshape(3, 7),
        simplex_index=memory[180:204].view(np.int32).reshape(3, 2),
        saved_index=memory[204:228].view(np.int32).reshape(3, 2),
        alpha0=memory[228:244].view(np.float32),
        constraint=memory[244:end].view(np.float32).reshape(MAX_CONTACTS, 32),
        constraint_whole=memory[end : end + 16 * MAX_CONTACTS].view(np.int32).reshape(MAX_CONTACTS, 4),
    )
