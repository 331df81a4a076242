"""The state of N landers as a few arrays, described field by field.

Every row of the arrays `f32`, `i32`, `f64` and `stream` holds one quantity of all landers, so sixteen landers are read
into lanes at once. Contacts are rare and only scalar code touches them, so each contact is a record of its own.
"""

from typing import NamedTuple

import numpy as np

from fastlander.kernels.jit import shared
from fastlander.kernels.tables import viewer
from fastlander.physics.bodies import MAX_CONTACTS

_row = np.int64  # with Python ints Numba would compile each part of a kernel again for every row that it is called with

# Rows of `f32`. Body 0 is the lander, bodies 1 and 2 are the legs. Joint j holds leg j.
POSITION = _row(0)  # + 3 body + (x, y, angle): m, rad, the centre of mass at the end of the step (b2Sweep c, a)
PREVIOUS = _row(9)  # + 3 body + (x, y, angle): m, rad, the same at the start of the sweep (b2Sweep c0, a0)
VELOCITY = _row(18)  # + 3 body + (x, y, angular): m/s, rad/s
ROTATION = _row(27)  # + 2 body + (sin, cos) of the body's angle (b2Transform q)
ORIGIN = _row(33)  # + 2 body + (x, y): m, the body's origin (b2Transform p)
FAT_AABB = _row(39)  # + 4 body + (lower x, lower y, upper x, upper y): m, in the broad phase
SLEEP_TIME = _row(51)  # + body: s
IMPULSE = _row(54)  # + 4 joint + (x, y, limit, motor): N s, N s, N m s, N m s
FORCE = _row(62)  # + (x, y, torque) on the lander in this step: N, N, N m
HEIGHT = _row(65)  # + k: m, the terrain at x = 2 k, k = 0 .. 10
TOP = _row(76)  # m, the highest point of the terrain
LEG_CONTACT = _row(77)  # + 9 leg + (normal x y, point x y, body point x y, normal and tangent impulse, friction)
NUM_F32 = 95

# Rows of `i32`.
AWAKE = _row(0)  # + body
LIMIT_STATE = _row(3)  # + joint: INACTIVE, AT_LOWER, AT_UPPER
GROUND_CONTACT = _row(5)  # + leg: Gymnasium's `ground_contact`
CRASHED = _row(7)  # Gymnasium's `game_over`
NUM_CONTACTS = _row(8)
ELAPSED = _row(9)  # steps of this episode
MOVED = _row(10)  # + body: its fat AABB is new, so the broad phase has to look for new contacts
LEG_TOUCHES = _row(13)  # + leg: the number of the contact in LEG_CONTACT, counted from 1; 0 for none
NUM_I32 = 15

# Rows of `f64`.
SHAPING = _row(0)  # Gymnasium's prev_shaping
GROUND = _row(1)  # + k: m, the terrain at x = 2 k before it was rounded to float32, for the renderer
NUM_F64 = 12

# Rows of `stream`, uint64: the lander's own random stream, NumPy's PCG64.
STATE_HIGH, STATE_LOW, INCREMENT_HIGH, INCREMENT_LOW = _row(0), _row(1), _row(2), _row(3)
BUFFERED = _row(4)  # bit 32: half of a 64-bit draw is still unused; bits 0 to 31: that half
WIND_INDEX, TORQUE_INDEX = _row(5), _row(6)  # int64 stored as uint64
NUM_STREAM = 7

# Fields of a contact between an edge of the moon and a body, in `contact_f32`.
LOCAL_NORMAL = _row(0)  # + (x, y)
LOCAL_POINT = _row(2)  # + (x, y): m
POINT = _row(4)  # + 4 point + (x, y, normal impulse, tangent impulse): localPoint in m, N s
TOI = _row(12)  # time of impact as a fraction of the step
NUM_CONTACT_F32 = 13

# Fields of a contact in `contact_i32`.
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
NUM_CONTACT_I32 = 11

# Fields of a contact's velocity constraint (b2ContactVelocityConstraint) in `Scratch.constraint_f32`.
CONSTRAINT_NORMAL = 0  # + (x, y)
CONSTRAINT_FRICTION = 2
CONSTRAINT_K = 3  # + (k11, k12, k22): the matrix of a two-point contact
CONSTRAINT_IMPULSE = 6  # + 2 point + (normal, tangent): N s
CONSTRAINT_POINT = 10  # + 6 point + (r x, r y, still x, still y, normal mass, tangent mass): a contact_solver.Point
IMPULSE_BEFORE = 22  # + 2 point + (normal, tangent): N s, CONSTRAINT_IMPULSE one iteration ago
IMPULSE_TWO_BEFORE = 26  # + 2 point + (normal, tangent): N s, CONSTRAINT_IMPULSE two iterations ago
NUM_CONSTRAINT_F32 = 32

# Fields of the same constraint in `Scratch.constraint_i32`.
CONSTRAINT_SLOT = 0  # the number of the contact
CONSTRAINT_POINTS = 1  # how many of its points are solved
NUM_CONSTRAINT_I32 = 4


