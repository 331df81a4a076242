"""NumPy's random generator PCG64 inside kernels: each lander has the generator that Gymnasium would give it.

The algorithm is XSL-RR 128/64 (O'Neill 2014). `uniform` and `integers` draw as NumPy's Generator does. `stream` is
uint64[NUM_STREAM, S], the streams of all landers.
"""

from collections.abc import Sequence

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastlander.kernels.jit import inlined, part
from fastlander.physics.state import BUFFERED, INCREMENT_HIGH, INCREMENT_LOW, STATE_HIGH, STATE_LOW

_MULTIPLIER = 0x2360ED051FC65DA44385DF649FCCF645  # PCG's own for 128 bits
_HALF_FLAG, _LOW32 = np.uint64(1 << 32), np.uint64(0xFFFFFFFF)
_11, _32, _58, _63, _64 = (np.uint64(n) for n in (11, 32, 58, 63, 64))
_TO_DOUBLE = 2.0**-53


@intrinsic
def _advance(typing_context, high, low, increment_high, increment_low):
    """state * multiplier + increment modulo 2**128, as (high, low) 64 bits."""
    result = types.UniTuple(types.uint64, 2)

    def generate(context, builder, sig, args):
        wide = ir.IntType(128)
        shift = ir.Constant(wide, 64)

        def join(top, bottom):
            return builder.or_(builder.shl(builder.zext(top, wide), shift), builder.zext(bottom, wide))

        state = builder.add(builder.mul(join(args[0], args[1]), ir.Constant(wide, _MULTIPLIER)), join(args[2], args[3]))
        word = ir.IntType(64)
        return cgutils.pack_array(
            builder, [builder.trunc(builder.lshr(state, shift), word), builder.trunc(state, word)]
        )

    return result(high, low, increment_high, increment_low), generate


@inlined
def next_uint64(stream, i):
    """The next 64 random bits of lander i's stream: uint64."""
    high, low = _advance(
        stream[STATE_HIGH, i], stream[STATE_LOW, i], stream[INCREMENT_HIGH, i], stream[INCREMENT_LOW, i]
    )
    stream[STATE_HIGH, i], stream[STATE_LOW, i] = high, low
    bits, turn = high ^ low, high >> _58
    return (bits >> turn) | (bits << ((_64 - turn) & _63))


@inlined
def uniform(stream, i, low, width):
    """NumPy's Generator.uniform(low, low + width): float64."""
    return low + width * (np.float64(next_uint64(stream, i) >> _11) * _TO_DOUBLE)


@inlined
def next_uint32(stream, i):
    """The next 32 random bits, as uint64. A 64-bit draw gives its low half first and its high half the next time."""
    buffered = stream[BUFFERED, i]
    if buffered & _HALF_FLAG:
        stream[BUFFERED, i] = np.uint64(0)
        return buffered & _LOW32
    bits = next_uint64(stream, i)
    stream[BUFFERED, i] = _HALF_FLAG | (bits >> _32)
    return bits & _LOW32


@part
def integers(stream, i, low, high):
    """NumPy's Generator.integers(low, high) for ranges below 2**32: int64, by Lemire's method (2019)."""
    count = np.uint64(high - low)
    product = next_uint32(stream, i) * count
    if product & _LOW32 < count:
        threshold = (_LOW32 - (count - np.uint64(1))) % count
        while product & _LOW32 < threshold:
            product = next_uint32(stream, i) * count
    return low + np.int64(product >> _32)


_WORD = (1 << 64) - 1


def start_stream(stream: np.ndarray, seed: int | None) -> int:
    """Write the start state of gymnasium.utils.seeding.np_random(seed) into uint64[NUM_STREAM].

    Returns the seed. None takes one from the operating system.
    """
    sequence = np.random.SeedSequence(seed)
    write_stream(stream, np.random.PCG64(sequence))
    return int(sequence.entropy)


def start_streams(
    streams: np.ndarray, seeds: Sequence[int | None], mask: np.ndarray, known: Sequence[int] | None
) -> list[int]:
    """Start the streams in `mask` that get a seed now or never had one. Returns with which seeds all were started.

    streams: uint64[NUM_STREAM, N]. mask: bool[N]. known: the seeds of before; None if no stream was started.
    """
    started = [0] * len(seeds) if known is None else list(known)
    for i in np.flatnonzero(mask):
        if seeds[i] is not None or known is None:
            started[i] = start_stream(streams[:, i], seeds[i])
    return started


def write_stream(stream: np.ndarray, source: np.random.PCG64) -> None:
    """Write the state of a NumPy generator into uint64[NUM_STREAM]. `generator` is the opposite."""
    known = source.state
    state, increment = known["state"]["state"], known["state"]["inc"]
    stream[STATE_HIGH], stream[STATE_LOW] = state >> 64, state & _WORD
    stream[INCREMENT_HIGH], stream[INCREMENT_LOW] = increment >> 64, increment & _WORD
    stream[BUFFERED] = known["has_uint32"] << 32 | (known["uinteger"] if known["has_uint32"] else 0)


def generator(stream: np.ndarray) -> np.random.Generator:
    """A NumPy generator in the state that uint64[NUM_STREAM] describes."""
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
