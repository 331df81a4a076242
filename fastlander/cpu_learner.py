"""`CpuLearner`: the memory around the fused kernels, sharing the parameters of a QNetwork and its optimizer."""

import numpy as np
import torch

from fastlander.config import Config
from fastlander.flat_adam import FlatAdam
from fastlander.fused import batch_gradient, choose, learn, numbers_of, pack
from fastlander.network_plan import make_memory, make_plan
from fastlander.q_network import QNetwork
from fastlander.replay_buffer import ReplayBuffer
from fastlander.rng import kernel_state


class CpuLearner:
    """Acts and learns for a `DQN` whose network is on the CPU, as its torch form does but for rounding.

    Args:
        config: hyperparameters.
        q_network: the online network; its `flat` is learned in place.
        optimizer: whose moments are used, and whose steps are counted.
        target: the target network's parameters, or `q_network.flat` itself.
        exploration: random stream of the coins.
    """

    def __init__(
        self,
        config: Config,
        q_network: QNetwork,
        optimizer: FlatAdam,
        target: torch.Tensor,
        exploration: np.random.SeedSequence,
    ) -> None:
        self._sizes = q_network.sizes
        self._tensors = (q_network.flat, target, *q_network.parameters())
        self._vectors = [*optimizer.vectors, target.numpy()]
        self._optimizer = optimizer
        self._numbers = numbers_of(config)
        self._table, size = make_plan(self._sizes, config.batch_size)
        self._memory = make_memory(size)
        rows = config.batch_size
        self._batch = np.zeros(rows, np.int64), np.zeros(rows, np.float32), np.zeros(rows, np.float32)
        self._exploration = kernel_state(exploration)
        self.loss = torch.zeros(())
        """Loss of the last update."""
        self._loss = self.loss.numpy()
        self._act_rows, self._act_versions, self._versions = 0, (), ()

    def learn(self, buffer: ReplayBuffer, done: int, updates: int) -> None:
        """`updates` updates after `done` on fresh samples of the buffer."""
        versions = self._current()
        if versions != self._versions:
            pack(self._memory, self._table, self._vectors[0], self._vectors[4])
            self._versions = versions
        self._loss[...] = learn(
            self._memory,
            self._table,
            *self._vectors,
            self._numbers,
            *buffer.arrays.values(),
            len(buffer),
            buffer.random_state,
            *self._batch,
            done,
            updates,
        )
        self._optimizer.count_steps(updates)
        self._act_versions = ()

    def act(self, obs: np.ndarray, epsilon: np.ndarray) -> np.ndarray:
        """Epsilon-greedy actions: float32[N, obs_size], float64[N] -> int64[N]."""
        rows = len(obs)
        if rows > self._act_rows:
            self._act_table, size = make_plan(self._sizes, rows)
            self._act_memory, self._act_rows, self._act_versions = make_memory(size), rows, ()
        versions = self._current()
        if versions != self._act_versions:
            pack(self._act_memory, self._act_table, self._vectors[0], self._vectors[4])
            self._act_versions = versions
        actions = np.empty(rows, np.int64)
        choose(self._act_memory, self._act_table, obs, epsilon, self._exploration, actions)
        return actions

    def _current(self) -> tuple[int, ...]:
        """torch's count of in-place changes of the parameters: ours, which torch does not see, are known anyway."""
        return tuple(tensor._version for tensor in self._tensors)


class BatchGradient:
    """The mean squared error's gradient by a batch, for a QNetwork that is its own target, as the lecture has it.

    Args:
        q_network: on the CPU; its `flat_grad` is written.
        rows: of a batch.
    """

    def __init__(self, q_network: QNetwork, rows: int) -> None:
        self.q_network, self.rows, self._flat = q_network, rows, q_network.flat
        self._arrays = q_network.flat.numpy(), q_network.flat_grad.numpy()
        self._table, size = make_plan(q_network.sizes, rows)
        self._memory = make_memory(size)
        self._numbers = numbers_of(Config.preset("lecture", batch_size=rows, buffer_size=max(rows, 5_000)))

    def serves(self, q_network: QNetwork, rows: int) -> bool:
        """Whether this is for that network, with the parameters it has now, and so many rows."""
        return q_network is self.q_network and q_network.flat is self._flat and rows == self.rows

    def write(self, *batch: np.ndarray) -> None:
        """obs, action, reward, next_obs, discount: the gradient into `flat_grad`, and to every parameter."""
        batch_gradient(self._memory, self._table, self._numbers, *self._arrays, *batch)
        self.q_network.show_gradients()
