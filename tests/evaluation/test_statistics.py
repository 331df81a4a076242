import itertools

import numpy as np
import pytest
from scipy import stats

from fastlander.evaluation.statistics import RESAMPLES, interquartile_mean, probability_of_improvement


def test_the_interquartile_mean_by_hand():
    values = [1000, 3, 4, 5, 6, 0, -1000, 2]  # the middle half of 8 are 2, 3, 4, 5
    mean, low, high = interquartile_mean(values)
    assert mean == 3.5
    assert low < mean < high
    assert interquartile_mean(values) == (mean, low, high)


@pytest.mark.parametrize("count", [2, 3, 4, 5, 10, 37, 301])
def test_it_is_scipy_s(count):
    def middle(sample, axis):
        return stats.trim_mean(sample, 0.25, axis=axis)

    sample = np.random.default_rng(count).normal(5, 1, count)
    rng = np.random.default_rng(0)
    slow = stats.bootstrap((sample,), middle, n_resamples=RESAMPLES, method="percentile", rng=rng).confidence_interval
    expected = (middle(sample, 0), slow.low, slow.high)
    assert interquartile_mean(sample.tolist()) == pytest.approx(expected, rel=1e-14)


def test_the_interval_covers_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(200):
        _, low, high = interquartile_mean(rng.normal(5, 1, size=30))
        hits += low <= 5 <= high
    assert 0.88 <= hits / 200 <= 0.99


def slow_probability(x, y):
    return np.mean([(a > b) + 0.5 * (a == b) for a, b in itertools.product(x, y)])


@pytest.mark.parametrize(("of_x", "of_y"), [(12, 9), (10, 10), (60, 12)])
def test_the_probability_of_improvement_is_brute_force_s_and_scipy_s(of_x, of_y):
    rng = np.random.default_rng(of_x)
    x, y = rng.integers(0, 9, of_x).astype(float), rng.integers(0, 7, of_y).astype(float)  # with ties
    value, low, high = probability_of_improvement(x.tolist(), y.tolist())
    assert value == pytest.approx(slow_probability(x, y), abs=1e-12)
    assert value == pytest.approx(stats.mannwhitneyu(x, y).statistic / (of_x * of_y), abs=1e-12)
    assert low <= value <= high
    assert probability_of_improvement(x, y) == (value, low, high)
    back = probability_of_improvement(y, x)
    assert back == pytest.approx((1 - value, 1 - high, 1 - low), abs=0.03)
    slow = stats.bootstrap(
        (x, y), slow_probability, vectorized=False, n_resamples=1500, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    assert (low, high) == pytest.approx((slow.low, slow.high), abs=0.06)


def test_the_probability_of_improvement_at_its_ends():
    assert probability_of_improvement([5, 5, 5], [5, 5]) == (0.5, 0.5, 0.5)
    assert probability_of_improvement([6, 7, np.inf], [5, -np.inf]) == (1, 1, 1)
    assert probability_of_improvement([np.inf, np.inf], [np.inf, np.inf]) == (0.5, 0.5, 0.5)
    for x, y in (([1], [2]), ([1], range(100)), (range(100), [50])):
        value, low, high = probability_of_improvement(x, y)
        assert value == slow_probability(x, y)
        assert np.isnan([low, high]).all()


@pytest.mark.parametrize(
    ("x", "y", "name"), [([], [1], "x"), ([1], [], "y"), ([1, np.nan], [1], "x"), ([[1]], [1], "x")]
)
def test_what_has_no_probability_of_improvement(x, y, name):
    with pytest.raises(ValueError, match=f"^{name} must have one or more numbers, got"):
        probability_of_improvement(x, y)
