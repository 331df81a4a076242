"""Statistics over the seeds of one method, as Agarwal et al. 2021 ("Deep RL at the Edge of the Statistical Precipice").

They are those of scipy's `trim_mean` and `bootstrap`, but for rounding. To import scipy.stats would take a second.
"""

from collections.abc import Sequence

import numpy as np

RESAMPLES = 10_000
CONFIDENCE = (2.5, 97.5)
"""Percentiles of the resamples that are the ends of an interval."""
_AT_ONCE = 2**20  # numbers of the resamples that are in memory together


def interquartile_mean(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean of the middle half, and its 95% percentile bootstrap interval (Agarwal et al. 2021).

    The same values give the same interval.
    """
    sample = np.asarray(values, np.float64)
    rng, count = np.random.default_rng(0), len(sample)
    rows = max(_AT_ONCE // count, 1)
    sizes = [min(rows, RESAMPLES - first) for first in range(0, RESAMPLES, rows)]
    means = [_middle_mean(sample[rng.integers(0, count, (size, count))]) for size in sizes]
    low, high = np.percentile(np.concatenate(means), CONFIDENCE)
    return float(_middle_mean(sample[np.newaxis])[0]), float(low), float(high)


def _middle_mean(samples: np.ndarray) -> np.ndarray:
    """The mean of the middle half of each row: float64[R, N] -> float64[R]."""
    count = samples.shape[1]
    cut = count // 4
    ordered = np.partition(samples, (cut, count - cut - 1), axis=1)
    return ordered[:, cut : count - cut].mean(axis=1)
