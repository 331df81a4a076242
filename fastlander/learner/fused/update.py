"""One DQN update as a kernel: sample, temporal differences, backward pass, Adam, target network.

`TorchLearner` is the slow twin. All matrices lie in one float32 array, each row padded with zeros to whole vectors.
"""

import numpy as np
from numba import types

from fastlander.experience.transition import Transition
from fastlander.kernels.array_types import DOUBLES, FLOATS, ROWS, STREAM, TRANSITIONS, WORDS, array_of, served
from fastlander.kernels.jit import inlined, part
from fastlander.kernels.simd import lane_sum, square_root, where
from fastlander.kernels.simd_memory import fill16, load16, store16
from fastlander.kernels.threads import serving
from fastlander.kernels.xoshiro import next_below
from fastlander.learner.adam import NEGLIGIBLE
from fastlander.learner.fused.chunks import Chunks, add_up, compute_chunk
from fastlander.learner.fused.matmul import LANES
from fastlander.learner.fused.plan import pack_plain, pack_transposed, unpack_plan
from fastlander.learner.fused.temporal_difference import Rows, unpack_hyperparameters

_ZERO, _ONE = np.float32(0), np.float32(1)
EPS = np.float32(1e-8)  # Adam's


@inlined
def adam(p, g, m, v, step_size, beta1, beta2, root, eps):
    """Adam (Kingma and Ba 2015) for one number or lanes of them, moments below NEGLIGIBLE become 0: (p, m, v)."""
    m = m + (_ONE - beta1) * (g - m)
    v = beta2 * v + (_ONE - beta2) * g * g
    m, v = where((m < NEGLIGIBLE) & (m > -NEGLIGIBLE), _ZERO, m), where(v < NEGLIGIBLE, _ZERO, v)
    return p - step_size * m / (square_root(v) * root + eps), m, v


@part
def adam_step(flat, gradient, exp_avg, exp_avg_sq, scale, step_size, beta1, beta2, root, eps):
    """One step of Adam with the gradient times `scale`; `flat_adam_step` has the other numbers."""
    whole = len(flat) - len(flat) % LANES
    for i in range(0, whole, LANES):
        g = load16(gradient, i) * scale
        m, v = load16(exp_avg, i), load16(exp_avg_sq, i)
        p, m, v = adam(load16(flat, i), g, m, v, step_size, beta1, beta2, root, eps)
        store16(gradient, i, g)
        store16(flat, i, p)
        store16(exp_avg, i, m)
        store16(exp_avg_sq, i, v)
    for i in range(whole, len(flat)):
        gradient[i] *= scale
        flat[i], exp_avg[i], exp_avg_sq[i] = adam(
            flat[i], gradient[i], exp_avg[i], exp_avg_sq[i], step_size, beta1, beta2, root, eps
        )


@part
def clip_scale(gradient, max_norm):
    """What scales the gradient down to an L2 norm of at most `max_norm` (torch's clip_grad_norm_): float32."""
    square = np.float64(0)
    whole = len(gradient) - len(gradient) % LANES
    total = fill16(_ZERO)
    for i in range(0, whole, LANES):
        total = total + load16(gradient, i) * load16(gradient, i)
    square += np.float64(lane_sum(total))
    for i in range(whole, len(gradient)):
        square += np.float64(gradient[i] * gradient[i])
    return np.float32(min(1.0, max_norm / (np.sqrt(square) + 1e-6)))


@inlined
def mix(old, first, new, start, count, share):
    """old[first:] += share * (new[start:] - old[first:]), `count` numbers."""
    whole = count - count % LANES
    for i in range(0, whole, LANES):
        value = load16(old, first + i)
        store16(old, first + i, value + share * (load16(new, start + i) - value))
    for i in range(whole, count):
        old[first + i] += share * (new[start + i] - old[first + i])


@part
def one_update(memory, plan, vectors, hyper, ring, stored, state, batch, chunks, count):
    """Sample a batch and make one gradient step; the loss. `count`: number of this update, from 1."""
    flat, gradient, exp_avg, exp_avg_sq, target = vectors
    packed = plan.target_forward[0] - plan.forward[0]
    for row in range(len(chunks.slots)):
        chunks.slots[row] = next_below(state, stored)
    pack_plain(memory, plan, flat)
    loss = np.float64(0)
    for k in range(len(chunks.losses)):
        compute_chunk(memory, chunks, hyper, ring, batch, k)
        loss += chunks.losses[k]
    add_up(gradient, chunks.gradients)
    scale = clip_scale(gradient, hyper.max_grad_norm)
    step_size = np.float32(hyper.learning_rate / (1 - hyper.beta1**count))
    beta1, beta2 = np.float32(hyper.beta1), np.float32(hyper.beta2)
    root = np.float32(1 / (1 - hyper.beta2**count) ** 0.5)
    adam_step(flat, gradient, exp_avg, exp_avg_sq, scale, step_size, beta1, beta2, root, EPS)
    pack_transposed(memory, plan, flat, plan.forward, plan.bias)
    if hyper.separate_target and count % hyper.target_update_freq == 0:
        mix(target, 0, flat, 0, len(flat), hyper.tau)
        mix(memory, plan.target_forward[0], memory, plan.forward[0], packed, hyper.tau)
    return loss / len(chunks.slots)


# Words of a job, float64[4]: updates made before, updates to make, transitions stored, loss of the last update.
MADE, TO_MAKE, STORED, LOSS = 0, 1, 2, 3


@part
def make_updates(job, table, flat, gradient, exp_avg, exp_avg_sq, target, state, shared):
    """Make the updates of `job`, each on a new sample.

    table: of `make_plan`. flat, gradient, exp_avg, exp_avg_sq, target: float32[P]. state: uint64[4], the random stream
    of the buffer. shared: as `unpack_shared` takes it.
    """
    memory, hyper, ring, batch, chunks = unpack_shared(shared)
    vectors, plan = (flat, gradient, exp_avg, exp_avg_sq, target), unpack_plan(table)
    made, stored = np.int64(job[MADE]), np.int64(job[STORED])
    for k in range(np.int64(job[TO_MAKE])):
        job[LOSS] = one_update(memory, plan, vectors, hyper, ring, stored, state, batch, chunks, made + k + 1)


@inlined
def unpack_shared(shared):
    """What an update reads and writes beside the vectors: memory, Hyperparameters, Transition, Rows, Chunks.

    shared: a tuple of tuples. memory: of `make_memory`. hyperparameters: of `pack_hyperparameters`. ring: the arrays of
    the ReplayBuffer. batch: room for the Rows of a batch. chunks: of Chunks.
    """
    memory, hyperparameters, ring, batch, chunks = shared
    return memory, unpack_hyperparameters(hyperparameters), Transition(*ring), Rows(*batch), Chunks(*chunks)


serve_updates = serving(make_updates)
"""`make_updates` as the kernel of a thread (`KernelThreads`)."""


_CHUNKS = array_of(types.int64, 3), ROWS, DOUBLES, WORDS
_SHARED = types.Tuple((FLOATS, DOUBLES, *map(types.Tuple, (TRANSITIONS, (WORDS, FLOATS, FLOATS), _CHUNKS))))
_UPDATE = DOUBLES, array_of(types.int64, 2), *[FLOATS] * 5, STREAM, _SHARED  # of `make_updates`
UPDATE_ARGUMENTS = served(*_UPDATE)
"""Numba's types of what `serve_updates` is called with."""
