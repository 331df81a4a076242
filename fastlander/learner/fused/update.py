"""The DQN update and the choice of actions as Numba kernels on the flat parameters: the fast path on a CPU.

`DQN.update` is the slow twin. All matrices lie in one float32 array, rows padded to whole vectors with zeros.
"""

from typing import NamedTuple

import numpy as np

from fastlander.config import Config
from fastlander.kernels.jit import inlined, part, uncounted_kernel
from fastlander.kernels.simd import lane_sum, square_root, where
from fastlander.kernels.simd_memory import fill16, load16, store16
from fastlander.kernels.threads import serving
from fastlander.kernels.xoshiro import next_below
from fastlander.learner.flat_adam import NEGLIGIBLE
from fastlander.learner.fused.matmul import LANES
from fastlander.learner.fused.passes import backward_pass, best_action, forward_pass
from fastlander.learner.fused.plan import pack_plain, pack_transposed, unpack_plan

_ZERO, _ONE, _11 = np.float32(0), np.float32(1), np.uint64(11)
EPS = np.float32(1e-8)  # Adam's


class Numbers(NamedTuple):
    """The hyperparameters that an update reads."""

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


def numbers_of(config: Config) -> np.ndarray:
    """A run's Numbers as float64[11]."""
    numbers = Numbers(
        learning_rate=config.learning_rate,
        beta1=config.adam_betas[0],
        beta2=config.adam_betas[1],
        max_grad_norm=np.inf if config.max_grad_norm is None else config.max_grad_norm,
        reward_scale=np.float32(config.reward_scale),
        tau=np.float32(config.tau),
        target_update_freq=config.target_update_freq,
        huber=config.loss == "huber",
        double_dqn=config.double_dqn,
        separate_target=config.separate_target,
        mirror_rows=config.batch_size // 2 if config.mirrors else 0,
    )
    return np.array(numbers, np.float64)


@inlined
def unpack_numbers(numbers):
    """The Numbers that float64[11] holds."""
    return Numbers(
        numbers[0],
        numbers[1],
        numbers[2],
        numbers[3],
        np.float32(numbers[4]),
        np.float32(numbers[5]),
        np.int64(numbers[6]),
        numbers[7] != 0,
        numbers[8] != 0,
        numbers[9] != 0,
        np.int64(numbers[10]),
    )


@inlined
def adam(p, g, m, v, step_size, beta1, beta2, root, eps):
    """Adam (Kingma and Ba 2015) for one number or lanes of them, moments below NEGLIGIBLE become 0: (p, m, v)."""
    m = m + (_ONE - beta1) * (g - m)
    v = beta2 * v + (_ONE - beta2) * g * g
    m, v = where((m < NEGLIGIBLE) & (m > -NEGLIGIBLE), _ZERO, m), where(v < NEGLIGIBLE, _ZERO, v)
    return p - step_size * m / (square_root(v) * root + eps), m, v


