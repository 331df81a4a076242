"""The choice of actions as a kernel, and `FusedPolicy`, which owns the memory for it."""

from typing import TYPE_CHECKING, Self

import numpy as np

from fastlander.kernels.arrays import kernel_array
from fastlander.learner.fused.choose import choose, pack
from fastlander.learner.fused.plan import Plan, make_memory, make_plan
from fastlander.learner.parameters import Parameters, as_array
from fastlander.validation import InputError

if TYPE_CHECKING:
    from fastlander.learner.q_network import QNetwork


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
    def of(cls, network: "Parameters | QNetwork") -> Self:
        """The policy of a network on the CPU as it is now."""
        policy = cls(network.sizes)
        policy.load(as_array(network.flat))
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
        self._make_room(rows)
        actions = np.empty(rows, np.int64)
        choose(self._memory, self._table, obs, epsilon, state, actions)
        return actions

    def greedy(self, obs: np.ndarray) -> np.ndarray:
        """float32[N, obs_size] -> int64[N]."""
        return self.act(obs, np.zeros(len(obs)), self._no_coins)

    def lend(self, rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What `choose` takes for up to so many observations: memory, plan, and a stream that no coin is drawn from."""
        self._make_room(rows)
        return self._memory, self._table, self._no_coins

    def _make_room(self, rows: int) -> None:
        if rows > self._rows:
            before = self._memory
            self._fit(rows)
            self.load_packed(before)

    def _fit(self, rows: int) -> None:
        self._table, size = make_plan(self._sizes, rows)
        self._memory, self._rows = make_memory(size), rows
