"""`DQN`, deep Q-learning (Mnih et al. 2015): acts and learns by the fused kernels on a CPU, by torch on a GPU."""

import contextlib
import copy
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from fastlander.config import Config
from fastlander.experience.replay_buffer import ReplayBuffer
from fastlander.experience.transition import Transition
from fastlander.kernels.arrays import kernel_array
from fastlander.kernels.processor import available_processors
from fastlander.lander.symmetry import MIRROR_ACTIONS, MIRROR_SIGNS
from fastlander.learner.device import is_on_gpu, pick_device
from fastlander.learner.fused.learner import FusedLearner
from fastlander.learner.fused.policy import FusedPolicy
from fastlander.learner.interface import Learner
from fastlander.learner.parameters import Parameters, adam_form, as_array, both_ways, initial_parameters, make_vectors
from fastlander.learner.torch_threads import limit_threads
from fastlander.states import Form, KernelStream, NumPyStream, Real, Weights, Whole, check_state, vector
from fastlander.streams import spawn_streams
from fastlander.validation import InputError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from fastlander.learner.flat_adam import FlatAdam
    from fastlander.learner.q_network import QNetwork
    from fastlander.learner.torch_learner import TorchLearner


class _Torch(NamedTuple):
    """What a DQN has of torch."""

    q_network: "QNetwork"
    optimizer: "FlatAdam"
    target: "Tensor"
    learner: "TorchLearner"


