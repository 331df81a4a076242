import numpy as np
import pytest
from scipy import stats

from fastlander.evaluation.statistics import RESAMPLES, interquartile_mean


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
