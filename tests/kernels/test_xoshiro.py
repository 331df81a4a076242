import numpy as np
from scipy import stats

from fastlander.kernels.xoshiro import kernel_state, next_below, next_uint64

MASK = 2**64 - 1


def xoshiro256pp(state):
    """The slow twin, in Python's own integers, from the recurrence in Blackman and Vigna 2021."""

    def rotl(x, k):
        return ((x << k) | (x >> (64 - k))) & MASK

    a, b, c, d = state
    result = (rotl((a + d) & MASK, 23) + a) & MASK
    c, d = c ^ a, d ^ b
    return result, [a ^ d, b ^ c, c ^ (b << 17 & MASK), rotl(d, 45)]


def test_next_uint64_is_xoshiro256pp():
    state = kernel_state(np.random.SeedSequence(5))
    twin = [int(word) for word in state]
    for _ in range(1000):
        expected, twin = xoshiro256pp(twin)
        assert int(next_uint64(state)) == expected
    assert [int(word) for word in state] == twin


def test_the_published_first_outputs():
    state = np.array([1, 2, 3, 4], np.uint64)
    assert [int(next_uint64(state)) for _ in range(3)] == [41943041, 58720359, 3588806011781223]


def test_next_below_is_uniform_even_where_rejection_is_frequent():
    state = kernel_state(np.random.SeedSequence(1))
    bound = 3 * 2**30  # without rejection a third of the range would come twice as often
    draws = np.array([next_below(state, bound) for _ in range(60_000)])
    assert draws.min() >= 0
    assert draws.max() < bound
    counts = np.histogram(draws, bins=24, range=(0, bound))[0]
    assert stats.chisquare(counts).pvalue > 1e-3
