"""Greedy episodes, many side by side: policies to `Evaluation`s."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv

from fastlander.config import Config
from fastlander.environments import find_spec, make_vec_env, training_limit
from fastlander.evaluation.evaluation import Evaluation
from fastlander.kernels.processor import available_processors

if TYPE_CHECKING:
    from fastlander.evaluation.flights import FusedFlights

MAX_EVAL_ENVS, MAX_NATIVE_EVAL_ENVS = 16, 128  # environments that play side by side for each policy
MAX_THREADS = 4  # threads that step them

Policy = Callable[[np.ndarray], np.ndarray]
"""float32[N, obs_size] -> int64[N], for any N."""


def evaluate(policy: Policy, env: VectorEnv, seeds: list[int]) -> Evaluation:
    """Play one episode per seed: `evaluate_all` for one policy."""
    return evaluate_all([policy], env, seeds)[0]


def evaluate_all(policies: Sequence[Policy], env: VectorEnv, seeds: list[int], processors: int = 1) -> list[Evaluation]:
    """Play one episode per seed with each policy, side by side.

    Every episode that is begun is finished and counted. To stop at the first E that end would favour short ones.

    Args:
        policies: P of them.
        env: N environments with autoreset DISABLED; the first N / P are the first policy's, and so on.
        seeds: E seeds; episode i of every policy is what the environment plays from seed i.
        processors: how many may be used to choose actions; this changes no result. With more than one, a second thread
            asks every other policy.
    """
    count, n = len(seeds), env.num_envs // len(policies)
    evaluations = [
        Evaluation(np.zeros(count), np.zeros(count, np.int64), np.zeros(count), np.zeros(count, bool), np.array(seeds))
        for _ in policies
    ]
    # Which episode each environment plays. An episode numbered `count` or above is not recorded.
    episode = np.tile(np.arange(n), len(policies))
    begun, left = [n] * len(policies), len(policies) * count
    returns, playtimes = np.zeros(env.num_envs), np.zeros(env.num_envs, np.int64)
    # Native landers without an episode left stand still. Other environments have to play on.
    rests = hasattr(env, "step_some")
    playing = (episode < count) | (not rests)
    # Of each policy, where it plays.
    rows_of = [k * n + np.flatnonzero(playing[k * n : (k + 1) * n]) for k in range(len(policies))]
    obs, _ = env.reset(seed=(seeds[:n] + seeds[:1] * (n - count)) * len(policies))
    with _stepper(policies, env, rests, processors) as step:
        while left:
            obs, reward, terminated, truncated = step(obs, rows_of, playing, returns, playtimes)
            ended = terminated | truncated
            if not np.count_nonzero(ended):
                continue
            new_seeds: list[int | None] = [None] * env.num_envs
            for i in np.flatnonzero(ended):
                k, j = i // n, episode[i]
                if j < count:
                    evaluations[k].returns[j], evaluations[k].playtimes[j] = returns[i], playtimes[i]
                    evaluations[k].last_rewards[j], evaluations[k].terminated[j] = reward[i], terminated[i]
                    left -= 1
                episode[i] = begun[k]
                playing[i] = begun[k] < count or not rests
                new_seeds[i] = seeds[begun[k]] if begun[k] < count else seeds[0]
                begun[k] += 1
            rows_of = [k * n + np.flatnonzero(playing[k * n : (k + 1) * n]) for k in range(len(policies))]
            returns[ended], playtimes[ended] = 0, 0
            if (ended & playing).any():
                obs, _ = env.reset(seed=new_seeds, options={"reset_mask": ended & playing})
    return evaluations


@contextlib.contextmanager
def _stepper(policies: Sequence[Policy], env: VectorEnv, rests: bool, processors: int) -> Iterator[Callable[..., Any]]:
    """A function that steps those that play, once, or several times until an episode ends.

    It takes the observations, of each policy where it plays, bool[N] of those that play, and the returns and playtimes
    to add to. It gives the observations, rewards and flags of the last step.
    """
    fused = _fused_flights(policies, env) if rests else None
    actions = np.zeros(env.num_envs, np.int64)
    with _chooser(policies, processors) as choose:

        def step(obs, rows_of, playing, returns, playtimes):
            if fused is not None and fused.are_ready():
                return fused.take(playing, returns, playtimes)
            choose(np.asarray(obs, np.float32), rows_of, actions)
            obs, reward, terminated, truncated, _ = env.step_some(actions, playing) if rests else env.step(actions)
            returns += reward
            playtimes += 1
            return obs, reward, terminated, truncated

        yield step


def _fused_flights(policies: Sequence[Policy], env: VectorEnv) -> "FusedFlights | None":
    """What takes the steps of native landers in a kernel, if that can be."""
    from fastlander.evaluation.flights import FusedFlights

    return FusedFlights(policies[0], env) if FusedFlights.fit(policies, env) else None


@contextlib.contextmanager
def _chooser(
    policies: Sequence[Policy], processors: int
) -> Iterator[Callable[[np.ndarray, list[np.ndarray], np.ndarray], None]]:
    """A function that asks each policy for the actions of its rows: (inputs, rows_of, actions to write)."""

    def choose(
        inputs: np.ndarray, rows_of: list[np.ndarray], actions: np.ndarray, first: int = 0, step: int = 1
    ) -> None:
        for policy, rows in list(zip(policies, rows_of, strict=True))[first::step]:
            if len(rows):
                actions[rows] = policy(inputs[rows])

    if processors < 2 or len(policies) < 2:
        yield choose
        return
    with ThreadPoolExecutor(1) as helper:

        def choose_together(inputs: np.ndarray, rows_of: list[np.ndarray], actions: np.ndarray) -> None:
            others = helper.submit(choose, inputs, rows_of, actions, 1, 2)
            choose(inputs, rows_of, actions, 0, 2)
            others.result()

        yield choose_together


def make_eval_env(config: Config, episodes: int, policies: int = 1, processors: int | None = None) -> VectorEnv:
    """Environments for `evaluate_all`, with their own time limit, or the training one where they have none.

    processors: how many may be used; this changes no result. None is all that this process may use.
    """
    limit = None if find_spec(config.env_id).max_episode_steps else training_limit(config)
    threads = {"num_threads": min(MAX_THREADS, processors or available_processors())}
    return make_vec_env(
        config.env_id,
        min(episodes, most_eval_envs(config)) * policies,
        backend=config.backend,
        autoreset_mode=AutoresetMode.DISABLED,
        max_episode_steps=limit,
        **config.env_kwargs,
        **(threads if config.is_native else {}),
    )


def most_eval_envs(config: Config) -> int:
    """Environments that play side by side for each policy, at most."""
    return MAX_NATIVE_EVAL_ENVS if config.is_native else MAX_EVAL_ENVS