class DQN:
    """A Q-network, its target network, its optimizer, and the learner that acts and learns with them.

    On a CPU all of them are NumPy arrays until somebody asks for `q_network`, `optimizer` or `target`: only then torch
    is imported. They are in the same memory.

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
        self.on_gpu = is_on_gpu(config.device)
        streams = spawn_streams(config.seed)
        self.sizes = (obs_size, *config.hidden_sizes, num_actions)
        """Numbers per observation, widths of the hidden layers, number of actions."""
        network = initial_parameters(self.sizes, int(streams.network.generate_state(1)[0]))
        self._vectors = make_vectors(network, config.separate_target)
        self._exploration = np.random.default_rng(streams.exploration)  # of the learner in torch operations
        self.updates = 0
        self.loss: Any = np.float32("nan")
        """Loss of the last update: float32[] of NumPy, or a tensor. A GPU is waited for only when it is read."""
        self._of_torch: _Torch | None = None
        self._fused_learner = None
        if self.on_gpu:
            self._torch()
        else:
            processors = available_processors() if processors is None else processors
            self._fused_learner = FusedLearner(config, self.sizes, self._vectors, streams.exploration, processors)

    @property
    def device(self) -> "torch.device":
        """Where the network is."""
        return pick_device(self.config.device if self.on_gpu else "cpu")

    @property
    def q_network(self) -> "QNetwork":
        """The network that learns."""
        return self._torch().q_network

    @property
    def optimizer(self) -> "FlatAdam":
        """Its optimizer."""
        return self._torch().optimizer

    @property
    def target(self) -> "Tensor":
        """The target network's parameters, as one vector like `q_network.flat`, or that vector itself."""
        return self._torch().target

    @property
    def _torch_learner(self) -> "TorchLearner":
        return self._torch().learner

    def _torch(self) -> _Torch:
        """The network and its optimizer in torch: on a CPU in the memory of the vectors."""
        if self._of_torch is None:
            from fastlander.learner.flat_adam import FlatAdam
            from fastlander.learner.q_network import QNetwork
            from fastlander.learner.torch_learner import TorchLearner

            limit_threads()
            config, vectors = self.config, self._vectors
            q_network = QNetwork.of(Parameters(self.sizes, vectors.flat), vectors.gradient)
            if self.on_gpu:
                q_network = q_network.to(self.device)
                target = q_network.flat.clone() if config.separate_target else q_network.flat
                optimizer = FlatAdam(q_network, config.learning_rate, config.adam_betas)
            else:
                target = q_network.tensor(vectors.target) if config.separate_target else q_network.flat
                optimizer = FlatAdam(q_network, config.learning_rate, config.adam_betas, vectors)
            learner = TorchLearner(config, q_network, optimizer, target, self._exploration)
            self._of_torch = _Torch(q_network, optimizer, target, learner)
            if self._fused_learner is not None:
                self._fused_learner.share(q_network, optimizer, target)
        return self._of_torch

    @property
    def parameters(self) -> np.ndarray:
        """The network's parameters as they are now, float32[P] as `q_network.flat`: on a CPU no copy."""
        if self._of_torch is None:
            return self._vectors.flat
        return as_array(self.q_network.flat)

    @parameters.setter
    def parameters(self, flat: np.ndarray) -> None:
        if self._of_torch is None:
            self._vectors.flat[:] = flat
            self._fused_learner.look_again()
        else:
            self.q_network.flat.copy_(self.q_network.tensor(flat))

    @property
    def learner(self) -> Learner:
        """The fused kernels as long as the network and the optimizer keep the memory that they share, else torch."""
        fused, of_torch = self._fused_learner, self._of_torch
        if fused is not None and (of_torch is None or fused.serves(of_torch.q_network, of_torch.optimizer)):
            return fused
        return self._torch_learner

    def act(self, obs: np.ndarray, epsilon: np.ndarray | float) -> np.ndarray:
        """Epsilon-greedy actions from one forward pass: float32[N, obs_size], float64[N] -> int64[N]."""
        if not isinstance(epsilon, np.ndarray) or epsilon.shape != obs.shape[:1]:
            share, epsilon = epsilon, np.empty(len(obs))
            epsilon[:] = share
        return self.learner.act(obs, kernel_array(epsilon, np.float64))

    def greedy(self, obs: np.ndarray) -> np.ndarray:
        """The action of the highest value for each observation: float32[N, obs_size] -> int64[N]."""
        return self.act(obs, 0.0)

    def network(self, flat: np.ndarray) -> Parameters:
        """The network that acts by the parameters `flat` (as `parameters`): a new one."""
        network = Parameters(self.sizes, np.array(as_array(flat)))
        return both_ways(network) if self.config.mirror_acting else network

    def policy(self, flat: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        """Greedy actions of `network(flat)`: float32[N, obs_size] -> int64[N]."""
        network = self.network(flat)
        if not self.on_gpu:
            return FusedPolicy.of(network).greedy
        from fastlander.learner.q_network import QNetwork

        return QNetwork.of(network).to(self.device).greedy

    @property
    def learning_rate(self) -> float:
        """Adam's step size."""
        fused = self._fused_learner
        return float(self.optimizer.param_groups[0]["lr"]) if fused is None else fused.learning_rate

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        if self._fused_learner is None:
            self.optimizer.set_learning_rate(value)
        else:
            self._fused_learner.learning_rate = value

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
        if self._of_torch is None:
            vectors = self._vectors
            moments = {"exp_avg": vector(vectors.exp_avg), "exp_avg_sq": vector(vectors.exp_avg_sq)}
            target, optimizer = vectors.target, {**moments, "steps": int(vectors.steps[0])}
        else:
            target, optimizer = as_array(self.target), self.optimizer.get_state()
        state = {
            "online": vector(self.parameters),
            "target": vector(target),
            "updates": self.updates,
            "loss": float(self.loss),
            "exploration": self._exploration.bit_generator.state,
            **{f"optimizer.{name}": value for name, value in optimizer.items()},
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
        self.parameters = state["online"]
        if self._of_torch is None:
            vectors = self._vectors
            vectors.target[:], vectors.steps[:] = state["target"], state["optimizer.steps"]
            vectors.exp_avg[:], vectors.exp_avg_sq[:] = state["optimizer.exp_avg"], state["optimizer.exp_avg_sq"]
        else:
            self.target.copy_(self.q_network.tensor(state["target"]))
            self.optimizer.set_state({name: state[f"optimizer.{name}"] for name in ("exp_avg", "exp_avg_sq", "steps")})
        self.updates, self.loss = state["updates"], np.float32(state["loss"])
        self._exploration.bit_generator.state = state["exploration"]
        if self._fused_learner is not None:
            self._fused_learner.exploration[:] = state["coins"]

    def state_form(self) -> Form:
        """What `set_state` takes."""
        weights = Weights(len(self._vectors.flat))
        form: Form = {"online": weights, "target": weights, "updates": Whole(), "loss": Real(nan=True)}
        form |= {"exploration": NumPyStream()}
        form |= {f"optimizer.{name}": wanted for name, wanted in adam_form(weights.size).items()}
        return form if self._fused_learner is None else {**form, "coins": KernelStream()}

    def __copy__(self) -> Self:
        """A copy with its own memory, as a deep copy and a pickle have it."""
        return copy.deepcopy(self)

    def __getstate__(self) -> dict[str, Any]:
        arguments = (self.config, self.sizes[0], self.sizes[-1], self._processors)
        return {"arguments": arguments, "learning_rate": self.learning_rate, "state": self.get_state()}

    def __setstate__(self, pickled: dict[str, Any]) -> None:
        self.__init__(*pickled["arguments"])  # type: ignore[misc]
        self.learning_rate = pickled["learning_rate"]
        self.set_state(pickled["state"])
