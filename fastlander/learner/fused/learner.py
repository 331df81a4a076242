"""`FusedLearner`: the memory around the fused kernels. A QNetwork and its optimizer may share the parameters."""

import operator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import fastlander.kernels.compile_notice  # noqa: F401 - kernels that compile say so
from fastlander.config import Config
from fastlander.experience.replay_buffer import ReplayBuffer
from fastlander.kernels.threads import LONG, KernelThreads, run_here
from fastlander.kernels.xoshiro import kernel_state
from fastlander.learner.fused.choose import choose, pack
from fastlander.learner.fused.chunks import chunks_of
from fastlander.learner.fused.plan import make_chunks, make_memory, make_plan
from fastlander.learner.fused.policy import FusedPolicy, kernel_observations
from fastlander.learner.fused.temporal_difference import Hyperparameters, pack_hyperparameters
from fastlander.learner.fused.update import LOSS, TO_MAKE, serve_updates
from fastlander.learner.parameters import Vectors

if TYPE_CHECKING:
    import torch

    from fastlander.learner.flat_adam import FlatAdam
    from fastlander.learner.q_network import QNetwork

_VERSION = operator.attrgetter("_version")


class Lent(NamedTuple):
    """What `FusedLearner.lend` gives, as `fastlander.training.fused_loop` takes it."""

    act: tuple[Any, ...]
    learn: tuple[Any, ...]


