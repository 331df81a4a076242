"""`NStep`: n-step returns of each environment (Sutton 1988; in DQN: Hessel et al. 2018)."""

import numpy as np

from fastlander.experience.fold import fold_step
from fastlander.experience.transition import Transition
from fastlander.kernels.arrays import kernel_array
from fastlander.states import Array, Form, check_state
from fastlander.validation import InputError

STEP_TYPES = (np.float32, np.int64, np.float64, np.float32, np.bool_, np.bool_)
"""Of obs, action, reward, next_obs, terminated and truncated in a kernel."""


class NStep:
    """Turns one-step transitions of N environments into n-step ones.

    `fold` gives a transition as soon as its n rewards are known. When an episode ends, it gives all that still wait,
    with the rewards that they have. No transition spans two episodes.

    Args:
        num_envs: N.
        n: rewards per transition.
        gamma: discount per step.
        obs_size: numbers per observation.
    """

    def __init__(self, num_envs: int, n: int, gamma: float, obs_size: int) -> None:
        self.powers = gamma ** np.arange(n + 1, dtype=np.float64)  # float64[n + 1], gamma**k
        self.obs = np.zeros((num_envs, n, obs_size), np.float32)  # the open windows, oldest first
        self.action = np.zeros((num_envs, n), np.int64)
        self.reward = np.zeros((num_envs, n), np.float64)
        self.waiting = np.zeros(num_envs, np.int64)  # filled places of each window
        rows = num_envs * n
        self.out = Transition(
            obs=np.zeros((rows, obs_size), np.float32),
            action=np.zeros(rows, np.int64),
            reward=np.zeros(rows, np.float32),
            next_obs=np.zeros((rows, obs_size), np.float32),
            discount=np.zeros(rows, np.float32),
        )

    def fold(
        self,
        obs: np.ndarray,
        action: np.ndarray,
        reward: np.ndarray,
        next_obs: np.ndarray,
        terminated: np.ndarray,
        truncated: np.ndarray,
    ) -> Transition:
        """Take one step of every environment; the transitions that are complete now, in the order of the environments.

        Args:
            obs, next_obs: float32[N, obs_size]; next_obs is the true final observation where an episode ended.
            action: int64[N].
            reward: float64[N].
            terminated, truncated: bool[N].

        Returns:
            Transition of arrays with M rows, 0 <= M <= N * n; views that the next call overwrites.

        Raises:
            ValueError: a reward or an observation that is no finite number.
        """
        windows = (self.obs, self.action, self.reward, self.waiting)
        step = (obs, action, reward, next_obs, terminated, truncated)
        step = tuple(map(kernel_array, step, STEP_TYPES))
        rows = fold_step(self.powers, windows, step, tuple(self.out))
        if rows < 0:
            check_finite("reward", reward)
            check_finite("observation", next_obs)
        return Transition(*[array[:rows] for array in self.out])

    def get_state(self) -> dict[str, np.ndarray]:
        """The open windows, for `set_state`: a copy."""
        return {name: getattr(self, name).copy() for name in ("obs", "action", "reward", "waiting")}

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Go on from what `get_state` of an NStep of the same settings gave.

        Raises:
            ValueError: another state; nothing is changed then.
        """
        check_state("n-step windows", state, self.state_form())
        for name in ("obs", "action", "reward", "waiting"):
            getattr(self, name)[:] = state[name]

    def state_form(self) -> Form:
        """What `set_state` takes."""
        num_envs, n, obs_size = self.obs.shape
        return {
            "obs": Array(np.float32, (num_envs, n, obs_size), finite=True),
            "action": Array(np.int64, (num_envs, n), low=0),
            "reward": Array(np.float64, (num_envs, n), finite=True),
            "waiting": Array(np.int64, (num_envs,), low=0, high=n - 1),
        }


def check_finite(what: str, values: np.ndarray) -> None:
    """ValueError that names the environment if one of float[N, ...] is no finite number."""
    if not np.isfinite(values).all():
        env = int(np.argwhere(~np.isfinite(values))[0][0])
        raise InputError(f"env_id must give finite {what}s, got {what} {values[env]} from environment {env}")
