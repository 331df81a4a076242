"""Matrix products for the fused learner, on padded row-major matrices inside one flat float32 array.

One loop serves forward and backward passes: C[m, n] = max(bias[n] + sum over k of A(m, k) B[k, n], floor), with
sixteen or thirty-two n in a vector register and eight m at once, so that each loaded vector is used eight times
(register blocking as in Goto and van de Geijn 2008).
"""

import numpy as np

from fastlander.jit import inlined, part
from fastlander.simd import multiply_add, where
from fastlander.simd_memory import fill16, fill32, load1, load16, load32, store16, store32

LANES = 16
NO_FLOOR = np.float32(-np.inf)


def padded(width: int) -> int:
    """`width` rounded up to whole vectors."""
    return -(-width // LANES) * LANES


def _make_blocks(load, store, fill):
    @inlined
    def eight_rows(memory, c, c_row, a, a_row, a_k, b, b_k, depth, bias, floor):
        """C's rows 0 to 7, one vector wide. c, a, b: where they start; the others are distances between elements."""
        c0 = c1 = c2 = c3 = c4 = c5 = c6 = c7 = load(memory, bias)
        low = fill(floor)
        for k in range(depth):
            vector, at = load(memory, b + k * b_k), a + k * a_k
            c0 = multiply_add(load1(memory, at), vector, c0)
            c1 = multiply_add(load1(memory, at + a_row), vector, c1)
            c2 = multiply_add(load1(memory, at + 2 * a_row), vector, c2)
            c3 = multiply_add(load1(memory, at + 3 * a_row), vector, c3)
            c4 = multiply_add(load1(memory, at + 4 * a_row), vector, c4)
            c5 = multiply_add(load1(memory, at + 5 * a_row), vector, c5)
            c6 = multiply_add(load1(memory, at + 6 * a_row), vector, c6)
            c7 = multiply_add(load1(memory, at + 7 * a_row), vector, c7)
        store(memory, c, where(c0 < low, low, c0))
        store(memory, c + c_row, where(c1 < low, low, c1))
        store(memory, c + 2 * c_row, where(c2 < low, low, c2))
        store(memory, c + 3 * c_row, where(c3 < low, low, c3))
        store(memory, c + 4 * c_row, where(c4 < low, low, c4))
        store(memory, c + 5 * c_row, where(c5 < low, low, c5))
        store(memory, c + 6 * c_row, where(c6 < low, low, c6))
        store(memory, c + 7 * c_row, where(c7 < low, low, c7))

    @inlined
    def one_row(memory, c, a, a_k, b, b_k, depth, bias, floor):
        """One row of C, one vector wide."""
        c0, low = load(memory, bias), fill(floor)
        for k in range(depth):
            c0 = multiply_add(load1(memory, a + k * a_k), load(memory, b + k * b_k), c0)
        store(memory, c, where(c0 < low, low, c0))

    return eight_rows, one_row


_eight_by_32, _one_by_32 = _make_blocks(load32, store32, fill32)
_eight_by_16, _one_by_16 = _make_blocks(load16, store16, fill16)


@part
def product(memory, c, c_row, rows, columns, a, a_row, a_k, b, b_k, depth, bias, floor):
    """C = max(A B + bias, floor). memory: float32[...]. c, a, b, bias: where the matrices and the row start in it.

    c_row, a_row, b_k: distance between rows of C, rows of A, rows of B; a_k: between columns of A (so that A may be
    read transposed). columns: a multiple of LANES. depth: columns of A, rows of B.
    """
    for n in range(0, columns, 32):
        wide = n + 32 <= columns
        whole = rows - rows % 8
        for m in range(0, whole, 8):
            if wide:
                _eight_by_32(
                    memory, c + m * c_row + n, c_row, a + m * a_row, a_row, a_k, b + n, b_k, depth, bias + n, floor
                )
            else:
                _eight_by_16(
                    memory, c + m * c_row + n, c_row, a + m * a_row, a_row, a_k, b + n, b_k, depth, bias + n, floor
                )
        for m in range(whole, rows):
            if wide:
                _one_by_32(memory, c + m * c_row + n, a + m * a_row, a_k, b + n, b_k, depth, bias + n, floor)
            else:
                _one_by_16(memory, c + m * c_row + n, a + m * a_row, a_k, b + n, b_k, depth, bias + n, floor)
