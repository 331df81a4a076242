"""Matrix products for the fused learner, on padded row-major matrices inside flat float32 arrays.

One loop serves forward and backward passes: C[m, n] = max(bias[n] + sum over k of A[m, k] B[k, n], floor). A tile of C
stays in the processor's registers for all k, so that each loaded vector is used several times (register blocking as in
Goto and van de Geijn 2008). The terms of each C[m, n] are added in the order of k, whatever the tile: its size changes
no result. A may be read transposed.
"""

import numpy as np

from fastlander.kernels.jit import inlined, part
from fastlander.kernels.processor import has_avx512
from fastlander.kernels.simd import multiply_add, where
from fastlander.kernels.simd_memory import fill16, fill32, load1, load16, load32, store16, store32

LANES = 16
NO_FLOOR = np.float32(-np.inf)


# Rows and columns of a tile. AVX-512 has 32 registers of sixteen numbers, and 8 rows of 32 fill half of them. AVX2 has
# 16 registers of eight: 4 rows of 16 fill half, and 8 of 32 would be written to the stack and read back at every k.
TILE = (8, 32) if has_avx512() else (4, LANES)


def padded(width: int) -> int:
    """`width` rounded up to whole vectors."""
    return -(-width // LANES) * LANES


@inlined
def _row_of(at, stride, m, k):
    """Where A[m, k] lies, for A in row-major order."""
    return at + m * stride + k


@inlined
def _column_of(at, stride, m, k):
    """Where A[m, k] lies, for A in column-major order."""
    return at + k * stride + m


def _make_tiles(place, rows, load, store, fill):
    @inlined
    def four_terms(memory, a, stride, m, k, vector, c):
        """C's rows m to m + 3 plus column k of A times a vector of B."""
        c0, c1, c2, c3 = c
        return (
            multiply_add(load1(memory, place(a, stride, m, k)), vector, c0),
            multiply_add(load1(memory, place(a, stride, m + 1, k)), vector, c1),
            multiply_add(load1(memory, place(a, stride, m + 2, k)), vector, c2),
            multiply_add(load1(memory, place(a, stride, m + 3, k)), vector, c3),
        )

    @inlined
    def store_four(out, c, c_row, sums, low):
        c0, c1, c2, c3 = sums
        store(out, c, where(c0 < low, low, c0))
        store(out, c + c_row, where(c1 < low, low, c1))
        store(out, c + 2 * c_row, where(c2 < low, low, c2))
        store(out, c + 3 * c_row, where(c3 < low, low, c3))

    # In both tiles two k are taken at a time: otherwise the additions that make the addresses take longer than the
    # products.

    @inlined
    def four_rows(out, memory, c, c_row, a, a_stride, b, b_row, depth, bias, floor):
        """C's rows 0 to 3, one vector wide. c, a, b: where they start."""
        first = load(memory, bias)
        sums = (first, first, first, first)
        for k in range(0, depth - 1, 2):
            sums = four_terms(memory, a, a_stride, 0, k, load(memory, b + k * b_row), sums)
            sums = four_terms(memory, a, a_stride, 0, k + 1, load(memory, b + (k + 1) * b_row), sums)
        if depth % 2:
            sums = four_terms(memory, a, a_stride, 0, depth - 1, load(memory, b + (depth - 1) * b_row), sums)
        store_four(out, c, c_row, sums, fill(floor))

    @inlined
    def eight_rows(out, memory, c, c_row, a, a_stride, b, b_row, depth, bias, floor):
        """C's rows 0 to 7, one vector wide."""
        first = load(memory, bias)
        upper = lower = (first, first, first, first)
        for k in range(0, depth - 1, 2):
            vector = load(memory, b + k * b_row)
            upper = four_terms(memory, a, a_stride, 0, k, vector, upper)
            lower = four_terms(memory, a, a_stride, 4, k, vector, lower)
            vector = load(memory, b + (k + 1) * b_row)
            upper = four_terms(memory, a, a_stride, 0, k + 1, vector, upper)
            lower = four_terms(memory, a, a_stride, 4, k + 1, vector, lower)
        if depth % 2:
            vector = load(memory, b + (depth - 1) * b_row)
            upper = four_terms(memory, a, a_stride, 0, depth - 1, vector, upper)
            lower = four_terms(memory, a, a_stride, 4, depth - 1, vector, lower)
        store_four(out, c, c_row, upper, fill(floor))
        store_four(out, c + 4 * c_row, c_row, lower, fill(floor))

    @inlined
    def one_row(out, memory, c, a, a_stride, b, b_row, depth, bias, floor):
        """One row of C, one vector wide."""
        total, low = load(memory, bias), fill(floor)
        for k in range(depth):
            total = multiply_add(load1(memory, place(a, a_stride, 0, k)), load(memory, b + k * b_row), total)
        store(out, c, where(total < low, low, total))

    return (eight_rows if rows == 8 else four_rows), one_row


def make_product(transposed, tile):
    """The kernel part C = max(A B + bias, floor).

    transposed: whether A is read transposed. tile: rows (4 or 8) and columns (16 or 32) of C that are computed at once.
    """
    place, (tile_rows, tile_columns) = _column_of if transposed else _row_of, tile
    narrow_tile, narrow_row = _make_tiles(place, tile_rows, load16, store16, fill16)
    wide_tile, wide_row = narrow_tile, narrow_row
    if tile_columns == 32:
        wide_tile, wide_row = _make_tiles(place, tile_rows, load32, store32, fill32)

    @part
    def product(out, memory, c, c_row, rows, columns, a, a_stride, b, b_row, depth, bias, floor):
        """C = max(A B + bias, floor), C in `out`, all else in `memory`, both float32[...].

        c, a, b, bias: where the matrices and the row start. c_row, b_row: distance between rows. a_stride: between
        rows of A, or between its columns where it is read transposed. columns: a multiple of LANES. depth: columns of
        A, rows of B.
        """
        whole = rows - rows % tile_rows
        for n in range(0, columns, tile_columns):
            wide = n + tile_columns <= columns
            for m in range(0, whole, tile_rows):
                to, start = c + m * c_row + n, place(a, a_stride, m, 0)
                if wide:
                    wide_tile(out, memory, to, c_row, start, a_stride, b + n, b_row, depth, bias + n, floor)
                else:
                    narrow_tile(out, memory, to, c_row, start, a_stride, b + n, b_row, depth, bias + n, floor)
            for m in range(whole, rows):
                to, start = c + m * c_row + n, place(a, a_stride, m, 0)
                if wide:
                    wide_row(out, memory, to, start, a_stride, b + n, b_row, depth, bias + n, floor)
                else:
                    narrow_row(out, memory, to, start, a_stride, b + n, b_row, depth, bias + n, floor)

    return product


product, transposed_product = make_product(False, TILE), make_product(True, TILE)
