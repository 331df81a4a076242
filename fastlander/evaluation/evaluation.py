"""`Evaluation`: returns of greedy episodes, with confidence intervals."""

import dataclasses
import statistics
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from fastlander.config import is_lander

BYTES_PER_EPISODE = 200
"""Memory that a judged episode takes, at least: its seed, its outcome, and its rows of the tables and the report."""


@dataclass(frozen=True)
class Evaluation:
    """The outcome of E episodes, in the order of their seeds."""

    returns: np.ndarray  # float64[E], sum of rewards
    playtimes: np.ndarray  # int64[E], steps
    last_rewards: np.ndarray  # float64[E], reward of the final step
    terminated: np.ndarray  # bool[E], ended by the environment; False: cut by the time limit
    seeds: np.ndarray  # int64[E], with which the environment was reset

    @property
    def mean(self) -> float:
        """Mean return."""
        return float(self.returns.mean())

    @property
    def std(self) -> float:
        """Sample standard deviation of the returns; nan for a single episode."""
        return float(self.returns.std(ddof=1)) if len(self.returns) > 1 else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """95% confidence interval of the mean return (normal approximation; nan for a single episode)."""
        half = half_interval(self.std, len(self.returns))
        return self.mean - half, self.mean + half

    @property
    def landings(self) -> np.ndarray:
        """bool[E]: the lander came to rest, for which LunarLander's last reward is +100."""
        return self.terminated & (self.last_rewards == 100)

    @property
    def crashes(self) -> np.ndarray:
        """bool[E]: the lander crashed or flew out of sight, for which LunarLander's last reward is -100."""
        return self.terminated & (self.last_rewards == -100)

    @property
    def timeouts(self) -> np.ndarray:
        """bool[E]: cut by the time limit."""
        return ~self.terminated

    def passes(self, score: float | None, landings: float) -> bool:
        """Whether these episodes, at least one, have a mean return of `score` and this share of landings.

        No score is never reached.
        """
        if score is None or not len(self.returns) or self.mean < score:
            return False
        return bool(self.landings.mean() >= landings)

    def part(self, start: int, stop: int | None = None) -> "Evaluation":
        """The episodes from `start` to before `stop`."""
        return Evaluation(**{name: values[start:stop] for name, values in vars(self).items()})


class Judgement(NamedTuple):
    """The evaluation of a greedy policy at some moment of a run."""

    timesteps: int  # of the run at that moment
    evaluation: Evaluation


def half_interval(std: float, count: int) -> float:
    """Half of the 95% confidence interval of a mean of `count` samples (normal approximation)."""
    return statistics.NormalDist().inv_cdf(0.975) * std / count**0.5


def pooled(*evaluations: Evaluation) -> Evaluation:
    """Several evaluations of one policy as one."""
    names = [field.name for field in dataclasses.fields(Evaluation)]
    return Evaluation(**{name: np.concatenate([getattr(e, name) for e in evaluations]) for name in names})


def describe(env_id: str, evaluation: Evaluation) -> str:
    """The evaluation in a few lines of text."""
    low, high = evaluation.interval
    lines = [
        f"{'episodes':<22}{len(evaluation.returns)}",
        f"{'mean return':<22}{evaluation.mean:.2f}",
        f"{'standard deviation':<22}{evaluation.std:.2f}",
        f"{'95% confidence':<22}{low:.2f} to {high:.2f}",
        f"{'mean playtime':<22}{evaluation.playtimes.mean():.1f} steps",
    ]
    if is_lander(env_id):
        lines += [_share("returns below 200", evaluation.returns < 200)]
        lines += [_share("landings", evaluation.landings), _share("crashes", evaluation.crashes)]
    else:
        lines += [_share("terminations", evaluation.terminated)]
    return "\n".join([*lines, _share("time-outs", evaluation.timeouts)])


def _share(name: str, which: np.ndarray) -> str:
    return f"{name:<22}{which.mean():.1%}"
