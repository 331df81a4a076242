import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from fastlander import make_vec_env
from fastlander.evaluation.episodes import evaluate, evaluate_all
from fastlander.evaluation.evaluation import Evaluation, describe, pooled


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


@pytest.mark.parametrize("backend", ["native", "sync"])
def test_policies_side_by_side_are_judged_as_alone(backend):
    def idle(obs):
        return np.zeros(len(obs), np.int64)

    seeds, limit = [11, 5, 900, 7, 8], 150
    settings = {"backend": backend, "autoreset_mode": AutoresetMode.DISABLED, "max_episode_steps": limit}
    together = evaluate_all([lander_policy, idle, lander_policy], make_vec_env(num_envs=6, **settings), seeds)
    alone = [evaluate(policy, make_vec_env(num_envs=2, **settings), seeds) for policy in (lander_policy, idle)]
    for one, other in zip(together, [*alone, alone[0]], strict=True):
        for a, b in zip(vars(one).values(), vars(other).values(), strict=True):
            assert np.array_equal(a, b)
    assert together[0].mean != together[1].mean


def by_hand():
    return Evaluation(
        returns=np.array([250.0, -120.0, 50.0, 220.0]),
        playtimes=np.array([200, 80, 1000, 300]),
        last_rewards=np.array([100.0, -100.0, 0.3, 100.0]),
        terminated=np.array([True, True, False, True]),
        seeds=np.array([3, 1, 4, 2]),
    )


def test_statistics_by_hand():
    evaluation = by_hand()
    assert evaluation.mean == 100
    assert evaluation.std == pytest.approx(np.sqrt((150**2 + 220**2 + 50**2 + 120**2) / 3))
    half = 1.959964 * evaluation.std / 2
    assert evaluation.interval == pytest.approx((100 - half, 100 + half))
    assert evaluation.landings.tolist() == [True, False, False, True]
    assert evaluation.crashes.tolist() == [False, True, False, False]
    assert evaluation.timeouts.tolist() == [False, False, True, False]


def test_a_landing_is_the_last_reward_of_100_not_a_high_score():
    cut_at_100 = Evaluation(np.array([300.0]), np.array([9]), np.array([100.0]), np.array([False]), np.array([1]))
    assert not cut_at_100.landings.any()


def test_description():
    lines = dict(line.rsplit("  ", 1) for line in describe("LunarLander-v3", by_hand()).splitlines())
    values = {name.strip(): value.strip() for name, value in lines.items()}
    assert values["mean return"] == "100.00"
    assert values["landings"] == "50.0%"
    assert values["crashes"] == "25.0%"
    assert values["time-outs"] == "25.0%"
    assert "landings" not in describe("CartPole-v1", by_hand())


def test_one_episode_has_no_deviation():
    one = Evaluation(np.array([1.0]), np.array([9]), np.array([1.0]), np.array([True]), np.array([1]))
    assert np.isnan(one.std)
    assert "nan to nan" in describe("CartPole-v1", one)


def test_pooling():
    both = pooled(by_hand(), by_hand())
    assert len(both.returns) == 8
    assert both.mean == 100
    assert both.landings.sum() == 4
