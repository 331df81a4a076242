"""A random number generator for kernels, with a state of four words: xoshiro256++ (Blackman and Vigna 2021).

Numba's own `np.random` has one global state per thread. Kernels that sample take a state array as an argument instead.
Integers below a bound are drawn by multiplication and rejection (Lemire 2019).
"""

import numba
import numpy as np

from fastlander.kernels.jit import kernel


def kernel_state(seed: np.random.SeedSequence) -> np.ndarray:
    """A start state for `next_uint64`: uint64[4]."""
    return seed.generate_state(4, np.uint64)


# Numba makes float64 of uint64 combined with a signed integer, so every constant here is uint64.
_17, _23, _32, _45, _64 = (np.uint64(n) for n in (17, 23, 32, 45, 64))
_LOW = np.uint64(0xFFFFFFFF)


@numba.njit(inline="always")
def _rotate_left(x, bits):
    return (x << bits) | (x >> (_64 - bits))


@kernel
def next_uint64(state):
    """The next 64 random bits: uint64. `state`, uint64[4], is changed in place."""
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
    """A uniform int64 in [0, bound), for 0 < bound < 2**32. `state`, uint64[4], is changed in place.

    The result is the upper half of the product of 32 random bits and the bound (Lemire 2019).
    """
    bound = np.uint64(bound)
    product = (next_uint64(state) >> _32) * bound
    if product & _LOW < bound:
        threshold = ((_LOW + np.uint64(1)) - bound) % bound
        while product & _LOW < threshold:
            product = (next_uint64(state) >> _32) * bound
    return np.int64(product >> _32)
