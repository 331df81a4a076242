"""Matrix products for the fused learner, on padded row-major matrices inside flat float32 arrays.

One loop serves forward and backward passes: C[m, n] = max(bias[n] + sum over k of A[m, k] B[k, n], floor), with
sixteen or thirty-two n in a vector register and eight m at once, so that each loaded vector is used eight times
(register blocking as in Goto and van de Geijn 2008). A may be read transposed.
"""

import numpy as np

from fastlander.kernels.jit import inlined, part
from fastlander.kernels.simd import multiply_add, where
from fastlander.kernels.simd_memory import fill16, fill32, load1, load16, load32, store16, store32

LANES = 16
NO_FLOOR = np.float32(-np.inf)


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


def _make_blocks(place, load, store, fill):
    @inlined
    def eight_terms(memory, a, stride, k, vector, c):
        """C's rows 0 to 7 plus column k of A times a vector of B."""
        c0, c1, c2, c3, c4, c5, c6, c7 = c
        return (
            multiply_add(load1(memory, place(a, stride, 0, k)), vector, c0),
            multiply_add(load1(memory, place(a, stride, 1, k)), vector, c1),
            multiply_add(load1(memory, place(a, stride, 2, k)), vector, c2),
            multiply_add(load1(memory, place(a, stride, 3, k)), vector, c3),
            multiply_add(load1(memory, place(a, stride, 4, k)), vector, c4),
            multiply_add(load1(memory, place(a, stride, 5, k)), vector, c5),
            multiply_add(load1(memory, place(a, stride, 6, k)), vector, c6),
            multiply_add(load1(memory, place(a, stride, 7, k)), vector, c7),
        )

    @inlined
    def eight_rows(out, memory, c, c_row, a, a_stride, b, b_row, depth, bias, floor):
        """C's rows 0 to 7, one vector wide. c, a, b: where they start."""
        first, low = load(memory, bias), fill(floor)
        sums = (first, first, first, first, first, first, first, first)
        # Two k at a time: otherwise the additions that make the eight addresses take longer than the products.
        for k in range(0, depth - 1, 2):
            sums = eight_terms(memory, a, a_stride, k, load(memory, b + k * b_row), sums)
            sums = eight_terms(memory, a, a_stride, k + 1, load(memory, b + (k + 1) * b_row), sums)
        if depth % 2:
            sums = eight_terms(memory, a, a_stride, depth - 1, load(memory, b + (depth - 1) * b_row), sums)
        c0, c1, c2, c3, c4, c5, c6, c7 = sums
        store(out, c, where(c0 < low, low, c0))
        store(out, c + c_row, where(c1 < low, low, c1))
        store(out, c + 2 * c_row, where(c2 < low, low, c2))
        store(out, c + 3 * c_row, where(c3 < low, low, c3))
        store(out, c + 4 * c_row, where(c4 < low, low, c4))
        store(out, c + 5 * c_row, where(c5 < low, low, c5))
        store(out, c + 6 * c_row, where(c6 < low, low, c6))
        store(out, c + 7 * c_row, where(c7 < low, low, c7))

    @inlined
    def one_row(out, memory, c, a, a_stride, b, b_row, depth, bias, floor):
        """One row of C, one vector wide."""
        total, low = load(memory, bias), fill(floor)
        for k in range(depth):
            total = multiply_add(load1(memory, place(a, a_stride, 0, k)), load(memory, b + k * b_row), total)
        store(out, c, where(total < low, low, total))

    return eight_rows, one_row


def _make_product(place):
    eight_by_32, one_by_32 = _make_blocks(place, load32, store32, fill32)
    eight_by_16, one_by_16 = _make_blocks(place, load16, store16, fill16)

    @part
    def product(out, memory, c, c_row, rows, columns, a, a_stride, b, b_row, depth, bias, floor):
        """C = max(A B + bias, floor), C in `out`, all else in `memory`, both float32[...].

        c, a, b, bias: where the matrices and the row start. c_row, b_row: distance between rows. a_stride: between
        rows of A, or between its columns where it is read transposed. columns: a multiple of LANES. depth: columns of
        A, rows of B.
        """
        whole = rows - rows % 8
        for n in range(0, columns, 32):
            wide = n + 32 <= columns
            for m in range(0, whole, 8):
                to, start = c + m * c_row + n, place(a, a_stride, m, 0)
                if wide:
                    eight_by_32(out, memory, to, c_row, start, a_stride, b + n, b_row, depth, bias + n, floor)
                else:
                    eight_by_16(out, memory, to, c_row, start, a_stride, b + n, b_row, depth, bias + n, floor)
            for m in range(whole, rows):
                to, start = c + m * c_row + n, place(a, a_stride, m, 0)
                if wide:
                    one_by_32(out, memory, to, start, a_stride, b + n, b_row, depth, bias + n, floor)
                else:
                    one_by_16(out, memory, to, start, a_stride, b + n, b_row, depth, bias + n, floor)

    return product


product, transposed_product = _make_product(_row_of), _make_product(_column_of)
