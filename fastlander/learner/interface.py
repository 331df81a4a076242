"""`Learner`: what `DQN` asks of whatever acts and learns for it."""

from typing import Any, Protocol

import numpy as np

from fastlander.experience.replay_buffer import ReplayBuffer


class Learner(Protocol):
    """Acts by a Q-network and makes its gradient steps.

    There are two: `FusedLearner` in Numba kernels, on a CPU, and `TorchLearner` in torch operations, on any device.
    """

    loss: Any
    """Loss of the last update, float32[], of NumPy or torch. A GPU is waited for when it is read."""

    def act(self, obs: np.ndarray, epsilon: np.ndarray) -> np.ndarray:
        """Epsilon-greedy actions, greedy where epsilon is 0: float32[N, obs_size], float64[N] -> int64[N]."""

    def learn(self, buffer: ReplayBuffer, made: int, updates: int) -> None:
        """Make `updates` gradient steps, each on a fresh sample of the buffer, after the `made` of before."""

    def begin(self, buffer: ReplayBuffer, made: int, updates: int) -> None:
        """Begin `learn`, in the background where that is possible.

        Until `finish`, nobody may act, and nobody may change the parameters or the buffer.
        """

    def finish(self) -> None:
        """Return when all that was begun is done."""

    def close(self) -> None:
        """End the threads, if there are any."""
