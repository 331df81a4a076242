"""Deep Q-learning (Mnih et al. 2015): its equations as pure functions, and `DQN`, which acts and updates with them."""

import numpy as np
import torch
from torch import Tensor

from fastlander.config import Config
from fastlander.cpu_learner import CpuLearner
from fastlander.exploration import epsilon_greedy
from fastlander.flat_adam import FlatAdam
from fastlander.q_network import QNetwork, forward_pass
from fastlander.replay_buffer import ReplayBuffer, Transition
from fastlander.rng import spawn_streams
from fastlander.validation import InputError


class DQN:
    """A Q-network, its target network and its optimizer.

    Args:
        config: hyperparameters, and the seed of the initial weights and of exploration.
        obs_size: numbers per observation.
        num_actions: actions to choose from.

    Raises:
        ValueError: `config.device` is cuda and there is none, or mirror augmentation meets another size of network.
    """

    def __init__(self, config: Config, obs_size: int = 8, num_actions: int = 4) -> None:
        if config.mirrors and (obs_size, num_actions) != (len(MIRROR_SIGNS), len(MIRROR_ACTIONS)):
            raise InputError(
                f"mirror_augmentation must be off for {obs_size} observed numbers and {num_actions} actions, got True"
            )
        self.config = config
        self.num_actions = num_actions
        self.device = pick_device(config.device)
        streams = spawn_streams(config.seed)
        self._exploration = np.random.default_rng(streams.exploration)
        weights = torch.Generator().manual_seed(int(streams.network.generate_state(1)[0]))
        self.q_network = QNetwork(obs_size, num_actions, config.hidden_sizes, generator=weights).to(self.device)
        self.target = self.q_network.flat.clone() if config.separate_target else self.q_network.flat
        """The target network's parameters, as one vector like `q_network.flat`."""
        self.optimizer = FlatAdam(self.q_network, lr=config.learning_rate, betas=config.adam_betas)
        self.updates = 0
        self.loss = torch.full((), float("nan"))
        """Loss of the last update (a tensor, so that reading it is what waits for a GPU)."""
        self._target_layers = self.q_network.layers(self.target)
        self._mirror_rows = config.batch_size // 2 if config.mirrors else 0
        self._learned = self.q_network.flat
        self._cpu_learner = None
        if self.device.type == "cpu":
            self._cpu_learner = CpuLearner(config, self.q_network, self.optimizer, self.target, streams.exploration)

    def act(self, obs: np.ndarray, epsilon: np.ndarray | float) -> np.ndarray:
        """Epsilon-greedy actions from one forward pass: float32[N, obs_size], float64[N] -> int64[N]."""
        if self._is_fused():
            if not isinstance(epsilon, np.ndarray) or epsilon.shape != obs.shape[:1]:
                epsilon = np.full(len(obs), epsilon, np.float64)
            return self._cpu_learner.act(obs, epsilon)
        return epsilon_greedy(self.q_network.greedy(obs), epsilon, self.num_actions, self._exploration)

    def greedy(self, obs: np.ndarray) -> np.ndarray:
        """The action of the highest value for each observation: float32[N, obs_size] -> int64[N]."""
        return self.act(obs, 0.0) if self._is_fused() else self.q_network.greedy(obs)

    def learn(self, buffer: ReplayBuffer, updates: int) -> None:
        """`updates` gradient steps, each on a fresh sample of the buffer: fused kernels on a CPU, `update` on a GPU."""
        if not self._is_fused():
            for _ in range(updates):
                self.update(buffer.sample(self.config.batch_size))
        elif updates:
            self._cpu_learner.learn(buffer, self.updates, updates)
            self.loss, self.updates = self._cpu_learner.loss, self.updates + updates

    def _is_fused(self) -> bool:
        """Whether the kernels' memory is still the network's and the optimizer's (`QNetwork.to` gives it another)."""
        return (
            self._cpu_learner is not None
            and self.q_network.flat is self._learned
            and self.optimizer.vectors is not None
        )

    @torch.no_grad()
    def update(self, batch: Transition) -> None:
        """One gradient step on a batch of transitions, then the target network's."""
        config, layers = self.config, self.q_network.layers()
        obs, action, reward, next_obs, discount = (self._on_device(array) for array in batch)
        if self._mirror_rows:
            obs, action, next_obs = mirror_first(self._mirror_rows, obs, action, next_obs)
        activations = forward_pass(layers, obs)
        next_values = forward_pass(self._target_layers, next_obs)[-1]
        chooser = forward_pass(layers, next_obs)[-1] if config.double_dqn else next_values
        target = td_target(reward * config.reward_scale, discount, next_values, chooser)

        values = activations.pop()
        action = action.unsqueeze(1)
        td_error = values.gather(1, action).squeeze(1) - target
        self.loss, grad = LOSSES[config.loss](td_error)
        grad_values = torch.zeros_like(values).scatter_(1, action, grad.unsqueeze(1))
        self.q_network.backward_pass(activations, grad_values)
        if config.max_grad_norm is not None:
            clip_norm(self.q_network.flat_grad, config.max_grad_norm)
        self.optimizer.step()
        self.updates += 1
        if config.separate_target and self.updates % config.target_update_freq == 0:
            self.target.lerp_(self.q_network.flat, config.tau)

    def _on_device(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(self.device)


def pick_device(name: str) -> torch.device:
    """The device called auto, cpu or cuda; auto is CUDA where there is one. ValueError if cuda is asked for in vain."""
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("device must be auto or cpu where no CUDA device is available, got 'cuda'")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def td_target(reward: Tensor, discount: Tensor, next_values: Tensor, chooser: Tensor) -> Tensor:
    """r + discount * Q_target(s', argmax_a chooser(s', a)): [B], [B], [B, A], [B, A] -> [B].

    With the online network's values as chooser this is double DQN (van Hasselt et al. 2016); with the target's own
    it is max_a Q_target(s', a) (Mnih et al. 2015). `discount` is gamma**k, 0 where the episode terminated.
    """
    best = chooser.argmax(dim=1, keepdim=True)
    return torch.addcmul(reward, discount, next_values.gather(1, best).squeeze(1))


def huber(td_error: Tensor) -> tuple[Tensor, Tensor]:
    """Mean Huber loss with its corner at 1 (Huber 1964), and its derivative: [B] -> [], [B]."""
    size = td_error.abs()
    capped = size.clamp(max=1)
    return (capped * (size - 0.5 * capped)).mean(), td_error.clamp(-1, 1) / len(td_error)


def mse(td_error: Tensor) -> tuple[Tensor, Tensor]:
    """Mean squared error and its derivative: [B] -> [], [B]."""
    return td_error.square().mean(), td_error * (2 / len(td_error))


LOSSES = {"huber": huber, "mse": mse}


def clip_norm(grad: Tensor, max_norm: float) -> None:
    """Scale `grad` down in place to an L2 norm of at most `max_norm` (Pascanu et al. 2013)."""
    grad.mul_((max_norm / (grad.norm() + 1e-6)).clamp(max=1))


MIRROR_SIGNS = (-1, 1, -1, 1, -1, -1, 1, 1)  # x, vx, angle and angular velocity change sign
MIRROR_ORDER = (0, 1, 2, 3, 4, 5, 7, 6)  # the legs change places
MIRROR_ACTIONS = (0, 3, 2, 1)  # and so do the side engines


def mirror(obs: Tensor, action: Tensor, next_obs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The same transitions of a lander seen in a mirror, left and right exchanged: [B, 8], [B], [B, 8] -> the same."""
    signs = obs.new_tensor(MIRROR_SIGNS)
    order = action.new_tensor(MIRROR_ORDER)
    actions = action.new_tensor(MIRROR_ACTIONS)
    return obs[:, order] * signs, actions[action], next_obs[:, order] * signs


def mirror_first(rows: int, *transitions: Tensor) -> tuple[Tensor, ...]:
    """Mirror the first `rows` of (obs, action, next_obs): a random subset, as the rows were drawn independently."""
    mirrored = mirror(*(tensor[:rows] for tensor in transitions))
    return tuple(torch.cat((new, old[rows:])) for new, old in zip(mirrored, transitions, strict=True))
