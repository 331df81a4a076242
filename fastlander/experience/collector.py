"""`Collector`: the environments of a run, from actions to transitions."""

from typing import Any, NamedTuple

import numpy as np
from gymnasium.vector import VectorEnv

from fastlander.environments import final_observations
from fastlander.experience.n_step import NStep, check_finite
from fastlander.experience.transition import Transition
from fastlander.lander.costs import GAME, CostWeights, weighed_rewards
from fastlander.states import Array, check_state


class Finished(NamedTuple):
    """The episodes that one vector step ended, in the order of their environments."""

    scores: list[float]  # sum of the rewards as the environment gave them
    playtimes: list[int]  # steps


NOTHING_FINISHED = Finished([], [])


class Collector:
    """Steps environments and turns each step into transitions; counts score and playtime of the open episodes.

    Args:
        env: N environments in SAME_STEP autoreset.
        seeds: one per environment, for the first episode; later ones go on in each environment's own stream.
        n_step: folds one-step transitions into n-step ones.
        weights: of the lander's costs in what is learned from. Scores do not change.
    """

    def __init__(self, env: VectorEnv, seeds: list[int], n_step: NStep, weights: CostWeights = GAME) -> None:
        self._env, self._seeds, self._n_step, self._weights = env, seeds, n_step, weights
        self._obs: np.ndarray | None = None
        self._scores = np.zeros(env.num_envs)  # of the open episodes
        self._playtimes = np.zeros(env.num_envs, np.int64)

    @property
    def obs(self) -> np.ndarray:
        """float32[N, obs_size]: what the next actions answer to. The first look resets the environments.

        Raises:
            ValueError: the environment gave an observation that is no finite number.
        """
        if self._obs is None:
            self._obs = self._env.reset(seed=self._seeds)[0].astype(np.float32)
            check_finite("observation", self._obs)
        return self._obs

    def step(self, action: np.ndarray) -> tuple[Transition, Finished]:
        """Step every environment once: the transitions that are complete now, and the episodes that ended.

        Args:
            action: int64[N].

        Returns:
            The transitions, arrays of 0 to N * n rows that the next call overwrites, and the finished episodes.

        Raises:
            ValueError: the environment gave a reward or an observation that is no finite number.
        """
        next_obs, reward, terminated, truncated, infos = self._env.step(action)
        final_obs = final_observations(next_obs, infos)
        learned = reward
        if self._weights != GAME:
            learned = weighed_rewards(reward, action, self.obs, final_obs, self._weights)
        transitions = self._n_step.fold(self.obs, action, learned, final_obs, terminated, truncated)
        self._obs = np.asarray(next_obs, np.float32)
        self._scores += reward
        self._playtimes += 1
        ended = terminated | truncated
        if not np.count_nonzero(ended):  # `any` takes several times as long for so few
            return transitions, NOTHING_FINISHED
        return transitions, self._finish(ended)

    @property
    def counters(self) -> tuple[np.ndarray, np.ndarray, tuple[float, ...]]:
        """For a kernel that steps: score and playtime of the open episodes, float64[N] and int64[N]; the weights."""
        return self._scores, self._playtimes, tuple(self._weights)

    def take_over(self, obs: np.ndarray, ended: np.ndarray | None) -> Finished:
        """Go on where a kernel has stepped the environments: what they show now, and whose episode ended, bool[N].

        The kernel has counted scores and playtimes in `counters`. `obs` is not copied. None: no episode ended.
        """
        self._obs = obs
        return NOTHING_FINISHED if ended is None else self._finish(ended)

    def _finish(self, ended: np.ndarray) -> Finished:
        finished = Finished(self._scores[ended].tolist(), self._playtimes[ended].tolist())
        self._scores[ended], self._playtimes[ended] = 0, 0
        return finished

    def get_state(self) -> dict[str, Any]:
        """The open episodes, for `set_state`: a copy. The environments' own state is not in it."""
        return {"obs": self.obs.copy(), "scores": self._scores.copy(), "playtimes": self._playtimes.copy()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from what `get_state` gave, with environments that go on from where they were.

        Raises:
            ValueError: another state; nothing is changed then.
        """
        num_envs = self._env.num_envs
        form = {
            "obs": Array(np.float32, self._env.observation_space.shape, finite=True),
            "scores": Array(np.float64, (num_envs,), finite=True),
            "playtimes": Array(np.int64, (num_envs,), low=0),
        }
        check_state("collector", state, form)
        self._obs = state["obs"].copy()
        self._scores[:], self._playtimes[:] = state["scores"], state["playtimes"]

    def restart(self, seeds: list[int]) -> None:
        """Drop the open episodes and begin new ones with these seeds."""
        self._seeds, self._obs = seeds, None
        self._n_step.waiting[:] = 0
