"""Statistics over the seeds of one method, and what a leaderboard shows of one policy.

Over seeds: Agarwal et al. 2021, "Deep RL at the Edge of the Statistical Precipice".
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

RESAMPLES = 10_000
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
    """
    from scipy import stats  # here, as its import takes a second

    def middle(sample: np.ndarray, axis: int) -> np.ndarray:
        return stats.trim_mean(sample, 0.25, axis=axis)

    sample = np.asarray(values, np.float64)
    interval = stats.bootstrap(
        (sample,), middle, n_resamples=RESAMPLES, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    return float(middle(sample, 0)), float(interval.low), float(interval.high)


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