class State(NamedTuple):
    """N landers. S columns: N rounded up as `columns_for` says."""

    f32: np.ndarray  # float32[NUM_F32, S]
    i32: np.ndarray  # int32[NUM_I32, S]
    stream: np.ndarray  # uint64[NUM_STREAM, S]
    f64: np.ndarray  # float64[NUM_F64, S]
    contact_f32: np.ndarray  # float32[N, MAX_CONTACTS, NUM_CONTACT_F32], oldest contact first
    contact_i32: np.ndarray  # int32[N, MAX_CONTACTS, NUM_CONTACT_I32]


class Scratch(NamedTuple):
    """Memory that a thread works in. Nothing in it is kept from one lander's step to the next."""

    polygon: np.ndarray  # float32[4, 6]: vertices x, y and normals x, y of a body in the moon's frame
    simplex: np.ndarray  # float32[3, 7]: wA x y, wB x y, w x y, a
    simplex_index: np.ndarray  # int32[3, 2]: vertex on A, on B
    saved_index: np.ndarray  # int32[3, 2]: simplex_index before the iteration
    alpha0: np.ndarray  # float32[4]: b2Sweep alpha0 of the bodies and the moon
    constraint_f32: np.ndarray  # float32[MAX_CONTACTS, NUM_CONSTRAINT_F32]: contact constraints of an island
    constraint_i32: np.ndarray  # int32[MAX_CONTACTS, NUM_CONSTRAINT_I32]


@shared
def columns_for(num_envs: int) -> int:
    """S, the columns of N landers: full vectors of 16, and an odd number of vectors.

    With an even number the same column of many rows would compete for the same places in the processor's cache.
    """
    vectors = (num_envs + 15) // 16
    return 16 * (vectors + 1 - vectors % 2)


_BYTES = 8 * (NUM_STREAM + NUM_F64) + 4 * (NUM_F32 + NUM_I32)  # per column
_CONTACT_F32_BYTES, _CONTACT_I32_BYTES = 4 * MAX_CONTACTS * NUM_CONTACT_F32, 4 * MAX_CONTACTS * NUM_CONTACT_I32


def memory_size(num_envs: int) -> int:
    """Bytes that the state of `num_envs` landers takes."""
    return _BYTES * columns_for(num_envs) + (_CONTACT_F32_BYTES + _CONTACT_I32_BYTES) * num_envs


_float32_rows, _float64_rows = viewer(np.float32, None), viewer(np.float64, None)
_int32_rows, _uint64_rows = viewer(np.int32, None), viewer(np.uint64, None)
_contact_floats = viewer(np.float32, MAX_CONTACTS, NUM_CONTACT_F32)
_contact_integers = viewer(np.int32, MAX_CONTACTS, NUM_CONTACT_I32)


@shared
def unpack(memory: np.ndarray, num_envs: int) -> State:
    """The fields of a state as views of its memory, uint8[memory_size(num_envs)].

    Kernels take the memory as one array: passing every field by itself would take longer than the step of one lander.
    """
    columns = columns_for(num_envs)
    end0 = 8 * NUM_STREAM * columns
    end1 = end0 + 8 * NUM_F64 * columns
    end2 = end1 + 4 * NUM_F32 * columns
    end3 = end2 + 4 * NUM_I32 * columns
    end4 = end3 + _CONTACT_F32_BYTES * num_envs
    return State(
        f32=_float32_rows(memory, end1, NUM_F32, columns),
        i32=_int32_rows(memory, end2, NUM_I32, columns),
        stream=_uint64_rows(memory, 0, NUM_STREAM, columns),
        f64=_float64_rows(memory, end0, NUM_F64, columns),
        contact_f32=_contact_floats(memory, end3, num_envs),
        contact_i32=_contact_integers(memory, end4, num_envs),
    )


# Where the fields of a Scratch end, in bytes.
_POLYGON_END = 4 * 4 * 6
_SIMPLEX_END = _POLYGON_END + 4 * 3 * 7
_INDEX_END = _SIMPLEX_END + 4 * 3 * 2
_SAVED_END = _INDEX_END + 4 * 3 * 2
_ALPHA0_END = _SAVED_END + 4 * 4
_FLOATS_END = _ALPHA0_END + 4 * MAX_CONTACTS * NUM_CONSTRAINT_F32
SCRATCH_SIZE = _FLOATS_END + 4 * MAX_CONTACTS * NUM_CONSTRAINT_I32
"""Bytes of a Scratch."""


_polygon, _simplex, _alpha0 = viewer(np.float32, 6), viewer(np.float32, 7), viewer(np.float32)
_vertices = viewer(np.int32, 2)
_constraint_floats, _constraint_integers = viewer(np.float32, NUM_CONSTRAINT_F32), viewer(np.int32, NUM_CONSTRAINT_I32)


@shared
def unpack_scratch(memory: np.ndarray, start: int = 0) -> Scratch:
    """The fields of a thread's scratch memory as views of SCRATCH_SIZE bytes of `memory`, uint8[...], from `start`."""
    return Scratch(
        polygon=_polygon(memory, start, 4),
        simplex=_simplex(memory, start + _POLYGON_END, 3),
        simplex_index=_vertices(memory, start + _SIMPLEX_END, 3),
        saved_index=_vertices(memory, start + _INDEX_END, 3),
        alpha0=_alpha0(memory, start + _SAVED_END, 4),
        constraint_f32=_constraint_floats(memory, start + _ALPHA0_END, MAX_CONTACTS),
        constraint_i32=_constraint_integers(memory, start + _FLOATS_END, MAX_CONTACTS),
    )
