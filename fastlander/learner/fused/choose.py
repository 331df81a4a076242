"""The choice of actions as a kernel, and the packing of parameters for it."""

import numpy as np
from numba import types

from fastlander.kernels.array_types import DOUBLES, FLOATS, ROWS, STREAM, WORDS, array_of
from fastlander.kernels.jit import uncounted_kernel
from fastlander.kernels.xoshiro import next_below, next_uint64
from fastlander.learner.fused.passes import best_action, forward_pass
from fastlander.learner.fused.plan import pack_transposed, unpack_plan

_11 = np.uint64(11)


@uncounted_kernel
def pack(memory, table, flat, target):
    """Copy parameters, float32[P], to where the kernels read them."""
    plan = unpack_plan(table)
    pack_transposed(memory, plan, flat, plan.forward, plan.bias)
    pack_transposed(memory, plan, target, plan.target_forward, plan.target_bias)


@uncounted_kernel
def choose(memory, table, obs, epsilon, state, actions):
    """Epsilon-greedy actions, one coin per lander: float32[N, obs_size], float64[N] -> int64[N], into `actions`.

    The plan's batch has at least N rows; its forward weights are read. No coin is tossed where epsilon is 0.
    """
    plan = unpack_plan(table)
    rows, layers, count = len(obs), len(plan.first), plan.sizes[-1]
    for row in range(rows):
        for i in range(plan.sizes[0]):
            memory[plan.inputs[0] + row * plan.widths[0] + i] = obs[row, i]
    values = plan.inputs[layers]
    forward_pass(memory, plan, plan.forward, plan.bias, plan.inputs, values, rows)
    for row in range(rows):
        if epsilon[row] > 0 and np.float64(next_uint64(state) >> _11) * 2.0**-53 < epsilon[row]:
            actions[row] = next_below(state, count)
        else:
            actions[row] = best_action(memory, values + row * plan.widths[layers], count)


CHOOSE_ARGUMENTS = FLOATS, array_of(types.int64, 2), ROWS, DOUBLES, STREAM, WORDS
"""Numba's types of what `choose` is called with."""
