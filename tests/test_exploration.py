import numpy as np
import pytest
from scipy import stats

from fastlander import Config
from fastlander.exploration import epsilon_at, epsilon_exponents, epsilon_greedy


def test_the_linear_schedule_by_hand():
    config = Config(epsilon_start=1.0, epsilon_end=0.2, epsilon_timesteps=100)
    assert [epsilon_at(config, t, 0) for t in (0, 50, 100, 1000)] == pytest.approx([1.0, 0.6, 0.2, 0.2])


def test_the_per_episode_schedule_is_the_lecture_s():
    config = Config.preset("lecture")
    epsilon = 1.0
    for episode in range(160):
        assert epsilon_at(config, 10**6, episode) == pytest.approx(epsilon, rel=1e-12)
        epsilon *= 0.995


def test_the_per_episode_schedule_stops_at_epsilon_end():
    config = Config.preset("lecture", epsilon_end=0.5)
    assert epsilon_at(config, 0, 10_000) == 0.5


def test_exponents():
    assert epsilon_exponents(Config(num_envs=5)).tolist() == [1, 1.5, 2, 2.5, 3]
    assert epsilon_exponents(Config(num_envs=1)).tolist() == [1]
    assert epsilon_exponents(Config(num_envs=3, per_env_epsilon=False)).tolist() == [1, 1, 1]


def test_one_coin_per_environment():
    greedy, epsilon = np.full(4, 9), np.array([0.0, 0.25, 0.75, 1.0])
    rng = np.random.default_rng(0)
    actions = np.array([epsilon_greedy(greedy, epsilon, 4, rng) for _ in range(4000)])
    random = actions != 9
    shares = random.mean(axis=0)
    assert shares[0] == 0
    assert shares[3] == 1
    assert shares[1:3] == pytest.approx([0.25, 0.75], abs=0.03)
    assert abs(np.corrcoef(random[:, 1], random[:, 2])[0, 1]) < 0.05  # the coins do not fall together
    assert stats.chisquare(np.bincount(actions[:, 3])).pvalue > 1e-3  # random actions are uniform
