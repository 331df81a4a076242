import itertools

import pytest

from fastlander import Config
from fastlander.learner.schedules import crossings, epsilon_at, learning_rate_at


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


def test_the_learning_rate_by_hand():
    config = Config(learning_rate=1e-3, learning_rate_end=2e-4, total_timesteps=100)
    assert [learning_rate_at(config, t) for t in (0, 50, 100, 132)] == pytest.approx([1e-3, 6e-4, 2e-4, 2e-4])
    assert learning_rate_at(Config(learning_rate=1e-3), 10**6) == 1e-3


def test_crossings_count_every_multiple_once_whatever_the_stride():
    for stride in (1, 3, 32, 100):
        points = range(0, 2_000 + stride, stride)
        counted = sum(crossings(a, b, 7) for a, b in itertools.pairwise(points))
        assert counted == points[-1] // 7
