"""The memory around the kernels of `Agent`: the greedy action, the gradient for any optimizer, the whole update."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

import fastlander.kernels.compile_notice  # noqa: F401 - kernels that compile say so
from fastlander.experience.replay_buffer import ReplayBuffer
from fastlander.kernels.arrays import kernel_array
from fastlander.learner.flat_adam import FlatAdam
from fastlander.learner.fused.lecture_update import PLAIN_MSE, batch_gradient, greedy_one, lecture_update
from fastlander.learner.fused.plan import make_memory, make_plan
from fastlander.learner.fused.temporal_difference import pack_hyperparameters
from fastlander.learner.q_network import QNetwork
from fastlander.validation import InputError


class GreedyOne:
    """The greedy action for one observation at a time, by a QNetwork's parameters as they are at that moment.

    Args:
        q_network: on the CPU, float32.
    """

    def __init__(self, q_network: QNetwork) -> None:
        self._flat, sizes = q_network.flat, q_network.sizes
        self._shape = (sizes[0],)
        self._arguments = q_network.flat.numpy(), np.array(sizes), np.zeros(2 * max(sizes), np.float32)

    def serves(self, q_network: QNetwork) -> bool:
        """Whether this acts by the parameters that the network has now."""
        return q_network.flat is self._flat

    def act(self, obs: np.ndarray) -> int:
        """The action for float32[obs_size]. ValueError for another shape."""
        if obs.shape != self._shape:
            raise InputError(f"an observation must have shape {self._shape}, got {obs.shape}")
        return greedy_one(*self._arguments, kernel_array(obs, np.float32))


class BatchGradient:
    """The gradient of the lecture's loss: the mean squared error of a QNetwork that is its own target.

    Args:
        q_network: on the CPU; its `flat_grad` is written.
        rows: of a batch.
    """

    def __init__(self, q_network: QNetwork, rows: int) -> None:
        self.q_network, self.rows, self._flat = q_network, rows, q_network.flat
        self._arrays = q_network.flat.numpy(), q_network.flat_grad.numpy()
        self._table, size = make_plan(q_network.sizes, rows)
        self._memory = make_memory(size)
        self._hyperparameters = pack_hyperparameters(PLAIN_MSE)

    def serves(self, q_network: QNetwork, rows: int) -> bool:
        """Whether this is for that network, with the parameters it has now, and so many rows."""
        return q_network is self.q_network and q_network.flat is self._flat and rows == self.rows

    def write(self, *batch: np.ndarray) -> None:
        """Write the gradient by a batch (obs, action, reward, next_obs, discount) into `flat_grad` and every `grad`."""
        batch_gradient(self._memory, self._table, self._hyperparameters, *self._arrays, *batch)
        self.q_network.show_gradients()


class LectureUpdate:
    """The lecture's whole update in one kernel: sample, gradient and a step of Adam.

    Args:
        q_network: on the CPU, float32.
        optimizer: of that network.
        buffers: states float32[obs_size], actions int64, rewards float64, next states and terminations bool, which are
            appended to together. The stream of the first one is drawn from.
        rows: of a batch, B.
        gamma: discount of a step.
    """

    def __init__(
        self, q_network: QNetwork, optimizer: FlatAdam, buffers: Sequence[ReplayBuffer], rows: int, gamma: float
    ) -> None:
        self._parts = (q_network.flat, optimizer, *buffers)
        self._optimizer, self._first, self._rows = optimizer, buffers[0], rows
        table, size = make_plan(q_network.sizes, rows)
        rings = [buffer.arrays["item"] for buffer in buffers]
        types = (np.float32, np.int64, np.float32, np.float32, np.bool_)
        batch = [np.zeros((rows, *ring.shape[1:]), dtype) for ring, dtype in zip(rings, types, strict=True)]
        self.batch: list[Tensor] = [torch.from_numpy(part.reshape(rows, -1)) for part in batch]
        """The rows of the last update: states [B, obs_size], actions [B, 1], rewards [B, 1], next states and
        terminations [B, 1]. The next update overwrites them."""
        vectors = optimizer.vectors
        self._arguments = (make_memory(size), table, pack_hyperparameters(PLAIN_MSE), *vectors)
        self._arrays = (np.float32(gamma), *rings, *batch, np.zeros(rows, np.float32))

    @staticmethod
    def takes(buffers: Sequence[ReplayBuffer]) -> bool:
        """Whether the buffers hold what the kernel reads."""
        dtypes = (np.float32, np.int64, np.float64, np.float32, np.bool_)
        return all(
            type(buffer) is ReplayBuffer and list(buffer.arrays) == ["item"] and buffer.arrays["item"].dtype == dtype
            for buffer, dtype in zip(buffers, dtypes, strict=True)
        )

    def serves(
        self, q_network: QNetwork, optimizer: torch.optim.Optimizer, buffers: Sequence[ReplayBuffer], rows: int
    ) -> bool:
        """Whether this is for these very objects, with the parameters that the network has now, and so many rows."""
        now = (q_network.flat, optimizer, *buffers)
        return rows == self._rows and all(a is b for a, b in zip(now, self._parts, strict=True))

    def make(self, stored: int) -> None:
        """Make one update from the `stored` oldest experiences."""
        first = self._first
        numbers = self._optimizer.begin_step()
        lecture_update(*self._arguments, *numbers, first.random_state, first.oldest_slot, stored, *self._arrays)
