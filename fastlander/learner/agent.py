"""`Agent`: the lecture's agent with the same attributes, on a ring buffer and hand-written passes."""

import copy
from typing import Any, NamedTuple, Self

import gymnasium as gym
import numpy as np
import torch

from fastlander.environments import check_spaces
from fastlander.experience.replay_buffer import ReplayBuffer, sample_together
from fastlander.learner.flat_adam import FlatAdam
from fastlander.learner.fused.agent_learner import BatchGradient, GreedyOne, LectureUpdate
from fastlander.learner.q_network import QNetwork
from fastlander.validation import Count, Seed, check

GAMMA = 0.99
LEARNING_RATE = 1e-4
BUFFER_SIZE = 5_000


class Spaces(NamedTuple):
    """The part of an environment that an Agent reads."""

    observation_space: gym.Space
    action_space: gym.Space


class Agent:
    """An epsilon-greedy DQN agent for one environment; a loop around it sets its fields and calls its methods.

    The loop, step by step: `act` reads `current_state` and sets `action`; the caller steps the environment and sets
    `next_state`, `reward` and `terminated`; `save_experience` stores the five; `learn` makes one update once
    `buffer_size` experiences have been stored. `q_net`, `optimizer`, `eps` and `batch_size` may be assigned at any
    time. Any torch module and optimizer will do; `QNetwork` and `FlatAdam` are fast.

    Args:
        env: a Gymnasium environment with flat Box observations and Discrete actions (only its spaces are read).
            `gym.make("fastlander:fastlander/LunarLander-v3")` is Gymnasium's lander, several times as fast.
        seed: of exploration, sampling and the initial weights. None draws it from NumPy's global generator and the
            weights from torch's, so `np.random.seed` and `torch.manual_seed` before construction make an agent
            reproducible; afterwards nothing global is drawn from.

    Raises:
        ValueError: the environment's spaces are of another kind, or the seed is none.
    """

    def __init__(self, env: gym.Env | Spaces, seed: int | None = None) -> None:
        seed = check("seed", Seed | None, seed)
        name = getattr(getattr(env, "spec", None), "id", type(env).__name__)
        check_spaces(name, env.observation_space, env.action_space)
        self.eps: float = 0
        self.n_experiences = 0
        self.n_episode = 0
        self.score: float = 0
        self.scores: list[float] = []
        self.playtimes: list[int] = []
        self.batch_size = 64
        self.buffer_size = BUFFER_SIZE
        self.action_space = env.action_space

        generator = None if seed is None else torch.Generator().manual_seed(seed)
        entropy = np.random.randint(2**32, size=4, dtype=np.uint64).tolist() if seed is None else seed  # noqa: NPY002
        exploration, sampling = np.random.SeedSequence(entropy).spawn(2)
        self._exploration = np.random.default_rng(exploration)

        obs_size = env.observation_space.shape[0]
        self.q_net: torch.nn.Module = QNetwork(obs_size, int(env.action_space.n), generator=generator)
        self.optimizer: torch.optim.Optimizer = FlatAdam(self.q_net, lr=LEARNING_RATE)
        self._greedy: GreedyOne | None = None
        self._gradient: BatchGradient | None = None
        self._update: LectureUpdate | None = None

        state = (env.observation_space.dtype, (obs_size,))
        self.current_states = ReplayBuffer(BUFFER_SIZE, state, sampling)
        self.actions = ReplayBuffer(BUFFER_SIZE, (np.int64, ()))
        self.rewards = ReplayBuffer(BUFFER_SIZE, (np.float64, ()))
        self.next_states = ReplayBuffer(BUFFER_SIZE, state)
        self.terminations = ReplayBuffer(BUFFER_SIZE, (np.bool_, ()))

    def act(self) -> None:
        """Set `action`: random with probability `eps`, else the one `q_net` values most in `current_state`."""
        if self._exploration.random() < self.eps:
            self.action = int(self._exploration.integers(self.action_space.n))
            return
        if self._is_fast():
            if self._greedy is None or not self._greedy.serves(self.q_net):
                self._greedy = GreedyOne(self.q_net)
            self.action = self._greedy.act(np.asarray(self.current_state))
        else:
            with torch.no_grad():
                self.action = self.q_net(torch.as_tensor(self.current_state)).argmax().item()

    def save_experience(self) -> None:
        """Store `current_state`, `action`, `reward`, `next_state` and `terminated`, and add the reward to `score`."""
        self.current_states.append(self.current_state)
        self.actions.append(self.action)
        self.rewards.append(self.reward)
        self.next_states.append(self.next_state)
        self.terminations.append(self.terminated)
        self.n_experiences += 1
        self.score += self.reward

    def get_batch(self) -> None:
        """Draw `batch_size` stored experiences with replacement into the `..._batch` attributes.

        float32[B, obs_size], int64[B, 1], float32[B, 1], float32[B, obs_size] and bool[B, 1]. The next draw
        overwrites them.
        """
        fields = self._fields()
        self._check_stored(fields)
        states, actions, rewards, next_states, terminations = map(
            torch.from_numpy, sample_together(fields, self.buffer_size, self.batch_size)
        )
        self.current_states_batch, self.next_states_batch = states.float(), next_states.float()
        self.actions_batch = actions.unsqueeze(1)
        self.rewards_batch = rewards.unsqueeze(1).float()
        self.terminations_batch = terminations.unsqueeze(1)

    def learn(self) -> None:
        """One update by the mean squared error to r + 0.99 max_a Q(s', a); nothing before `buffer_size` experiences."""
        if self.n_experiences < self.buffer_size:
            return
        if self._learn_in_one():
            return
        self.get_batch()
        if self._is_fast():
            self._write_gradients()
        else:
            self._autograd()
        self.optimizer.step()
        self.optimizer.zero_grad()

    def __copy__(self) -> Self:
        """A copy with its own memory, as a deep copy and a pickle have it."""
        return copy.deepcopy(self)

    def __getstate__(self) -> dict[str, Any]:
        # These are made again for the network of the copy.
        return {**self.__dict__, "_greedy": None, "_gradient": None, "_update": None}

    def _fields(self) -> tuple[ReplayBuffer, ...]:
        return self.current_states, self.actions, self.rewards, self.next_states, self.terminations

    def _check_stored(self, fields: tuple[ReplayBuffer, ...]) -> None:
        stored = min(len(field) for field in fields)
        if self.buffer_size > stored:
            raise IndexError(f"buffer_size is {self.buffer_size}, but only {stored} experiences are stored")

    def _learn_in_one(self) -> bool:
        """Make the update that `learn` makes in one kernel, if the network and the optimizer are the fast ones."""
        network, optimizer, fields = self.q_net, self.optimizer, self._fields()
        if type(optimizer) is not FlatAdam or getattr(self.get_batch, "__func__", None) is not Agent.get_batch:
            return False
        if not self._is_fast() or not optimizer.is_plain_for(network):
            return False
        self._check_stored(fields)
        if self._update is None or not self._update.serves(network, optimizer, fields, self.batch_size):
            if not LectureUpdate.takes(fields):
                return False
            rows = check("batch_size", Count, self.batch_size)
            self._update = LectureUpdate(network, optimizer, fields, rows, GAMMA)
        self._update.make(self.buffer_size)
        (
            self.current_states_batch,
            self.actions_batch,
            self.rewards_batch,
            self.next_states_batch,
            self.terminations_batch,
        ) = self._update.batch
        return True

    def _is_fast(self) -> bool:
        """Whether the kernels can work on `q_net`: they take float32 on the CPU."""
        network = self.q_net
        if type(network) is not QNetwork or network.flat.dtype != torch.float32:
            return False
        return network.flat.device.type == "cpu" and network.is_plain()

    def _write_gradients(self) -> None:
        """The gradients that `_autograd` gives, by the fused kernels."""
        rows = len(self.actions_batch)
        if self._gradient is None or not self._gradient.serves(self.q_net, rows):
            self._gradient = BatchGradient(self.q_net, rows)
        discount = np.where(self.terminations_batch.numpy()[:, 0], np.float32(0), np.float32(GAMMA))
        self._gradient.write(
            self.current_states_batch.numpy(),
            self.actions_batch.numpy()[:, 0],
            self.rewards_batch.numpy()[:, 0],
            self.next_states_batch.numpy(),
            discount,
        )

    def _autograd(self) -> None:
        """The gradients of any module."""
        with torch.no_grad():
            target = self._target(self.q_net(self.next_states_batch))
        values = self.q_net(self.current_states_batch).gather(1, self.actions_batch)
        torch.nn.functional.mse_loss(values, target).backward()

    def _target(self, next_values: torch.Tensor) -> torch.Tensor:
        future = next_values.amax(dim=1, keepdim=True)
        return self.rewards_batch + GAMMA * future * ~self.terminations_batch

    def __repr__(self) -> str:
        fields: dict[str, Any] = {"n_episode": self.n_episode, "n_experiences": self.n_experiences, "eps": self.eps}
        return f"Agent({', '.join(f'{name}={value}' for name, value in fields.items())})"
