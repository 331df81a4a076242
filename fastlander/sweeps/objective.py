"""What a sweep makes better: the value of a seed, and of several."""

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from fastlander.config import Config
from fastlander.storage.seeds_directory import SeedRow
from fastlander.validation import InputError

Objective = Literal["steps", "seconds", "return"]
OBJECTIVES: tuple[str, ...] = get_args(Objective)
WORDS = {"steps": "steps until solved", "seconds": "seconds until solved", "return": "greedy mean return"}
"""What each objective is called."""
FORMS = {"steps": ",.0f", "seconds": ",.2f", "return": ",.1f"}
"""How values of each are written."""


def seed_value(objective: str, row: SeedRow, config: Config) -> float:
    """The value of a seed that has ended.

    steps, seconds: until solved. A seed that was not solved counts with the whole budget, `config.total_timesteps`,
    and with the seconds that this would have taken at its own speed. return: the mean greedy return of its policy.

    Raises:
        ValueError: there is no greedy return, as in a table that was altered.
    """
    if objective == "return":
        if row.eval_mean is None:
            raise InputError(f"the policy of seed {row.seed} must have been judged, got no mean return")
        return row.eval_mean
    budget = row.timesteps if row.solved else max(row.timesteps, config.total_timesteps)
    return float(budget) if objective == "steps" else row.seconds * budget / max(row.timesteps, 1)


def loss_of(objective: str, value: float) -> float:
    """`value` as a number of which the lower is the better."""
    return -value if objective == "return" else value


def mean_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean and its 95% interval by Student's t distribution; of one value, the interval is that value."""
    from scipy.special import stdtrit

    sample = np.asarray(values, np.float64)
    mean = float(sample.mean())
    if len(sample) < 2:
        return mean, mean, mean
    half = float(stdtrit(len(sample) - 1, 0.975) * sample.std(ddof=1) / len(sample) ** 0.5)
    return mean, mean - half, mean + half


def shown_interval(objective: str, values: Sequence[float]) -> tuple[str, str]:
    """Mean and interval as texts. One value has no interval."""
    mean, low, high = mean_interval(values)
    form = FORMS[objective]
    return f"{mean:{form}}", f"{low:{form}} to {high:{form}}" if len(values) > 1 else "one seed"


def described(objective: str, values: Sequence[float]) -> str:
    """Mean and interval in words."""
    mean, between = shown_interval(objective, values)
    return f"{mean} ({between})"
