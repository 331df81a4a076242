"""Matrix products in tiles of registers: they give what one sum after the other gives, whatever the tile."""

import numpy as np
import pytest
from numba.core.registry import cpu_target

from fastlander.kernels.jit import uncounted_kernel
from fastlander.learner.fused.matmul import LANES, NO_FLOOR, TILE, make_product, padded

TILES = [(4, 16), (8, 32)]
SHAPES = [(1, 1, 1), (3, 5, 16), (4, 8, 4), (7, 2, 33), (8, 9, 48), (21, 13, 40), (128, 64, 32)]


def callable_product(transposed, tile):
    product = make_product(transposed, tile)

    @uncounted_kernel
    def call(out, memory, c, c_row, rows, columns, a, a_stride, b, b_row, depth, bias, floor):
        product(out, memory, c, c_row, rows, columns, a, a_stride, b, b_row, depth, bias, floor)

    return call


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "transposed"])
def products(request):
    return request.param, {tile: callable_product(request.param, tile) for tile in TILES}


def multiply(product, transposed, a, b, bias, floor):
    rows, depth, columns = len(a), len(b), b.shape[1]
    a = np.ascontiguousarray(a.T) if transposed else a
    parts = [a.ravel(), b.ravel(), bias]
    at = np.cumsum([0, *(len(part) for part in parts)])
    out, memory = np.full(rows * columns + 3, 7, np.float32), np.concatenate(parts)
    product(out, memory, 3, columns, rows, columns, at[0], a.shape[1], at[1], columns, depth, at[2], floor)
    assert (out[:3] == 7).all(), "wrote before the place that it was given"
    return out[3:].reshape(rows, columns)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("floor", [NO_FLOOR, np.float32(0)])
def test_a_product_is_that_of_numpy_and_no_tile_changes_a_bit(products, shape, floor):
    transposed, kernels = products
    rows, depth, columns = shape[0], shape[1], padded(shape[2])
    rng = np.random.default_rng(rows * depth)
    a, b = (rng.normal(size=size).astype(np.float32) for size in ((rows, depth), (depth, columns)))
    bias = rng.normal(size=columns).astype(np.float32)
    exact = np.maximum(a.astype(np.float64) @ b + bias, floor)
    found = {tile: multiply(kernels[tile], transposed, a, b, bias, floor) for tile in TILES}
    np.testing.assert_allclose(found[TILES[0]], exact, rtol=1e-5, atol=1e-5)
    for tile in TILES[1:]:
        np.testing.assert_array_equal(found[tile].view(np.uint32), found[TILES[0]].view(np.uint32))


def test_the_tile_fits_the_registers_that_kernels_are_compiled_for():
    features = cpu_target.target_context.codegen().magic_tuple()[2]
    registers, width = (32, 16) if "+avx512f" in features else (16, 8)
    assert TILE[0] * TILE[1] // width <= registers // 2
    assert TILE[1] % LANES == 0
