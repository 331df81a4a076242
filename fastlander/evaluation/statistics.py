"""Statistics over the seeds of one method, and what a leaderboard shows of one policy.

Over seeds: Agarwal et al. 2021, "Deep RL at the Edge of the Statistical Precipice".
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from fastlander.validation import InputError

RESAMPLES = 10_000
BAND_RESAMPLES = 2_000  # at each point of a curve
LARGEST_BATCH = 2**22  # numbers that the resamples of a moment have
CENSORED = 1e30  # stands for infinity; steps and seconds are far from it
TRIAL_EPISODES, TRIALS = 10, 50
"""Episodes of an evaluation as the Hugging Face course makes it, and of how many evaluations the best is taken."""


class Trial(NamedTuple):
    """A short evaluation of a policy."""

    mean: float
    std: float  # divided by N, not N - 1, as Stable-Baselines3 has it
    count: int  # of the evaluations that it is the best of


def interquartile_mean(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean of the middle half, and its 95% percentile bootstrap interval (Agarwal et al. 2021).

    The same values give the same interval.

    Args:
        values: one per seed. Infinite ones are of seeds that never got there (censored): the mean is infinite where one
            of them is in the middle half.

    Returns:
        The mean, and the low and the high end of its interval, which are nan for a single seed.
    """
    sample = np.asarray(values, np.float64)
    if len(sample) == 1:
        return float(sample[0]), math.nan, math.nan
    # Infinity times 0, as percentiles have it between two values, is no number; so a huge one stands for it.
    censored = np.isinf(sample)
    if censored.any():
        sample = np.where(censored, CENSORED, sample)
    ends = (float(_middle(sample, 0)), *map(float, _interval(sample, _middle, RESAMPLES)))
    mean, low, high = (math.inf if end > CENSORED / 10**9 and censored.any() else end for end in ends)
    return mean, low, high


def interquartile_band(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`interquartile_mean` at each of several points, from fewer resamples: (mean, low, high), float64[points] each.

    Args:
        values: float64[seeds, points]. A single seed has no interval: low and high are nan.
    """
    return _band(values, _middle)


def mean_band(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As `interquartile_band`, for the plain mean over seeds.

    Of the share of episodes above each return it is the score distribution of Agarwal et al. 2021 (section 4.3).
    """
    return _band(values, np.mean)


def _band(values: np.ndarray, of: Callable[..., np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    middle = of(values, axis=0)
    if len(values) == 1:
        return middle, np.full_like(middle, np.nan), np.full_like(middle, np.nan)
    return middle, *_interval(values, of, BAND_RESAMPLES)


def _middle(sample: np.ndarray, axis: int) -> np.ndarray:
    """The mean of the middle half."""
    from scipy import stats  # here, as its import takes a second

    return stats.trim_mean(sample, 0.25, axis=axis)


def _interval(sample: np.ndarray, of: Callable[..., np.ndarray], resamples: int) -> tuple[np.ndarray, np.ndarray]:
    """The 95% percentile bootstrap interval of a statistic over the first axis."""
    from scipy import stats

    batch = max(1, LARGEST_BATCH // sample.size)
    rng = np.random.default_rng(0)
    low, high = stats.bootstrap(
        (sample,), of, n_resamples=resamples, batch=batch, axis=0, vectorized=True, method="percentile", rng=rng
    ).confidence_interval
    return low, high


def probability_of_improvement(x: Sequence[float], y: Sequence[float]) -> tuple[float, float, float]:
    """P(X > Y) + P(X = Y) / 2 for one seed of each method, and its 95% percentile bootstrap interval.

    This is the probability of improvement of Agarwal et al. 2021 (`rliable.metrics.probability_of_improvement`) for one
    task: the Mann-Whitney U of `x`, divided by the number of pairs of seeds. Each method is a stratum of the bootstrap:
    its seeds are drawn from its own. Every seed of `x` meets every seed of `y`; seeds are not paired by their numbers.
    The same values give the same interval.

    Args:
        x: a value of each seed of the method that may be better. Infinite values are allowed, and larger is better.
        y: the same of the other method; their counts may differ.

    Returns:
        The probability, and the low and the high end of its interval, which are nan if a method has only one seed.

    Raises:
        ValueError: a method has no value, or one that is not a number.
    """
    first, second = np.asarray(x, np.float64), np.asarray(y, np.float64)
    for name, values in (("x", first), ("y", second)):
        if values.ndim != 1 or not len(values) or np.isnan(values).any():
            raise InputError(f"{name} must have one or more numbers, got {values.tolist()}")
    wins = (first[:, None] > second) + 0.5 * (first[:, None] == second)  # [x, y]
    value = float(wins.mean())
    if min(len(first), len(second)) < 2:
        return value, math.nan, math.nan
    rng = np.random.default_rng(0)
    # How often a seed is drawn is all that counts: a resample's value is drawn_x @ wins @ drawn_y.
    drawn_x, drawn_y = (rng.multinomial(n, np.full(n, 1 / n), RESAMPLES) for n in wins.shape)
    low, high = np.percentile(((drawn_x @ wins) * drawn_y).sum(axis=1) / wins.size, (2.5, 97.5))  # sums are exact
    return value, float(low), float(high)


def best_trial(returns: np.ndarray) -> Trial:
    """The best of up to 50 evaluations of 10 episodes each: what leaderboards show of who evaluates often.

    The episodes are taken in order. The best evaluation has the largest mean minus standard deviation, by which the
    leaderboard of the Hugging Face course ranks. As the best was chosen by its result, it is better than the policy.

    Args:
        returns: float64[E] of episodes of one policy, at least 10.
    """
    count = min(TRIALS, len(returns) // TRIAL_EPISODES)
    trials = np.asarray(returns, np.float64)[: count * TRIAL_EPISODES].reshape(count, TRIAL_EPISODES)
    means, stds = trials.mean(axis=1), trials.std(axis=1)
    best = int(np.argmax(means - stds))
    return Trial(float(means[best]), float(stds[best]), count)
