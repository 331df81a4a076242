"""`TorchLearner`: the update in torch operations, on any device; on CUDA captured once and launched as one graph."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from fastlander.config import Config
from fastlander.experience.replay_buffer import ReplayBuffer
from fastlander.experience.transition import Transition
from fastlander.learner.equations import LOSSES, clip_norm, td_target
from fastlander.learner.exploration import epsilon_greedy
from fastlander.learner.flat_adam import FlatAdam
from fastlander.learner.mirror import mirror_first
from fastlander.learner.q_network import QNetwork, forward_pass

Result = TypeVar("Result")
WARM_UPS = 3
"""Updates before one is captured as a graph; torch.cuda.graph asks for a few."""
MOST_GRAPHS = 4
"""Numbers of observations for which acting is captured: landers that train, landers that are judged."""
ALIGNMENT = 16
"""Bytes between the beginnings of two arrays of a batch are a multiple of this."""


class Staging:
    """Sends one batch after the other to the same memory of a GPU: its arrays lie side by side, so it is one copy.

    Args:
        batch: arrays of the sizes and types of every batch.
        device: to send them to.
    """

    def __init__(self, batch: Transition, device: torch.device) -> None:
        self._forms = [(array.shape, array.dtype) for array in batch]
        ends = np.cumsum([-(-array.nbytes // ALIGNMENT) * ALIGNMENT for array in batch]).tolist()
        # A copy from pinned memory goes on beside the caller; any other copy is waited for.
        self._host = torch.empty(ends[-1], dtype=torch.uint8, pin_memory=device.type == "cuda")
        self._device = torch.empty(ends[-1], dtype=torch.uint8, device=device)
        self._sent = torch.cuda.Event()
        self._arrays = [tensor.numpy() for tensor in self._cut(self._host, batch, [0, *ends])]
        self.tensors = self._cut(self._device, batch, [0, *ends])
        """Where the batch arrives, a tensor per array."""

    def takes(self, batch: Transition) -> bool:
        """Whether the batch has the sizes and types of the first one."""
        return [(array.shape, array.dtype) for array in batch] == self._forms

    def send(self, batch: Transition) -> None:
        """Copy a batch; its arrays may change at once."""
        self._sent.synchronize()  # the copy of the batch before has left the pinned memory
        for place, array in zip(self._arrays, batch, strict=True):
            place[...] = array
        self._device.copy_(self._host, non_blocking=True)
        self._sent.record()

    def _cut(self, memory: Tensor, batch: Transition, starts: list[int]) -> list[Tensor]:
        """Tensors as the arrays of the batch, one after the other in memory uint8[bytes]."""
        parts = zip(starts, batch, strict=False)
        like = [(start, array, torch.from_numpy(array).dtype) for start, array in parts]
        return [memory[s : s + a.nbytes].view(dtype).view(a.shape) for s, a, dtype in like]


class GraphedPolicy:
    """The greedy actions of a network on CUDA, for a fixed number of observations: one launch and one wait.

    Args:
        q_network: its parameters may change, but not their place in memory.
        count: observations.
    """

    @torch.no_grad()
    def __init__(self, q_network: QNetwork, count: int) -> None:
        self._obs = torch.zeros((count, q_network.sizes[0]), pin_memory=True)
        self._actions = torch.empty(count, dtype=torch.int64, pin_memory=True)
        self._graph = torch.cuda.CUDAGraph()

        def choose() -> None:
            obs = self._obs.to(q_network.flat.device, non_blocking=True)
            self._actions.copy_(forward_pass(q_network.layers(), obs)[-1].argmax(dim=1), non_blocking=True)

        _beside(choose)
        with torch.cuda.graph(self._graph):
            choose()

    def __call__(self, obs: np.ndarray) -> np.ndarray:
        """float32[count, obs_size] -> int64[count]."""
        self._obs.numpy()[...] = obs
        self._graph.replay()
        torch.cuda.current_stream().synchronize()
        return self._actions.numpy().copy()


class TorchLearner:
    """The `Learner` in torch operations: the learner on a GPU, and what the fused kernels are compared with.

    An update is about eighty small operations, and a GPU takes longer to launch each than to compute it. So from the
    fourth update on, CUDA launches all of them at once as a graph, on the same memory.

    Args:
        config: hyperparameters.
        q_network: the online network; its `flat` is learned in place.
        optimizer: of the network.
        target: the target network's parameters, or `q_network.flat` itself.
        exploration: random stream of the coins.
    """

    def __init__(
        self, config: Config, q_network: QNetwork, optimizer: FlatAdam, target: Tensor, exploration: np.random.Generator
    ) -> None:
        self._config, self._q_network, self._optimizer, self._target = config, q_network, optimizer, target
        self.exploration = exploration
        self.loss = torch.full((), float("nan"))
        """Loss of the last update (a tensor, so that a GPU is waited for only when it is read)."""
        self._target_layers = q_network.layers(target)
        self._mirror_rows = config.batch_size // 2 if config.mirrors else 0
        self._batch: Sequence[Tensor] = ()
        self._staging: Staging | None = None
        self._captures = target.device.type == "cuda"
        self._acting: dict[int, GraphedPolicy] = {}  # by number of observations
        self._warm_ups = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._graph_loss: Tensor | None = None  # where the graph leaves the loss

    def act(self, obs: np.ndarray, epsilon: np.ndarray) -> np.ndarray:
        """Epsilon-greedy actions: float32[N, obs_size], float64[N] -> int64[N]."""
        greedy = self._greedy(obs)
        if not epsilon.any():
            return greedy
        return epsilon_greedy(greedy, epsilon, self._q_network.sizes[-1], self.exploration)

    def learn(self, buffer: ReplayBuffer, made: int, updates: int) -> None:
        """Make `updates` gradient steps after the `made` of before, each on a fresh sample of the buffer."""
        for k in range(updates):
            self.update(buffer.sample(self._config.batch_size), made + k + 1)

    def begin(self, buffer: ReplayBuffer, made: int, updates: int) -> None:
        """`learn`. A GPU works on while the caller goes on: it is waited for when somebody reads a value."""
        self.learn(buffer, made, updates)

    def finish(self) -> None:
        """Nothing is left to do: torch keeps the order of operations by itself."""

    def close(self) -> None:
        """There are no threads to end."""

    def _greedy(self, obs: np.ndarray) -> np.ndarray:
        """The actions of the highest value; on CUDA by a graph for each of the first few numbers of observations."""
        if not self._captures or (len(obs) not in self._acting and len(self._acting) == MOST_GRAPHS):
            return self._q_network.greedy(obs)
        if len(obs) not in self._acting:
            self._acting[len(obs)] = GraphedPolicy(self._q_network, len(obs))
        return self._acting[len(obs)](obs)

    @torch.no_grad()
    def update(self, batch: Transition, count: int) -> None:
        """One gradient step on a batch, then the target network's. `count`: this update's number, from 1."""
        self._fill(batch)
        self.loss = self._step_by_graph() if self._captures else self._step()
        if self._config.separate_target and count % self._config.target_update_freq == 0:
            self._target.lerp_(self._q_network.flat, self._config.tau)

    def _fill(self, batch: Transition) -> None:
        """Bring the batch to where `_step`, and the graph, reads it."""
        if not self._captures:
            self._batch = [torch.from_numpy(array).to(self._target.device) for array in batch]
            return
        if self._staging is None or not self._staging.takes(batch):
            self._staging, self._graph = Staging(batch, self._target.device), None
            self._batch = self._staging.tensors
        self._staging.send(batch)

    def _step_by_graph(self) -> Tensor:
        """`_step` on CUDA, launched as one graph as soon as there is one."""
        if self._graph is None and self._warm_ups < WARM_UPS:
            self._warm_ups += 1
            return _beside(self._step)
        if self._graph is None:
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph):  # records the operations, without doing them
                self._graph_loss = self._step()
        self._graph.replay()
        return self._graph_loss

    def _step(self) -> Tensor:
        """The gradient step on the batch in memory; the loss, a tensor []. It reads no value back from the device."""
        config, layers = self._config, self._q_network.layers()
        obs, action, reward, next_obs, discount = self._batch
        if self._mirror_rows:
            obs, action, next_obs = mirror_first(self._mirror_rows, obs, action, next_obs)
        activations = forward_pass(layers, obs)
        next_values = forward_pass(self._target_layers, next_obs)[-1]
        chooser = forward_pass(layers, next_obs)[-1] if config.double_dqn else next_values
        target = td_target(reward * config.reward_scale, discount, next_values, chooser)

        values = activations.pop()
        action = action.unsqueeze(1)
        td_error = values.gather(1, action).squeeze(1) - target
        loss, grad = LOSSES[config.loss](td_error)
        grad_values = torch.zeros_like(values).scatter_(1, action, grad.unsqueeze(1))
        self._q_network.backward_pass(activations, grad_values)
        if config.max_grad_norm is not None:
            clip_norm(self._q_network.flat_grad, config.max_grad_norm)
        self._optimizer.step()
        return loss


def _beside(work: Callable[[], Result]) -> Result:
    """Do `work` on a CUDA stream of its own, as torch.cuda.graph asks of what is captured later."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        result = work()
    torch.cuda.current_stream().wait_stream(side)
    return result
