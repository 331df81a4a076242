"""Seeds of native landers: the random stream that Gymnasium would make of a seed, in the lander's own words."""

import operator
from typing import Any

import numpy as np

from fastlander.physics.state import BUFFERED, INCREMENT_HIGH, INCREMENT_LOW, STATE_HIGH, STATE_LOW
from fastlander.validation import InputError

_WORD = (1 << 64) - 1


def start_stream(stream: np.ndarray, seed: int | None) -> int:
    """Fill uint64[NUM_STREAM] as gymnasium.utils.seeding.np_random(seed) starts; the seed (None draws one)."""
    sequence = np.random.SeedSequence(seed)
    start = np.random.PCG64(sequence).state["state"]
    stream[STATE_HIGH], stream[STATE_LOW] = start["state"] >> 64, start["state"] & _WORD
    stream[INCREMENT_HIGH], stream[INCREMENT_LOW] = start["inc"] >> 64, start["inc"] & _WORD
    stream[BUFFERED] = 0
    return int(sequence.entropy)


def generator(stream: np.ndarray) -> np.random.Generator:
    """A NumPy generator in the state that uint64[NUM_STREAM] holds."""
    words = [int(word) for word in stream]
    bit_generator = np.random.PCG64(0)
    bit_generator.state = {
        "bit_generator": "PCG64",
        "state": {
            "state": words[STATE_HIGH] << 64 | words[STATE_LOW],
            "inc": words[INCREMENT_HIGH] << 64 | words[INCREMENT_LOW],
        },
        "has_uint32": words[BUFFERED] >> 32,
        "uinteger": words[BUFFERED] & 0xFFFFFFFF,
    }
    return np.random.Generator(bit_generator)


def natural(seed: Any) -> int:
    """A seed as a Python int. ValueError if it is no natural number."""
    try:
        number = operator.index(seed)
    except TypeError:
        raise InputError(f"seed must be a natural number, got {seed!r}") from None
    if number < 0:
        raise InputError(f"seed must be a natural number, got {number}")
    return number
