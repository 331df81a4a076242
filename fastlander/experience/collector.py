"""Act, step, store: the side of DQN that meets the environments."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import numpy as np
from gymnasium.vector import VectorEnv

from fastlander.environments import final_observations
from fastlander.experience.n_step import NStep, check_finite
from fastlander.experience.replay_buffer import ReplayBuffer


class Finished(NamedTuple):
    """The episodes that one vector step ended, in the order of their environments."""

    scores: list[float]  # sum of the rewards as the environment gave them
    playtimes: list[int]  # steps


class Collector:
    """Steps environments for ever and stores every transition.

    Args:
        env: N environments in SAME_STEP autoreset.
        seeds: one per environment, for the first episode; later ones go on in each environment's own stream.
        act: float32[N, obs_size] -> int64[N].
        n_step: folds the rewards on the way to the buffer.
        buffer: takes the transitions.
        meanwhile: what acting and stepping happen within; the storing of what they lead to comes after it.
    """

    def __init__(
        self,
        env: VectorEnv,
        seeds: list[int],
        act: Callable[[np.ndarray], np.ndarray],
        n_step: NStep,
        buffer: ReplayBuffer,
        meanwhile: Callable[[], AbstractContextManager] = nullcontext,
    ) -> None:
        self._env, self._seeds, self._act, self._n_step = env, seeds, act, n_step
        self._buffer, self._meanwhile = buffer, meanwhile
        self._obs: np.ndarray | None = None  # float32[N, obs_size], what the next actions answer to
        self._scores = np.zeros(env.num_envs)  # of the episodes under way
        self._playtimes = np.zeros(env.num_envs, np.int64)

    def steps(self) -> Iterator[Finished]:
        """A vector step each time: the episodes it ended.

        Raises:
            ValueError: the environment gave a reward or an observation that is no finite number.
        """
        if self._obs is None:
            self._obs = self._env.reset(seed=self._seeds)[0].astype(np.float32)
            check_finite("observation", self._obs)
        nothing, scores, playtimes = Finished([], []), self._scores, self._playtimes
        while True:
            with self._meanwhile():
                action = self._act(self._obs)
                next_obs, reward, terminated, truncated, infos = self._env.step(action)
                final_obs = final_observations(next_obs, infos)
                transitions = self._n_step.fold(self._obs, action, reward, final_obs, terminated, truncated)
            self._buffer.extend_unchecked(transitions)
            self._obs = np.asarray(next_obs, np.float32)
            scores += reward
            playtimes += 1
            ended = terminated | truncated
            finished = nothing
            if ended.any():
                finished = Finished(scores[ended].tolist(), playtimes[ended].tolist())
                scores[ended], playtimes[ended] = 0, 0
            yield finished

    def get_state(self) -> dict[str, Any]:
        """The episodes under way, for `set_state`; their environments are somebody else's."""
        return {"obs": self._obs.copy(), "scores": self._scores.copy(), "playtimes": self._playtimes.copy()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from what `get_state` gave, with environments that go on from where they were."""
        self._obs = state["obs"]
        self._scores[:], self._playtimes[:] = state["scores"], state["playtimes"]

    def begin_anew(self, seeds: list[int]) -> None:
        """Begin new episodes with these seeds: those under way cannot go on, and what waits of them is dropped."""
        self._seeds, self._obs = seeds, None
        self._n_step.waiting[:] = 0