class FusedLearner:
    """The `Learner` in fused kernels: acts and learns as `TorchLearner` does, but for rounding.

    Args:
        config: hyperparameters.
        sizes: numbers per observation, widths of the hidden layers, number of actions.
        vectors: parameters, moments and steps, which are changed in place.
        exploration: random stream of the coins.
        processors: how many may be used; with more than one, `begin` learns in the background.
    """

    def __init__(
        self,
        config: Config,
        sizes: tuple[int, ...],
        vectors: Vectors,
        exploration: np.random.SeedSequence,
        processors: int,
    ) -> None:
        self._sizes, self._processors = sizes, processors
        *self._vectors, self._steps = vectors
        self._rate = config.learning_rate
        self._optimizer: FlatAdam | None = None
        self._tensors: tuple[torch.Tensor, ...] = ()  # of torch, in the memory of the vectors
        self._hyperparameters = hyperparameters_of(config)
        # Room for a batch, and for the observations of a run's environments.
        self._rows = max(config.batch_size, config.num_envs)
        self._table, size = make_plan(sizes, self._rows)
        rows, gradient = config.batch_size, vectors.gradient
        count = chunks_of(rows)
        tables, size = make_chunks(sizes, self._table, size, rows, count)
        self._memory = make_memory(size)
        self._batch = np.zeros(rows, np.int64), np.zeros(rows, np.float32), np.zeros(rows, np.float32)
        gradients = gradient[None] if count == 1 else np.zeros((count, len(gradient)), np.float32)
        self._chunks = tables, gradients, np.zeros(count), np.zeros(rows, np.int64)
        self.exploration = kernel_state(exploration)
        """uint64[4]: the stream that coins are drawn from."""
        self.loss = np.zeros((), np.float32)
        """Loss of the last update."""
        self._job = np.zeros(4)
        self._here = np.zeros(4, np.int64)  # a signal for work that is done in the caller's thread
        self._threads: KernelThreads | None = None
        self._served: ReplayBuffer | None = None  # what the threads sample from
        self._learning = False  # between `begin` and `finish`
        self._packed: list[int] = []  # version of the parameters that lie packed in the memory
        self._policy = FusedPolicy(sizes)  # for more observations than the memory has room for
        self._copied: list[int] = []  # version of the parameters in it

    def share(self, q_network: "QNetwork", optimizer: "FlatAdam", target: "torch.Tensor") -> None:
        """Look from now on at what torch changes in the memory of the vectors, and at the optimizer's step size."""
        optimizer.set_learning_rate(self._rate)
        self._optimizer, self._tensors = optimizer, (q_network.flat, target, *q_network.parameters())

    def serves(self, q_network: "QNetwork", optimizer: "FlatAdam") -> bool:
        """Whether these still have the memory that the kernels share (`QNetwork.to` gives a network another one)."""
        return q_network.flat is self._tensors[0] and optimizer.vectors is not None

    @property
    def learning_rate(self) -> float:
        """Adam's step size."""
        return self._rate if self._optimizer is None else float(self._optimizer.param_groups[0]["lr"])

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self._rate = value
        if self._optimizer is not None:
            self._optimizer.set_learning_rate(value)

    def look_again(self) -> None:
        """Note that the vectors were changed by somebody whom nothing tells of."""
        self._packed = []

    def act(self, obs: np.ndarray, epsilon: np.ndarray) -> np.ndarray:
        """Epsilon-greedy actions: float32[N, obs_size], float64[N] -> int64[N]."""
        if self._learning:
            raise RuntimeError("act must be called before learning begins or after it ends")
        obs = kernel_observations(obs, self._sizes[0])
        self._refresh()
        if len(obs) > self._rows:
            return self._current_policy().act(obs, epsilon, self.exploration)
        actions = np.empty(len(obs), np.int64)
        choose(self._memory, self._table, obs, epsilon, self.exploration, actions)
        return actions

    def learn(self, buffer: ReplayBuffer, made: int, updates: int) -> None:
        """Make `updates` gradient steps after the `made` of before, each on a fresh sample of the buffer."""
        self._prepare(buffer, made, updates)
        run_here(serve_updates, *self._arguments(buffer))
        self._conclude(updates)

    def begin(self, buffer: ReplayBuffer, made: int, updates: int) -> None:
        """Begin `learn` in a thread; with a single processor, do it now."""
        if self._learning:
            raise RuntimeError("learning has begun already: it must end before it begins again")
        self._learning = True
        if self._processors < 2:
            self.learn(buffer, made, updates)
            return
        self._serve(buffer)
        self._prepare(buffer, made, updates)
        self._threads.start()

    def finish(self) -> None:
        """Return when what was begun is done."""
        if self._processors > 1:
            self._threads.wait()
            self._conclude(int(self._job[TO_MAKE]))
        self._learning = False

    def lend(self, buffer: ReplayBuffer) -> "Lent":
        """What a kernel needs that acts and learns in this object's place until `take_back`."""
        if self._learning:
            raise RuntimeError("act must be called before learning begins or after it ends")
        self._refresh()
        self._learning, threaded = True, self._processors > 1
        if threaded:
            self._serve(buffer)
        signal = self._threads.lend()[0] if threaded else self._here
        act = self._memory, self._table, self.exploration
        return Lent(act, (threaded, signal, self._here, self._arguments(buffer)))

    def wake(self) -> None:
        """Wake the thread that a kernel asked for updates while it slept."""
        self._threads.wake(0)

    def take_back(self, updates: int) -> None:
        """Go on where a kernel has made so many updates."""
        if self._threads is not None:
            self._threads.wait()
        self._learning = False
        if updates:
            self._conclude(updates)

    def close(self) -> None:
        """End the thread behind `begin`, if there is one."""
        if self._threads is not None:
            self._threads.close()
            self._threads = self._served = None

    def _serve(self, buffer: ReplayBuffer) -> None:
        """Have a thread that learns from `buffer`."""
        if self._served is not buffer:
            self.close()
            self._threads = KernelThreads(serve_updates, [self._arguments(buffer)], LONG)
            self._served = buffer

    def _refresh(self) -> None:
        """Pack the parameters anew if something else than these kernels has changed them."""
        version = self._version()
        if version != self._packed:
            pack(self._memory, self._table, self._vectors[0], self._vectors[4])
            self._packed = version

    def _version(self) -> list[int]:
        """torch's counts of its in-place changes, and the count of the steps that kernels have made."""
        return [int(self._steps[0]), *map(_VERSION, self._tensors)]

    def _prepare(self, buffer: ReplayBuffer, made: int, updates: int) -> None:
        self._refresh()
        self._hyperparameters[0] = self.learning_rate
        self._job[:] = made, updates, len(buffer), 0

    def _arguments(self, buffer: ReplayBuffer) -> tuple[Any, ...]:
        """Of `serve_updates`."""
        shared = self._memory, self._hyperparameters, tuple(buffer.arrays.values()), self._batch, self._chunks
        return self._job, self._table, *self._vectors, buffer.random_state, shared

    def _conclude(self, updates: int) -> None:
        self._steps += updates
        # The kernels pack what they have learned, and torch does not count that as a change of its tensors.
        self._packed = [int(self._steps[0]), *self._packed[1:]]
        self.loss[...] = self._job[LOSS]

    def _current_policy(self) -> FusedPolicy:
        """The policy of the parameters as they are now."""
        if self._copied != self._packed:
            self._policy.load_packed(self._memory)
            self._copied = self._packed
        return self._policy


def hyperparameters_of(config: Config) -> np.ndarray:
    """A run's Hyperparameters as float64[11]."""
    return pack_hyperparameters(
        Hyperparameters(
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
    )
