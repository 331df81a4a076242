"""`CpuLearner`: the memory around the fused kernels, sharing the parameters of a QNetwork and its optimizer."""

import numpy as np
import torch

from fastlander.config import Config
from fastlander.experience.replay_buffer import ReplayBuffer
from fastlander.kernels.threads import LONG, KernelThreads, run_here
from fastlander.kernels.xoshiro import kernel_state
from fastlander.learner.flat_adam import FlatAdam
from fastlander.learner.fused.plan import make_memory, make_plan
from fastlander.learner.fused.policy import FusedPolicy, pack
from fastlander.learner.fused.update import LOSS, TO_MAKE, batch_gradient, numbers_of, serve_updates
from fastlander.learner.q_network import QNetwork


class CpuLearner:
    """Acts and learns for a `DQN` whose network is on the CPU, as its torch form does but for rounding.

    Args:
        config: hyperparameters.
        q_network: the online network; its `flat` is learned in place.
        optimizer: whose moments are used, and whose steps are counted.
        target: the target network's parameters, or `q_network.flat` itself.
        exploration: random stream of the coins.
        processors: that may be used; with more than one, `begin` learns in the background.
    """

    def __init__(
        self,
        config: Config,
        q_network: QNetwork,
        optimizer: FlatAdam,
        target: torch.Tensor,
        exploration: np.random.SeedSequence,
        processors: int,
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
        self.exploration = kernel_state(exploration)
        """uint64[4]: the stream that coins are drawn from."""
        self._processors = processors
        self.loss = torch.zeros(())
        """Loss of the last update."""
        self._loss = self.loss.numpy()
        self._policy = FusedPolicy(self._sizes)
        self._job = np.zeros(4)
        self._served: ReplayBuffer | None = None  # what the thread behind `begin` samples from
        self._act_versions, self._versions = [], []

    def learn(self, buffer: ReplayBuffer, done: int, updates: int) -> None:
        """`updates` updates after `done` on fresh samples of the buffer."""
        self._prepare(buffer, done, updates)
        run_here(serve_updates, *self._arguments(buffer))
        self._conclude(updates)

    def begin(self, buffer: ReplayBuffer, done: int, updates: int) -> bool:
        """Begin `learn` in the background; whether there is a processor for it, else nothing is begun.

        Until `finish`, `act` goes by the parameters as they are now, and nothing else may touch them or the buffer.
        """
        if self._processors < 2:
            return False
        if self._served is not buffer:
            self.close()
            self._threads, self._served = KernelThreads(serve_updates, [self._arguments(buffer)], LONG), buffer
        versions = self._prepare(buffer, done, updates)
        self._load_policy(versions)
        self._threads.start()
        return True

    def finish(self) -> None:
        """Come back when what was begun is done."""
        self._threads.wait()
        self._conclude(int(self._job[TO_MAKE]))

    def close(self) -> None:
        """End the thread behind `begin`, if there is one."""
        if self._served is not None:
            self._threads.close()
            self._served = None

    def _prepare(self, buffer: ReplayBuffer, done: int, updates: int) -> list[int]:
        versions = self._current()
        if versions != self._versions:
            pack(self._memory, self._table, self._vectors[0], self._vectors[4])
            self._versions = versions
        self._numbers[0] = self._optimizer.param_groups[0]["lr"]
        self._job[:] = done, updates, len(buffer), 0
        return versions

    def _arguments(self, buffer: ReplayBuffer) -> tuple[np.ndarray, ...]:
        """Of `serve_updates`."""
        ring = (*buffer.arrays.values(), buffer.random_state)
        return self._job, self._memory, self._table, *self._vectors, self._numbers, *ring, *self._batch

    def _conclude(self, updates: int) -> None:
        self._optimizer.count_steps(updates)
        self._loss[...] = self._job[LOSS]
        self._act_versions = []

    def act(self, obs: np.ndarray, epsilon: np.ndarray) -> np.ndarray:
        """Epsilon-greedy actions: float32[N, obs_size], float64[N] -> int64[N]."""
        self._load_policy(self._current())
        return self._policy.act(obs, epsilon, self.exploration)

    def _load_policy(self, versions: list[int]) -> None:
        """Have `act` go by the parameters as they are now, of these versions."""
        if versions == self._act_versions:
            return
        if versions == self._versions:
            self._policy.load_packed(self._memory)
        else:
            self._policy.load(self._vectors[0])
        self._act_versions = versions

    def _current(self) -> list[int]:
        """torch's count of in-place changes of the parameters: ours, which torch does not see, are known anyway."""
        return [tensor._version for tensor in self._tensors]


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
