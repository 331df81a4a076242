"""A random number generator that kernels carry in four words: xoshiro256++ (Blackman and Vigna 2021).

Numba's own `np.random` is global to each thread, so kernels that sample take a state array instead. Bounded integers
are drawn by multiplication and rejection (Lemire 2019).
"""

import numba
import numpy as np

from fastlander.kernels.jit import kernel


def kernel_state(seed: np.random.SeedSequence) -> np.ndarray:
    """uint64[4]: the start state of `next_uint64`."""
    return seed.generate_state(4, np.uint64)


# Numba widens uint64 with a signed literal to float64, so every constant is spelled as uint64.
_17, _23, _32, _45, _64 = (np.uint64(n) for n in (17, 23, 32, 45, 64))
_LOW = np.uint64(0xFFFFFFFF)


@numba.njit(inline="always")
def _rotate_left(x, bits):
    return (x << bits) | (x >> (_64 - bits))


@kernel
def next_uint64(state):
    """One step of xoshiro256++: uint64[4], changed in place -> uint64."""
    result = _rotate_left(state[0] + state[3], _23) + state[0]
    shifted = state[1] << _17
    state[2] ^= state[0]
    state[3] ^= state[1]
    state[1] ^= state[2]
    state[0] ^= state[3]
    state[2] ^= shifted
    state[3] = _rotate_left(state[3], _45)
    return result


@kernel
def next_below(state, bound):
    """A uniform integer in [0, bound), bound < 2**32: the high half of a 32 by 32 bit product (Lemire 2019)."""
    bound = np.uint64(bound)
    product = (next_uint64(state) >> _32) * bound
    if product & _LOW < bound:
        threshold = ((_LOW + np.uint64(1)) - bound) % bound
        while product & _LOW < threshold:
            product = (next_uint64(state) >> _32) * bound
    return np.int64(product >> _32)
