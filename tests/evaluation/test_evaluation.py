import numpy as np
import pytest

from fastlander.evaluation.evaluation import Evaluation, describe, pooled


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
