"""A batch's gradient in chunks of rows: each has a gradient of its own, and they are added up in their order."""

from typing import NamedTuple

import numpy as np

from fastlander.kernels.jit import inlined, part
from fastlander.kernels.simd_memory import load16, prefetch, store16
from fastlander.learner.fused.matmul import LANES
from fastlander.learner.fused.plan import chunk_start, unpack_plan
from fastlander.learner.fused.temporal_difference import MIRRORED, Rows, read_row, td_gradient

WHOLE_BATCH, CHUNKS = 128, 4
"""A batch of WHOLE_BATCH rows or more is computed in CHUNKS chunks, a smaller one in one. On this depends how the terms
of a gradient are added up, and so what a run learns to the last bit."""


def chunks_of(batch_size: int) -> int:
    """In how many chunks a batch is computed."""
    return CHUNKS if batch_size >= WHOLE_BATCH else 1


class Chunks(NamedTuple):
    """What C chunks are computed in."""

    tables: np.ndarray  # int64[C, fields, L + 1], of `make_chunks`
    gradients: np.ndarray  # float32[C, P]
    losses: np.ndarray  # float64[C]: sums over a chunk's rows
    slots: np.ndarray  # int64[B]: where the rows of the batch are stored


@part
def compute_chunk(memory, chunks, hyper, ring, batch, k):
    """The gradient and loss of chunk k."""
    count = len(chunks.losses)
    total = len(chunks.slots)
    first, last = chunk_start(k, total, count), chunk_start(k + 1, total, count)
    plan, rows = unpack_plan(chunks.tables[k]), batch_rows(batch, first, last)
    for row in range(first, last):
        slot = chunks.slots[row]
        prefetch(ring.obs, slot)
        prefetch(ring.next_obs, slot)
        prefetch(ring.action, slot)
        prefetch(ring.reward, slot)
        prefetch(ring.discount, slot)
    for row in range(last - first):
        slot, mirrored = chunks.slots[first + row], first + row < hyper.mirror_rows
        read_row(memory, plan, ring.obs, slot, row, mirrored, plan.inputs[0])
        read_row(memory, plan, ring.next_obs, slot, row, mirrored, plan.others[0])
        rows.action[row] = MIRRORED[ring.action[slot]] if mirrored else ring.action[slot]
        rows.reward[row], rows.discount[row] = ring.reward[slot], ring.discount[slot]
    chunks.losses[k] = td_gradient(memory, plan, chunks.gradients[k], hyper, rows, total)


@inlined
def batch_rows(batch, first, last):
    """The rows from `first` to before `last`."""
    return Rows(batch.action[first:last], batch.reward[first:last], batch.discount[first:last])


@part
def add_up(gradient, gradients):
    """gradient = the sum of the chunks' gradients, which is there already if there is one chunk."""
    if len(gradients) == 1:
        return
    whole = len(gradient) - len(gradient) % LANES
    for i in range(0, whole, LANES):
        total = load16(gradients[0], i)
        for k in range(1, len(gradients)):
            total = total + load16(gradients[k], i)
        store16(gradient, i, total)
    for i in range(whole, len(gradient)):
        total = gradients[0, i]
        for k in range(1, len(gradients)):
            total += gradients[k, i]
        gradient[i] = total
