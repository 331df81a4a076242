"""Act, step, store: the side of DQN that meets the environments."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import numpy as np
from gymnasium.vector import VectorEnv

from fastlander.n_step import NStep, check_finite
from fastlander.replay_buffer import ReplayBuffer
from fastlander.vector_env import final_observations


class Finished(NamedTuple):
    """The episodes that one vector step ended, in the order of their environments."""

    scores: list[float]  # sum of the rewards as the environment gave them
    playtimes: list[int]  # steps


def collect(
    env: VectorEnv,
    seeds: list[int],
    act: Callable[[np.ndarray], np.ndarray],
    n_step: NStep,
    buffer: ReplayBuffer,
    meanwhile: Callable[[], AbstractContextManager] = nullcontext,
) -> Iterator[Finished]:
    """Step `env` for ever, store every transition, and yield after each vector step.

    Args:
        env: N environments in SAME_STEP autoreset.
        seeds: one per environment, for the first episode; later ones go on in each environment's own stream.
        act: float32[N, obs_size] -> int64[N].
        n_step: folds the rewards on the way to the buffer.
        buffer: takes the transitions.
        meanwhile: what acting and stepping happen within; the storing of what they lead to comes after it.

    Raises:
        ValueError: the environment gave a reward or an observation that is no finite number.
    """
    scores, playtimes = np.zeros(env.num_envs), np.zeros(env.num_envs, np.int64)
    obs = env.reset(seed=seeds)[0].astype(np.float32)
    check_finite("observation", obs)
    nothing = Finished([], [])
    while True:
        with meanwhile():
            action = act(obs)
            next_obs, reward, terminated, truncated, infos = env.step(action)
            final_obs = final_observations(next_obs, infos)
            transitions = n_step.fold(obs, action, reward, final_obs, terminated, truncated)
        buffer.extend_unchecked(transitions)
        scores += reward
        playtimes += 1
        ended = terminated | truncated
        if ended.any():
            yield Finished(scores[ended].tolist(), playtimes[ended].tolist())
            scores[ended], playtimes[ended] = 0, 0
        else:
            yield nothing
        obs = np.asarray(next_obs, np.float32)
