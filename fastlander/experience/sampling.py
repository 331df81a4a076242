"""The kernel behind `ReplayBuffer.sample`."""

from fastlander.kernels.jit import kernel
from fastlander.kernels.xoshiro import next_below


@kernel
def sample_rows(state, first, count, fields, batch):
    """Draw rows uniformly with replacement from `count` slots of a ring, from slot `first` on.

    state: uint64[4], the random stream. fields, batch: uint8[maxlen, bytes] and uint8[B, bytes] for each field. As rows
    are copied byte by byte, one kernel serves every dtype and shape.
    """
    maxlen = len(fields[0])
    for row in range(len(batch[0])):
        slot = (first + next_below(state, count)) % maxlen
        for k in range(len(fields)):
            source, target = fields[k], batch[k]
            for byte in range(source.shape[1]):
                target[row, byte] = source[slot, byte]
