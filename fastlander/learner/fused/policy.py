"""The choice of actions as a kernel, and `FusedPolicy`, which owns the memory for it."""

from typing import Self

import numpy as np

from fastlander.kernels.arrays import kernel_array
from fastlander.kernels.jit import uncounted_kernel
from fastlander.kernels.xoshiro import next_below, next_uint64
from fastlander.learner.fused.passes import best_action, forward_pass
from fastlander.learner.fused.plan import Plan, make_memory, make_plan, pack_transposed, unpack_plan
from fastlander.learner.q_network import QNetwork
from fastlander.validation import InputError

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


def kernel_observations(obs: np.ndarray, width: int) -> np.ndarray:
    """Observations as the kernels read them, float32[N, width]. ValueError if they have another shape.

    The kernels check nothing: they would read beyond an observation that is too short.
    """
    if obs.ndim != 2 or obs.shape[1] != width:
        raise InputError(f"observations must be float32[N, {width}], got {obs.dtype}{list(obs.shape)}")
    return kernel_array(obs, np.float32)


class FusedPolicy:
    """Epsilon-greedy actions of one network after another, all of the same sizes.

    Args:
        sizes: numbers per observation, widths of the hidden layers, number of actions.
    """

    def __init__(self, sizes: tuple[int, ...]) -> None:
        self._sizes, self._no_coins = sizes, np.zeros(4, np.uint64)
        self._fit(1)
        # In every plan for these sizes, what a forward pass reads comes first: the weights, then the biases.
        self._packed = int(Plan(*self._table).target_forward[0])

    @classmethod
    def of(cls, q_network: QNetwork) -> Self:
        """The policy of a network on the CPU as it is now."""
        policy = cls(q_network.sizes)
        policy.load(q_network.flat.numpy())
        return policy

    def load(self, flat: np.ndarray) -> None:
        """Act by these parameters, float32[P] as `QNetwork.flat`, from now on. They are copied."""
        pack(self._memory, self._table, flat, flat)

    def load_packed(self, memory: np.ndarray) -> None:
        """`load`, of parameters that are packed in the memory of another plan for the same sizes."""
        self._memory[: self._packed] = memory[: self._packed]

    def act(self, obs: np.ndarray, epsilon: np.ndarray, state: np.ndarray) -> np.ndarray:
        """float32[N, obs_size], float64[N], uint64[4] (random stream of the coins) -> int64[N]."""
        obs, rows = kernel_observations(obs, self._sizes[0]), len(obs)
        if rows > self._rows:
            before = self._memory
            self._fit(rows)
            self.load_packed(before)
        actions = np.empty(rows, np.int64)
        choose(self._memory, self._table, obs, epsilon, state, actions)
        return actions

    def greedy(self, obs: np.ndarray) -> np.ndarray:
        """float32[N, obs_size] -> int64[N]."""
        return self.act(obs, np.zeros(len(obs)), self._no_coins)

    def _fit(self, rows: int) -> None:
        self._table, size = make_plan(self._sizes, rows)
        self._memory, self._rows = make_memory(size), rows
