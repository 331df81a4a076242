"""`DQN`, deep Q-learning (Mnih et al. 2015): acts and learns by the fused kernels on a CPU, by torch on a GPU."""

import contextlib
import copy
from collections.abc import Callable, Iterator
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from fastlander.config import Config
from fastlander.experience.replay_buffer import ReplayBuffer
from fastlander.experience.transition import Transition
from fastlander.kernels.arrays import kernel_array
from fastlander.kernels.processor import available_processors
from fastlander.lander.symmetry import MIRROR_ACTIONS, MIRROR_SIGNS
from fastlander.learner.flat_adam import FlatAdam
from fastlander.learner.fused.learner import FusedLearner
from fastlander.learner.fused.policy import FusedPolicy
from fastlander.learner.interface import Learner
from fastlander.learner.mirror import both_ways
from fastlander.learner.q_network import QNetwork
from fastlander.learner.torch_learner import TorchLearner
from fastlander.states import Form, KernelStream, NumPyStream, Real, Weights, Whole, check_state
from fastlander.streams import spawn_streams
from fastlander.validation import InputError


class DQN:
    """A Q-network, its target network, its optimizer, and the learner that acts and learns with them.

    Args:
        config: hyperparameters, and the seed of the initial weights and of exploration.
        obs_size: numbers per observation.
        num_actions: actions to choose from.
        processors: how many may be used; this changes no result. None is all that this process may use.

    Raises:
        ValueError: `config.device` is cuda and there is none, or mirror augmentation meets another size of network.
    """

    def __init__(self, config: Config, obs_size: int = 8, num_actions: int = 4, processors: int | None = None) -> None:
        if config.mirrors and (obs_size, num_actions) != (len(MIRROR_SIGNS), len(MIRROR_ACTIONS)):
            raise InputError(
                f"mirror_augmentation must be off for {obs_size} observed numbers and {num_actions} actions, got True"
            )
        self.config, self._processors = config, processors
        self.device = pick_device(config.device)
        streams = spawn_streams(config.seed)
        weights = torch.Generator().manual_seed(int(streams.network.generate_state(1)[0]))
        self.q_network = QNetwork(obs_size, num_actions, config.hidden_sizes, generator=weights).to(self.device)
        self.target = self.q_network.flat.clone() if config.separate_target else self.q_network.flat
        """The target network's parameters, as one vector like `q_network.flat`."""
        self.optimizer = FlatAdam(self.q_network, lr=config.learning_rate, betas=config.adam_betas)
        self.updates = 0
        self.loss = torch.full((), float("nan"))
        """Loss of the last update (a tensor, so that a GPU is waited for only when it is read)."""
        parts = (config, self.q_network, self.optimizer, self.target)
        self._torch_learner = TorchLearner(*parts, np.random.default_rng(streams.exploration))
        self._fused_learner = None
        if self.device.type == "cpu":
            processors = available_processors() if processors is None else processors
            self._fused_learner = FusedLearner(*parts, streams.exploration, processors)

    @property
    def learner(self) -> Learner:
        """The fused kernels as long as the network and the optimizer keep the memory that they share, else torch."""
        fused = self._fused_learner
        return fused if fused is not None and fused.serves(self.q_network, self.optimizer) else self._torch_learner

    def act(self, obs: np.ndarray, epsilon: np.ndarray | float) -> np.ndarray:
        """Epsilon-greedy actions from one forward pass: float32[N, obs_size], float64[N] -> int64[N]."""
        if not isinstance(epsilon, np.ndarray) or epsilon.shape != obs.shape[:1]:
            share, epsilon = epsilon, np.empty(len(obs))
            epsilon[:] = share
        return self.learner.act(obs, kernel_array(epsilon, np.float64))

    def greedy(self, obs: np.ndarray) -> np.ndarray:
        """The action of the highest value for each observation: float32[N, obs_size] -> int64[N]."""
        return self.act(obs, 0.0)

    def network(self, flat: Tensor) -> QNetwork:
        """The network that acts by the parameters `flat` (as `q_network.flat`): a new one, on the CPU."""
        network = QNetwork.blank(self.q_network.sizes)
        network.flat.copy_(flat)
        return both_ways(network) if self.config.mirror_acting else network

    def policy(self, flat: Tensor) -> Callable[[np.ndarray], np.ndarray]:
        """Greedy actions of `network(flat)`: float32[N, obs_size] -> int64[N]."""
        network = self.network(flat)
        if self.device.type == "cpu":
            return FusedPolicy.of(network).greedy
        return network.to(self.device).greedy

    @property
    def learning_rate(self) -> float:
        """Adam's step size."""
        return float(self.optimizer.param_groups[0]["lr"])

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self.optimizer.set_learning_rate(value)

    def learn(self, buffer: ReplayBuffer, updates: int) -> None:
        """Make `updates` gradient steps, each on a fresh sample of the buffer."""
        with self.learning(buffer, updates):
            pass

    @contextlib.contextmanager
    def learning(self, buffer: ReplayBuffer, updates: int) -> Iterator[None]:
        """`learn` beside the body of the `with`, which must neither act nor change the buffer or the parameters.

        The updates are made in the background where a processor is free for them, or on a GPU; else before the body.
        That changes no result.
        """
        if not updates:
            yield
            return
        learner = self.learner
        learner.begin(buffer, self.updates, updates)
        try:
            yield
        finally:
            learner.finish()
            self.loss, self.updates = learner.loss, self.updates + updates

    def update(self, batch: Transition) -> None:
        """One gradient step on a batch of transitions, then the target network's, in torch operations."""
        self.updates += 1
        self._torch_learner.update(batch, self.updates)
        self.loss = self._torch_learner.loss

    def close(self) -> None:
        """End the thread that learned in the background, if there is one."""
        if self._fused_learner is not None:
            self._fused_learner.close()

    def get_state(self) -> dict[str, Any]:
        """Everything that acting and learning depend on, for `set_state`: a copy."""
        state = {
            "online": self.q_network.flat.cpu().clone(),
            "target": self.target.cpu().clone(),
            "updates": self.updates,
            "loss": float(self.loss),
            "exploration": self._torch_learner.exploration.bit_generator.state,
            **{f"optimizer.{name}": value for name, value in self.optimizer.get_state().items()},
        }
        if self._fused_learner is not None:
            state["coins"] = self._fused_learner.exploration.copy()
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from what `get_state` gave, for the same sizes and on the same kind of device.

        Raises:
            ValueError: another state; nothing is changed then.
        """
        check_state("DQN", state, self.state_form())
        self.q_network.flat.copy_(state["online"])
        self.target.copy_(state["target"])
        self.updates, self.loss = state["updates"], torch.tensor(state["loss"])
        self._torch_learner.exploration.bit_generator.state = state["exploration"]
        self.optimizer.set_state({name: state[f"optimizer.{name}"] for name in ("exp_avg", "exp_avg_sq", "steps")})
        if self._fused_learner is not None:
            self._fused_learner.exploration[:] = state["coins"]

    def state_form(self) -> Form:
        """What `set_state` takes."""
        weights = Weights(len(self.q_network.flat))
        form: Form = {"online": weights, "target": weights, "updates": Whole(), "loss": Real(nan=True)}
        form |= {"exploration": NumPyStream()}
        form |= {f"optimizer.{name}": wanted for name, wanted in self.optimizer.state_form().items()}
        return form if self._fused_learner is None else {**form, "coins": KernelStream()}

    def __copy__(self) -> Self:
        """A copy with its own memory, as a deep copy and a pickle have it."""
        return copy.deepcopy(self)

    def __getstate__(self) -> dict[str, Any]:
        sizes = self.q_network.sizes
        arguments = (self.config, sizes[0], sizes[-1], self._processors)
        return {"arguments": arguments, "learning_rate": self.learning_rate, "state": self.get_state()}

    def __setstate__(self, pickled: dict[str, Any]) -> None:
        self.__init__(*pickled["arguments"])  # type: ignore[misc]
        self.learning_rate = pickled["learning_rate"]
        self.set_state(pickled["state"])


def pick_device(name: str) -> torch.device:
    """The device called auto, cpu or cuda. auto is CUDA where there is one; ValueError for cuda where there is none."""
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("device must be auto or cpu where no CUDA device is available, got 'cuda'")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")
