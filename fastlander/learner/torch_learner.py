"""`TorchLearner`: the update in torch operations, on any device; on CUDA captured once and launched as one graph."""

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

WARM_UPS = 3
"""Updates before one is captured as a graph; torch.cuda.graph asks for a few."""


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
        self._batch: list[Tensor] = []
        self._captures = target.device.type == "cuda"
        self._warm_ups = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._graph_loss: Tensor | None = None  # where the graph leaves the loss

    def act(self, obs: np.ndarray, epsilon: np.ndarray) -> np.ndarray:
        """Epsilon-greedy actions: float32[N, obs_size], float64[N] -> int64[N]."""
        greedy = self._q_network.greedy(obs)
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

    @torch.no_grad()
    def update(self, batch: Transition, count: int) -> None:
        """One gradient step on a batch, then the target network's. `count`: this update's number, from 1."""
        self._fill(batch)
        self.loss = self._step_by_graph() if self._captures else self._step()
        if self._config.separate_target and count % self._config.target_update_freq == 0:
            self._target.lerp_(self._q_network.flat, self._config.tau)

    def _fill(self, batch: Transition) -> None:
        """Copy the batch to where the graph reads it."""
        if [tuple(tensor.shape) for tensor in self._batch] != [array.shape for array in batch]:
            device = self._target.device
            self._batch = [torch.from_numpy(array).to(device, copy=True) for array in batch]
            self._graph = None
            return
        for tensor, array in zip(self._batch, batch, strict=True):
            tensor.copy_(torch.from_numpy(array))

    def _step_by_graph(self) -> Tensor:
        """`_step` on CUDA, launched as one graph as soon as there is one."""
        if self._graph is None and self._warm_ups < WARM_UPS:
            self._warm_ups += 1
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                loss = self._step()
            torch.cuda.current_stream().wait_stream(side)
            return loss
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
