"""Statistics over the seeds of one method (Agarwal et al. 2021, "Deep RL at the Edge of the Statistical Precipice")."""

from collections.abc import Sequence

import numpy as np

RESAMPLES = 10_000


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