@part
def adam_step(flat, gradient, exp_avg, exp_avg_sq, numbers, scale, count):
    """One step of Adam with the gradient times `scale`."""
    beta1, beta2 = np.float32(numbers.beta1), np.float32(numbers.beta2)
    step_size = np.float32(numbers.learning_rate / (1 - numbers.beta1**count))
    root = np.float32(1 / (1 - numbers.beta2**count) ** 0.5)
    whole = len(flat) - len(flat) % LANES
    for i in range(0, whole, LANES):
        g = load16(gradient, i) * scale
        p, m, v = adam(
            load16(flat, i), g, load16(exp_avg, i), load16(exp_avg_sq, i), step_size, beta1, beta2, root, EPS
        )
        store16(gradient, i, g)
        store16(flat, i, p)
        store16(exp_avg, i, m)
        store16(exp_avg_sq, i, v)
    for i in range(whole, len(flat)):
        gradient[i] *= scale
        flat[i], exp_avg[i], exp_avg_sq[i] = adam(
            flat[i], gradient[i], exp_avg[i], exp_avg_sq[i], step_size, beta1, beta2, root, EPS
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
def read_row(memory, plan, ring, slot, row, mirrored, at):
    """Copy one stored observation into row `row` of the matrix at `at`, seen in a mirror if `mirrored`."""
    to = at + row * plan.widths[0]
    for i in range(plan.sizes[0]):
        memory[to + i] = ring[slot, i]
    if mirrored:
        for i in (0, 2, 4, 5):
            memory[to + i] = -memory[to + i]
        memory[to + 6], memory[to + 7] = memory[to + 7], memory[to + 6]


@inlined
def mirrored_action(action):
    """The side engines change places."""
    return 4 - action if action == 1 or action == 3 else action


class Rows(NamedTuple):
    """What a batch holds beside its observations: int64[B], float32[B], float32[B] (gamma**k, 0 where terminated)."""

    action: np.ndarray
    reward: np.ndarray
    discount: np.ndarray


@part
def td_gradient(memory, plan, gradient, numbers, batch):
    """The gradient of the loss of the temporal differences, for the observations in the plan; the loss."""
    rows, layers, actions = len(batch.action), len(plan.first), plan.sizes[-1]
    values, others, future = plan.inputs[layers], plan.others[layers], plan.target_values[0]
    width = plan.widths[layers]
    if numbers.double_dqn or not numbers.separate_target:
        forward_pass(memory, plan, plan.forward, plan.bias, plan.others, others, rows)
    if numbers.separate_target:
        forward_pass(memory, plan, plan.target_forward, plan.target_bias, plan.others, future, rows)
    else:
        future = others
    chooser = others if numbers.double_dqn else future
    forward_pass(memory, plan, plan.forward, plan.bias, plan.inputs, values, rows)
    loss, grads = np.float64(0), plan.grads[layers]
    for row in range(rows):
        at, action = row * width, batch.action[row]
        best = best_action(memory, chooser + at, actions)
        wanted = batch.reward[row] * numbers.reward_scale + batch.discount[row] * memory[future + at + best]
        error = memory[values + at + action] - wanted
        for n in range(0, width, LANES):
            store16(memory, grads + at + n, fill16(_ZERO))
        if numbers.huber:
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
def one_update(memory, plan, vectors, numbers, ring, stored, state, batch, count):
    """Sample, and make one gradient step; the loss. `count`: this update's number, from 1."""
    flat, gradient, exp_avg, exp_avg_sq, target = vectors
    packed = plan.target_forward[0] - plan.forward[0]
    for row in range(len(batch.action)):
        slot = next_below(state, stored)
        mirrored = row < numbers.mirror_rows
        read_row(memory, plan, ring.obs, slot, row, mirrored, plan.inputs[0])
        read_row(memory, plan, ring.next_obs, slot, row, mirrored, plan.others[0])
        batch.action[row] = mirrored_action(ring.action[slot]) if mirrored else ring.action[slot]
        batch.reward[row], batch.discount[row] = ring.reward[slot], ring.discount[slot]
    pack_plain(memory, plan, flat)
    loss = td_gradient(memory, plan, gradient, numbers, batch)
    adam_step(flat, gradient, exp_avg, exp_avg_sq, numbers, clip_scale(gradient, numbers.max_grad_norm), count)
    pack_transposed(memory, plan, flat, plan.forward, plan.bias)
    if numbers.separate_target and count % numbers.target_update_freq == 0:
        mix(target, 0, flat, 0, len(flat), numbers.tau)
        mix(memory, plan.target_forward[0], memory, plan.forward[0], packed, numbers.tau)
    return loss


class Ring(NamedTuple):
    """The arrays of a ReplayBuffer of transitions: float32[maxlen, obs_size], int64[maxlen], float32[maxlen] ..."""

    obs: np.ndarray
    action: np.ndarray
    reward: np.ndarray
    next_obs: np.ndarray
    discount: np.ndarray


# Words of a job, float64[4]: the updates made before, those to make, the transitions stored; the last one's loss.
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
    numbers,
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

    table, numbers: of make_plan and numbers_of. flat, gradient, exp_avg, exp_avg_sq, target: float32[P]. obs and those
    after it: the ring. state: uint64[4], the sampling's random stream. batch_...: room for a batch's Rows.
    """
    vectors = (flat, gradient, exp_avg, exp_avg_sq, target)
    ring, batch = Ring(obs, action, reward, next_obs, discount), Rows(batch_action, batch_reward, batch_discount)
    plan, settings = unpack_plan(table), unpack_numbers(numbers)
    made, stored = np.int64(job[MADE]), np.int64(job[STORED])
    for k in range(np.int64(job[TO_MAKE])):
        job[LOSS] = one_update(memory, plan, vectors, settings, ring, stored, state, batch, made + k + 1)


serve_updates = serving(make_updates)
"""`make_updates` as the kernel of a thread (`KernelThreads`)."""


@uncounted_kernel
def batch_gradient(memory, table, numbers, flat, gradient, obs, action, reward, next_obs, discount):
    """The gradient by one batch, float32[B, obs_size] and so on, of a network that is its own target; the loss."""
    plan, settings = unpack_plan(table), unpack_numbers(numbers)
    pack_transposed(memory, plan, flat, plan.forward, plan.bias)
    pack_plain(memory, plan, flat)
    for row in range(len(action)):
        read_row(memory, plan, obs, row, row, False, plan.inputs[0])
        read_row(memory, plan, next_obs, row, row, False, plan.others[0])
    return td_gradient(memory, plan, gradient, settings, Rows(action, reward, discount))
