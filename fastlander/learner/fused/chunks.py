"""A batch's gradient in chunks, which the thread that learns and one that helps it take turns at.

The first thread opens a batch, and both take chunks until there are none. Each chunk has a gradient of its own. The sum
is made in the order of the chunks, so that it is the same whoever computed which.
"""

from typing import NamedTuple

import numpy as np

from fastlander.kernels.atomics import atomic_exchange, atomic_load, atomic_replace
from fastlander.kernels.jit import inlined, part
from fastlander.kernels.simd_memory import load16, prefetch, store16
from fastlander.learner.fused.matmul import LANES
from fastlander.learner.fused.plan import chunk_start, unpack_plan
from fastlander.learner.fused.temporal_difference import MIRRORED, Rows, read_row, td_gradient

WHOLE_BATCH, CHUNKS = 128, 4
"""A batch of WHOLE_BATCH rows or more is computed in CHUNKS chunks, a smaller one in one. On this depends how the terms
of a gradient are added up, and so what a run learns to the last bit."""

# Words of a board, int64[DONE + C]: where the updates are that a thread was asked for, the next chunk that nobody has
# taken, and for each of C chunks whether it is computed (1 or 0).
LEARNING, NEXT, DONE = 0, 1, 2
ENDED, ASKED, BEGUN = 0, 1, 2


def chunks_of(batch_size: int) -> int:
    """In how many chunks a batch is computed."""
    return CHUNKS if batch_size >= WHOLE_BATCH else 1


def make_board(count: int) -> np.ndarray:
    """A board for `count` chunks. All are taken: there is no batch yet, and one that helps must not begin it."""
    board = np.zeros(DONE + count, np.int64)
    board[NEXT] = count
    return board


class Chunks(NamedTuple):
    """What the threads share while C chunks are computed."""

    board: np.ndarray  # int64[DONE + C]
    tables: np.ndarray  # int64[C, fields, L + 1], of `make_chunks`
    gradients: np.ndarray  # float32[C, P]
    losses: np.ndarray  # float64[C]: sums over a chunk's rows
    slots: np.ndarray  # int64[B]: where the rows of the batch are stored


@inlined
def open_batch(board):
    """Let chunks be taken."""
    for k in range(DONE, len(board)):
        atomic_exchange(board, k, 0)
    atomic_exchange(board, NEXT, 0)


@inlined
def await_batch(board):
    """Wait until all chunks are computed."""
    for k in range(DONE, len(board)):
        while atomic_load(board, k) == 0:
            pass


@part
def compute_one(memory, chunks, hyper, ring, batch):
    """Take a chunk and compute its gradient and loss. False: all are taken."""
    count, board = len(chunks.losses), chunks.board
    k = atomic_load(board, NEXT)
    while k < count and not atomic_replace(board, NEXT, k, k + 1):
        k = atomic_load(board, NEXT)
    if k >= count:
        return False
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
    atomic_exchange(board, DONE + k, 1)
    return True


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
