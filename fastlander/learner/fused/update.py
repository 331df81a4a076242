"""One DQN update as a kernel: sample, temporal differences, backward pass, Adam, target network.

`TorchLearner` is the slow twin. All matrices lie in one float32 array, each row padded with zeros to whole vectors.
"""

from typing import NamedTuple

import numpy as np

from fastlander.experience.transition import Transition
from fastlander.kernels.jit import inlined, part
from fastlander.kernels.simd import lane_sum, square_root, where
from fastlander.kernels.simd_memory import fill16, load16, store16
from fastlander.kernels.threads import serving
from fastlander.kernels.xoshiro import next_below
from fastlander.lander.symmetry import MIRROR_ACTIONS, MIRROR_ORDER, MIRROR_SIGNS
from fastlander.learner.adam import NEGLIGIBLE
from fastlander.learner.fused.matmul import LANES
from fastlander.learner.fused.passes import backward_pass, best_action, forward_pass
from fastlander.learner.fused.plan import pack_plain, pack_transposed, unpack_plan

_ZERO, _ONE = np.float32(0), np.float32(1)
EPS = np.float32(1e-8)  # Adam's


class Hyperparameters(NamedTuple):
    """The settings of a run that an update reads."""

    learning_rate: float
    beta1: float
    beta2: float
    max_grad_norm: float  # infinity: never clipped
    reward_scale: np.float32
    tau: np.float32
    target_update_freq: int
    huber: bool
    double_dqn: bool
    separate_target: bool
    mirror_rows: int


def pack_hyperparameters(hyperparameters: Hyperparameters) -> np.ndarray:
    """The fields as float64[11], the form in which kernels take them."""
    return np.array(hyperparameters, np.float64)


@inlined
def unpack_hyperparameters(packed):
    """The Hyperparameters that float64[11] holds."""
    return Hyperparameters(
        packed[0],
        packed[1],
        packed[2],
        packed[3],
        np.float32(packed[4]),
        np.float32(packed[5]),
        np.int64(packed[6]),
        packed[7] != 0,
        packed[8] != 0,
        packed[9] != 0,
        np.int64(packed[10]),
    )


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


_SIGNS, _ORDER, _ACTIONS = np.array(MIRROR_SIGNS, np.float32), np.array(MIRROR_ORDER), np.array(MIRROR_ACTIONS)


@inlined
def read_row(memory, plan, ring, slot, row, mirrored, at):
    """Copy one stored observation into row `row` of the matrix at `at`, reflected left to right if `mirrored`."""
    to = at + row * plan.widths[0]
    if mirrored:
        for i in range(len(_ORDER)):
            memory[to + i] = _SIGNS[i] * ring[slot, _ORDER[i]]
    else:
        for i in range(plan.sizes[0]):
            memory[to + i] = ring[slot, i]


class Rows(NamedTuple):
    """The part of a batch that is no observation: int64[B], float32[B], float32[B] (gamma**k, 0 where terminated)."""

    action: np.ndarray
    reward: np.ndarray
    discount: np.ndarray


