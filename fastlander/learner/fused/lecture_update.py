"""The lecture's agent as kernels: it acts on one observation, and learns by the mean squared error and Adam.

Its one network is its own target.
"""

import numpy as np

from fastlander.kernels.jit import inlined, uncounted_kernel
from fastlander.kernels.simd import lane_sum, multiply_add
from fastlander.kernels.simd_memory import fill16, load1, load16
from fastlander.kernels.xoshiro import next_below
from fastlander.learner.fused.matmul import LANES
from fastlander.learner.fused.passes import best_action
from fastlander.learner.fused.plan import pack_plain, pack_transposed, unpack_plan
from fastlander.learner.fused.temporal_difference import (
    Hyperparameters,
    Rows,
    read_row,
    td_gradient,
    unpack_hyperparameters,
)
from fastlander.learner.fused.update import adam_step

_ZERO, _ONE = np.float32(0), np.float32(1)

PLAIN_MSE = Hyperparameters(
    learning_rate=0.0,
    beta1=0.0,
    beta2=0.0,
    max_grad_norm=np.inf,
    reward_scale=np.float32(1),
    tau=np.float32(1),
    target_update_freq=1,
    huber=False,
    double_dqn=False,
    separate_target=False,
    mirror_rows=0,
)
"""The mean squared error of a network that is its own target; Adam's part is not used."""


@inlined
def mse_gradient(memory, table, hyperparameters, flat, gradient, obs, action, reward, next_obs, discount):
    """The gradient by one batch, float32[B, obs_size] and so on, of a network that is its own target; the loss."""
    plan, hyper = unpack_plan(table), unpack_hyperparameters(hyperparameters)
    pack_transposed(memory, plan, flat, plan.forward, plan.bias)
    pack_plain(memory, plan, flat)
    for row in range(len(action)):
        read_row(memory, plan, obs, row, row, False, plan.inputs[0])
        read_row(memory, plan, next_obs, row, row, False, plan.others[0])
    rows = len(action)
    return td_gradient(memory, plan, gradient, hyper, Rows(action, reward, discount), rows) / rows


@uncounted_kernel
def batch_gradient(memory, table, hyperparameters, flat, gradient, obs, action, reward, next_obs, discount):
    """`mse_gradient` as a kernel."""
    return mse_gradient(memory, table, hyperparameters, flat, gradient, obs, action, reward, next_obs, discount)


@uncounted_kernel
def lecture_update(
    memory,
    table,
    hyperparameters,
    flat,
    gradient,
    exp_avg,
    exp_avg_sq,
    step_size,
    beta1,
    beta2,
    root,
    eps,
    random_state,
    first,
    stored,
    gamma,
    states,
    actions,
    rewards,
    next_states,
    terminations,
    batch_states,
    batch_actions,
    batch_rewards,
    batch_next_states,
    batch_terminations,
    discount,
):
    """Sample a batch of B experiences, and make one step of Adam by its gradient; the loss.

    flat, gradient, exp_avg, exp_avg_sq: float32[P]. step_size, beta1, beta2, root, eps: of `flat_adam_step`. Rows are
    drawn with replacement from `stored` slots of the ring, from slot `first` on, as `sample_rows` draws them. states,
    next_states: float32[maxlen, obs_size]; actions: int64[maxlen]; rewards: float64[maxlen]; terminations:
    bool[maxlen]. What is drawn is left in batch_...: the same with B rows, and float32 rewards. discount: float32[B],
    room for gamma, or 0 where an episode terminated.
    """
    maxlen = len(actions)
    for row in range(len(batch_actions)):
        slot = (first + next_below(random_state, stored)) % maxlen
        for i in range(states.shape[1]):
            batch_states[row, i] = states[slot, i]
            batch_next_states[row, i] = next_states[slot, i]
        batch_actions[row], batch_terminations[row] = actions[slot], terminations[slot]
        batch_rewards[row] = np.float32(rewards[slot])
        discount[row] = _ZERO if terminations[slot] else gamma
    batch = batch_states, batch_actions, batch_rewards, batch_next_states, discount
    loss = mse_gradient(memory, table, hyperparameters, flat, gradient, *batch)
    adam_step(flat, gradient, exp_avg, exp_avg_sq, _ONE, step_size, beta1, beta2, root, eps)
    return loss


@inlined
def dot(a, a_from, b, b_from, count):
    """The inner product of a[a_from:] and b[b_from:], `count` numbers."""
    whole = count - count % LANES
    sums, rest = fill16(_ZERO), _ZERO
    for i in range(0, whole, LANES):
        sums = multiply_add(load16(a, a_from + i), load16(b, b_from + i), sums)
    for i in range(whole, count):
        rest += load1(a, a_from + i) * load1(b, b_from + i)
    return lane_sum(sums) + rest


@uncounted_kernel
def greedy_one(flat, sizes, values, obs):
    """The action of the highest value for one observation, float32[obs_size].

    flat: float32[P], parameters as they lie in a QNetwork. sizes: int64[L + 1], of the network. values: float32[2 W],
    room for two layers, W at least as large as any size.
    """
    width, at, last = len(values) // 2, 0, len(sizes) - 1
    for i in range(sizes[0]):
        values[i] = obs[i]
    for layer in range(last):
        source, target = layer % 2 * width, (1 - layer % 2) * width
        size_in, size_out = sizes[layer], sizes[layer + 1]
        for j in range(size_out):
            value = dot(flat, at + j * size_in, values, source, size_in) + flat[at + size_out * size_in + j]
            values[target + j] = max(value, _ZERO) if layer < last - 1 else value
        at += size_out * (size_in + 1)
    return best_action(values, last % 2 * width, sizes[last])
