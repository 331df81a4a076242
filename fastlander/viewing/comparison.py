"""The figures of several methods beside each other: means over seeds with intervals, pairs, settings that differ."""

import itertools
import json
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from fastlander.config import setting_of
from fastlander.evaluation.statistics import interquartile_mean, probability_of_improvement
from fastlander.storage.methods import EndedRun, Method, known_score
from fastlander.storage.tables import table

COLUMNS = ("figure", "method", "other", "value", "low", "high", "seeds")
GREEDY, STEPS, SECONDS = "greedy mean", "steps until solved", "seconds until solved"


class Estimate(NamedTuple):
    """A figure and its 95% interval."""

    value: float
    low: float  # nan, as high, where a method has a single seed
    high: float


class Figures(NamedTuple):
    """What a method has reached. Means are interquartile means over its seeds."""

    label: str
    seeds: int  # that have ended
    asked: int
    solved: int | None  # how many of the seeds; None if no score counts as solved
    steps: Estimate | None  # until solved, infinite for a seed that was not; None if no score counts as solved
    seconds: Estimate | None
    greedy: Estimate  # of the final greedy mean
    worst: float  # the lowest greedy mean of a seed


class Pair(NamedTuple):
    """The probabilities of improvement of one method over another."""

    method: str
    other: str
    greedy: Estimate  # that a seed of `method` has a higher greedy mean than one of `other`
    steps: Estimate | None  # that it is solved after fewer steps; None if no score counts as solved


class Comparison(NamedTuple):
    """Several methods beside each other, in the order in which they were given."""

    methods: list[Method]
    figures: list[Figures]
    pairs: list[Pair]  # each two methods once, the first of them in order as `method`
    differences: list[tuple[str, list[str]]]  # a setting and its value in each method, as JSON

    def to_csv(self) -> bytes:
        """All figures as a table of `COLUMNS`: a row per figure of a method, and of a pair. Empty is what there is not.

        "inf" is a mean over more seeds that were not solved than it leaves out.
        """
        rows: list[tuple] = []
        for one in self.figures:
            rows.append(("seeds", one.label, None, one.asked, None, None, one.seeds))
            if one.solved is not None:
                rows.append(("solved", one.label, None, one.solved, None, None, one.seeds))
            for name, estimate in ((STEPS, one.steps), (SECONDS, one.seconds), (GREEDY, one.greedy)):
                if estimate is not None:
                    rows.append((name, one.label, None, *_cells(estimate), one.seeds))
            rows.append(("worst greedy mean", one.label, None, one.worst, None, None, one.seeds))
        for pair in self.pairs:
            for name, estimate in (("higher greedy mean", pair.greedy), ("fewer steps until solved", pair.steps)):
                if estimate is not None:
                    rows.append((f"probability of {name}", pair.method, pair.other, *_cells(estimate), None))
        return table(COLUMNS, rows)


def compare_methods(methods: Sequence[Method]) -> Comparison:
    """The figures of methods on one environment."""
    return Comparison(
        methods=list(methods),
        figures=[_figures(method) for method in methods],
        pairs=[_pair(method, other) for method, other in itertools.combinations(methods, 2)],
        differences=differences([method.runs[0] for method in methods]),
    )


def until_solved(method: Method, what: Callable[[EndedRun], float]) -> list[float]:
    """Steps or seconds of each seed until it was solved. A seed that was not is censored: infinity."""
    return [float(what(run)) if run.solved else math.inf for run in method.runs]


def differences(runs: Sequence[EndedRun]) -> list[tuple[str, list[str]]]:
    """The settings, but for the seed, that are not the same in all of these runs, and their values as JSON."""
    settings = [run.config.result_settings() for run in runs]
    names = [name for name in dict.fromkeys(itertools.chain(*settings)) if name != "seed"]
    rows = [(name, [json.dumps(setting_of(one, name)) for one in settings]) for name in names]
    return [(name, values) for name, values in rows if len(set(values)) > 1]


def _can_be_solved(method: Method) -> bool:
    return known_score(method.runs[0].config) is not None


def _figures(method: Method) -> Figures:
    runs, can = method.runs, _can_be_solved(method)
    means = [run.greedy_mean for run in runs]
    return Figures(
        label=method.label,
        seeds=len(runs),
        asked=method.asked,
        solved=sum(run.solved for run in runs) if can else None,
        steps=Estimate(*interquartile_mean(until_solved(method, lambda run: run.timesteps))) if can else None,
        seconds=Estimate(*interquartile_mean(until_solved(method, lambda run: run.seconds))) if can else None,
        greedy=Estimate(*interquartile_mean(means)),
        worst=min(means),
    )


def _pair(method: Method, other: Method) -> Pair:
    means = [[run.greedy_mean for run in one.runs] for one in (method, other)]
    steps = None
    if _can_be_solved(method) and _can_be_solved(other):
        # Fewer is better, and two that were not solved are equal.
        taken = [[-steps for steps in until_solved(one, lambda run: run.timesteps)] for one in (method, other)]
        steps = Estimate(*probability_of_improvement(*taken))
    return Pair(method.label, other.label, Estimate(*probability_of_improvement(*means)), steps)


def _cells(estimate: Estimate) -> list[float | None]:
    return [None if math.isnan(value) else value for value in estimate]