@part
def td_gradient(memory, plan, gradient, hyper, batch):
    """The gradient of the temporal differences' loss, for the observations that the plan holds; the loss."""
    rows, layers, actions = len(batch.action), len(plan.first), plan.sizes[-1]
    values, others, future = plan.inputs[layers], plan.others[layers], plan.target_values[0]
    width = plan.widths[layers]
    if hyper.double_dqn or not hyper.separate_target:
        forward_pass(memory, plan, plan.forward, plan.bias, plan.others, others, rows)
    if hyper.separate_target:
        forward_pass(memory, plan, plan.target_forward, plan.target_bias, plan.others, future, rows)
    else:
        future = others
    chooser = others if hyper.double_dqn else future
    forward_pass(memory, plan, plan.forward, plan.bias, plan.inputs, values, rows)
    loss, grads = np.float64(0), plan.grads[layers]
    for row in range(rows):
        at, action = row * width, batch.action[row]
        best = best_action(memory, chooser + at, actions)
        wanted = batch.reward[row] * hyper.reward_scale + batch.discount[row] * memory[future + at + best]
        error = memory[values + at + action] - wanted
        for n in range(0, width, LANES):
            store16(memory, grads + at + n, fill16(_ZERO))
        if hyper.huber:
            size = abs(error)
            capped = min(size, _ONE)
            loss += np.float64(capped * (size - np.float32(0.5) * capped))
            slope = min(max(error, -_ONE), _ONE)
        else:
            loss += np.float64(error * error)
            slope = np.float32(2) * error
        memory[grads + at + action] = slope / np.float32(rows)
    backward_pass(memory, plan, gradient, rows)
    return loss / rows


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
def one_update(memory, plan, vectors, hyper, ring, stored, state, batch, count):
    """Sample a batch and make one gradient step; the loss. `count`: number of this update, from 1."""
    flat, gradient, exp_avg, exp_avg_sq, target = vectors
    packed = plan.target_forward[0] - plan.forward[0]
    for row in range(len(batch.action)):
        slot = next_below(state, stored)
        mirrored = row < hyper.mirror_rows
        read_row(memory, plan, ring.obs, slot, row, mirrored, plan.inputs[0])
        read_row(memory, plan, ring.next_obs, slot, row, mirrored, plan.others[0])
        batch.action[row] = _ACTIONS[ring.action[slot]] if mirrored else ring.action[slot]
        batch.reward[row], batch.discount[row] = ring.reward[slot], ring.discount[slot]
    pack_plain(memory, plan, flat)
    loss = td_gradient(memory, plan, gradient, hyper, batch)
    scale = clip_scale(gradient, hyper.max_grad_norm)
    step_size = np.float32(hyper.learning_rate / (1 - hyper.beta1**count))
    beta1, beta2 = np.float32(hyper.beta1), np.float32(hyper.beta2)
    root = np.float32(1 / (1 - hyper.beta2**count) ** 0.5)
    adam_step(flat, gradient, exp_avg, exp_avg_sq, scale, step_size, beta1, beta2, root, EPS)
    pack_transposed(memory, plan, flat, plan.forward, plan.bias)
    if hyper.separate_target and count % hyper.target_update_freq == 0:
        mix(target, 0, flat, 0, len(flat), hyper.tau)
        mix(memory, plan.target_forward[0], memory, plan.forward[0], packed, hyper.tau)
    return loss


# Words of a job, float64[4]: updates made before, updates to make, transitions stored, loss of the last update.
MADE, TO_MAKE, STORED, LOSS = 0, 1, 2, 3


@part
def make_updates(
    job,
    memory,
    table,
    flat,
    gradient,
    exp_avg,
    exp_avg_sq,
    target,
    hyperparameters,
    obs,
    action,
    reward,
    next_obs,
    discount,
    state,
    batch_action,
    batch_reward,
    batch_discount,
):
    """Make the updates of `job`, each on a new sample.

    table: of `make_plan`. hyperparameters: of `hyperparameters_of`. flat, gradient, exp_avg, exp_avg_sq, target:
    float32[P]. obs, action, reward, next_obs, discount: the arrays of the ReplayBuffer. state: uint64[4], its random
    stream. batch_action, batch_reward, batch_discount: room for the Rows of a batch.
    """
    vectors = (flat, gradient, exp_avg, exp_avg_sq, target)
    ring, batch = Transition(obs, action, reward, next_obs, discount), Rows(batch_action, batch_reward, batch_discount)
    plan, hyper = unpack_plan(table), unpack_hyperparameters(hyperparameters)
    made, stored = np.int64(job[MADE]), np.int64(job[STORED])
    for k in range(np.int64(job[TO_MAKE])):
        job[LOSS] = one_update(memory, plan, vectors, hyper, ring, stored, state, batch, made + k + 1)


serve_updates = serving(make_updates)
"""`make_updates` as the kernel of a thread (`KernelThreads`)."""
