import contextlib
import threading

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from fastlander import make_vec_env
from fastlander.evaluation.episodes import evaluate, evaluate_all


def lander_policy(obs):
    """A rough hand-made pilot: fires the main engine when falling fast, else steers upright."""
    obs = np.atleast_2d(obs)
    steer = np.where(obs[:, 4] + obs[:, 5] > 0.1, 3, np.where(obs[:, 4] + obs[:, 5] < -0.1, 1, 0))
    return np.where(obs[:, 3] < -0.3, 2, steer)


def slow_evaluate(seeds, limit):
    rows = []
    env = gym.make("LunarLander-v3", max_episode_steps=limit)
    for seed in seeds:
        obs, _ = env.reset(seed=seed)
        total, steps, terminated, truncated = 0.0, 0, False, False
        while not (terminated or truncated):
            obs, reward, terminated, truncated, _ = env.step(lander_policy(obs)[0])
            total, steps = total + reward, steps + 1
        rows.append((total, steps, reward, terminated))
    env.close()
    return rows


@pytest.mark.parametrize(("num_envs", "backend"), [(1, "sync"), (4, "sync"), (7, "sync"), (3, "async")])
def test_every_seed_is_played_as_a_single_environment_plays_it(num_envs, backend):
    seeds, limit = [11, 5, 900, 7, 8, 12, 1], 150
    env = make_vec_env(
        num_envs=num_envs, backend=backend, autoreset_mode=AutoresetMode.DISABLED, max_episode_steps=limit
    )
    evaluation = evaluate(lander_policy, env, seeds)
    env.close()
    expected = slow_evaluate(seeds, limit)
    got = zip(evaluation.returns, evaluation.playtimes, evaluation.last_rewards, evaluation.terminated, strict=True)
    assert list(got) == expected
    assert 0 < evaluation.terminated.sum() < len(seeds)


@pytest.mark.parametrize("processors", [1, 2])
@pytest.mark.parametrize("backend", ["native", "sync"])
def test_policies_side_by_side_are_judged_as_alone(backend, processors):
    def idle(obs):
        return np.zeros(len(obs), np.int64)

    seeds, limit = [11, 5, 900, 7, 8], 150
    settings = {"backend": backend, "autoreset_mode": AutoresetMode.DISABLED, "max_episode_steps": limit}
    policies = [lander_policy, idle, lander_policy]
    together = evaluate_all(policies, make_vec_env(num_envs=6, **settings), seeds, processors)
    alone = [evaluate(policy, make_vec_env(num_envs=2, **settings), seeds) for policy in (lander_policy, idle)]
    for one, other in zip(together, [*alone, alone[0]], strict=True):
        for a, b in zip(vars(one).values(), vars(other).values(), strict=True):
            assert np.array_equal(a, b)
    assert together[0].mean != together[1].mean


def test_an_error_of_a_policy_that_a_second_thread_asks_is_raised():
    def broken(obs):
        raise KeyError("broken")

    with contextlib.closing(make_vec_env(num_envs=2, autoreset_mode=AutoresetMode.DISABLED)) as env:
        with pytest.raises(KeyError, match="broken"):
            evaluate_all([lander_policy, broken], env, [1], processors=2)
        assert not [thread for thread in threading.enumerate() if "ThreadPool" in thread.name]
