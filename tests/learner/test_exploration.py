import numpy as np
import pytest
from scipy import stats

from fastlander import Config
from fastlander.learner.exploration import epsilon_exponents, epsilon_greedy


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
