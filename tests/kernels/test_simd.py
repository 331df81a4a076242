import operator

import numba
import numpy as np
import pytest

from fastlander.kernels.simd import all_lanes, any_lane, bits, lane_bits, square_root, to_f32, to_f64, to_i32, where
from fastlander.kernels.simd_memory import gather, index16, index32, prefetch, scatter, transpose16
from fastlander.physics.vector_math import rotation

N = 64
SPECIAL = np.array([0.0, -0.0, 1.0, -1.0, 1e-40, -1e-40, 3e38, np.inf, -np.inf, np.nan, 2**-24, 1 + 2**-23], np.float32)


def numbers(seed=0):
    rng = np.random.default_rng(seed)
    values = (rng.normal(size=(2, N)) * 10.0 ** rng.integers(-6, 6, (2, N))).astype(np.float32)
    values[0, : len(SPECIAL)] = SPECIAL
    values[1, 3 : 3 + len(SPECIAL)] = SPECIAL
    return values


def apply_in_lanes(function, values, index, width):
    """function(a, b) on all columns of `values`, `width` at a time."""
    inner = numba.njit(forceinline=True, error_model="numpy")(function)

    @numba.njit(error_model="numpy")
    def run(values, out, order):
        for start in range(0, values.shape[1], width):
            lanes = index(order, start)
            scatter(out, 0, lanes, inner(gather(values, 0, lanes), gather(values, 1, lanes)))

    out = np.zeros((1, N), np.float32)
    run(values, out, np.random.default_rng(1).permutation(N).astype(np.int32))
    return out[0]


def apply_one_by_one(function, values):
    inner = numba.njit(error_model="numpy")(function)
    return np.array([inner(a, b) for a, b in values.T], np.float32)


EXPRESSIONS = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "neg": lambda a, b: -a,
    "scalar": lambda a, b: np.float32(3) * a - b / np.float32(7),
    "less": lambda a, b: where(a < b, a, b),
    "not greater": lambda a, b: where(a <= b, b, np.float32(5)),
    "greater": lambda a, b: where(a > np.float32(0), a, -a),
    "masks": lambda a, b: where((a >= b) | (a != a) & (b == b), a, np.float32(-1)),
    "sqrt": lambda a, b: square_root(a),
    "through float64": lambda a, b: to_f32(to_f64(a) * to_f64(b)),
    "through int32": lambda a, b: to_f32(to_f64((to_i32(to_f64(where(a > b, b, a) * np.float32(0))) + 3) >> 1)),
    "bits": lambda a, b: where(bits(a) == bits(b), np.float32(1), np.float32(0)),
}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_lanes_give_the_bits_of_scalars(name):
    values = numbers()
    if name == "through int32":
        values = np.nan_to_num(values, nan=0, posinf=0, neginf=0)
    twin = apply_one_by_one(EXPRESSIONS[name], values)
    for index, width in ((index16, 16), (index32, 32)):
        got = apply_in_lanes(EXPRESSIONS[name], values, index, width)
        nan = np.isnan(twin)
        assert np.array_equal(nan, np.isnan(got))
        assert np.array_equal(got[~nan].view(np.int32), twin[~nan].view(np.int32))


def test_reductions_over_lanes():
    @numba.njit
    def run(values, order):
        positive = gather(values, 0, index16(order, 0)) > np.float32(0)
        return any_lane(positive), all_lanes(positive), any_lane(values[0, 0] > 0), all_lanes(values[0, 0] > 0)

    order = np.arange(16, dtype=np.int32)
    values = np.zeros((1, 16), np.float32)
    assert run(values, order) == (False, False, False, False)
    values[0, 7] = 1
    assert run(values, order) == (True, False, False, False)
    values[:] = 1
    assert run(values, order) == (True, True, True, True)


def test_transposing_a_block():
    @numba.njit
    def run(out, array):
        transpose16(out, 5, 20, array, 3, 17)

    array, out = np.arange(400, dtype=np.float32), np.full(400, -1, np.float32)
    run(out, array)
    expected = np.full(400, -1, np.float32)
    for i in range(16):
        expected[5 + i * 20 : 5 + i * 20 + 16] = array[3 + i : 3 + i + 16 * 17 : 17]
    assert np.array_equal(out, expected)


def test_lanes_of_another_width_are_refused():
    @numba.njit
    def run(values, order):
        return all_lanes((gather(values, 0, index16(order, 0)) + gather(values, 0, index32(order, 0))) > np.float32(0))

    with pytest.raises(numba.TypingError, match=operator.add.__name__):
        run(np.zeros((1, 32), np.float32), np.arange(32, dtype=np.int32))


def differences_from_libm(angles):
    """How many of float32[N] angles (N a multiple of 32) get another sine or cosine than from the C library."""

    @numba.njit(error_model="numpy")
    def in_lanes(table, order):
        for start in range(0, table.shape[1], 32):
            lanes = index32(order, start)
            q = rotation(gather(table, 0, lanes))
            scatter(table, 1, lanes, q.s)
            scatter(table, 2, lanes, q.c)

    @numba.njit
    def count(table):
        wrong = 0
        for i in range(table.shape[1]):
            wrong += np.float32(np.sin(table[0, i])) != table[1, i] or np.float32(np.cos(table[0, i])) != table[2, i]
        return wrong

    order = np.arange(angles.shape[1], dtype=np.int32)
    total = 0
    for row in angles:
        table = np.zeros((3, len(row)), np.float32)
        table[0] = row
        in_lanes(table, order)
        total += count(table)
    return total


def test_rotation_has_the_c_library_s_sine_and_cosine():
    rng = np.random.default_rng(0)
    angles = rng.uniform(-20, 20, (8, 4096)).astype(np.float32)
    angles[0, :1024] = (10.0 ** rng.uniform(-45, 0, 1024)).astype(np.float32)
    angles[0, 1024:1032] = [0.0, -0.0, 1e-45, 16, -16, 17.278738, 1e10, np.pi / 4]
    assert differences_from_libm(angles) == 0


@pytest.mark.slow
def test_rotation_has_the_c_library_s_sine_and_cosine_at_every_float_below_20():
    top = int(np.float32(20).view(np.int32))
    for first in range(0, top, 1 << 22):
        patterns = np.arange(first, first + (1 << 22), dtype=np.int32).view(np.float32).reshape(64, -1)
        assert differences_from_libm(patterns) == 0
        assert differences_from_libm(-patterns) == 0


@pytest.mark.parametrize(("index", "width"), [(index16, 16), (index32, 32)])
def test_the_lanes_of_a_mask_are_the_bits_of_a_number(index, width):
    @numba.njit(error_model="numpy")
    def positive(values, order):
        return lane_bits(gather(values, 0, index(order, 0)) > np.float32(0))

    rng, order = np.random.default_rng(4), np.arange(N, dtype=np.int32)
    for _ in range(20):
        values = rng.normal(size=(1, N)).astype(np.float32)
        expected = sum(1 << k for k in range(width) if values[0, k] > 0)
        assert positive(values, order) == expected
    assert positive(np.ones((1, N), np.float32), order) == 2**width - 1


def test_what_is_fetched_ahead_stays_what_it_is():
    @numba.njit
    def fetch(numbers, rows):
        for k in range(len(numbers)):
            prefetch(numbers, k)
            prefetch(rows, k)
        return numbers.sum() + rows.sum()

    assert fetch(np.arange(5), np.arange(15).reshape(5, 3)) == 10 + 105
