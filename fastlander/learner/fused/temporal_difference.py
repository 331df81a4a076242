"""The gradient of the temporal differences' loss as a part of kernels, and the settings that an update reads."""

from typing import NamedTuple

import numpy as np

from fastlander.kernels.jit import inlined, part
from fastlander.kernels.simd_memory import fill16, store16
from fastlander.lander.symmetry import MIRROR_ACTIONS, MIRROR_ORDER, MIRROR_SIGNS
from fastlander.learner.fused.matmul import LANES
from fastlander.learner.fused.passes import backward_pass, best_action, forward_pass

_ZERO, _ONE = np.float32(0), np.float32(1)


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


_SIGNS, _ORDER = np.array(MIRROR_SIGNS, np.float32), np.array(MIRROR_ORDER)
MIRRORED = np.array(MIRROR_ACTIONS)
"""For each action the one that it is with left and right exchanged."""


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
def td_gradient(memory, plan, gradient, hyper, batch, total):
    """What the rows that the plan holds add to the gradient and to the loss, which are means over `total` rows.

    The loss is given as a sum.
    """
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
        memory[grads + at + action] = slope / np.float32(total)
    backward_pass(memory, plan, gradient, rows)
    return loss
