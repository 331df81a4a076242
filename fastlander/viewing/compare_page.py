"""The page that compares methods: a table with intervals, learning curves, returns, pairs, settings that differ."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastlander.evaluation.scores import WINDOW
from fastlander.evaluation.statistics import interquartile_band, mean_band
from fastlander.storage.methods import EndedRun, Method, known_score
from fastlander.viewing.comparison import Comparison, Estimate, Figures
from fastlander.viewing.page import build_page, footer, rounded
from fastlander.viewing.report_page import FEWEST_EPISODES

POINTS = 120  # of a curve
LOWEST_SHOWN = 1  # percentile of the returns at the left edge of their distribution
COLOURS = 8  # of methods; from then on lines are dashed
PAIRS_SHOWN = 10  # more of them are in a table that has to be opened


def compare_page(comparison: Comparison) -> str:
    """The HTML of a comparison. It loads nothing else."""
    methods, config = comparison.methods, comparison.methods[0].runs[0].config
    thresholds = sorted({score for one in methods if (score := known_score(one.runs[0].config)) is not None})
    values = {
        "title": f"{config.env_id}: {_names(methods)}",
        "lead": _lead(comparison.figures),
        "rows": _rows(comparison.figures),
        "labels": [method.label for method in methods],
        "colours": COLOURS,
        "unfinished": [one for one in comparison.figures if one.seeds < one.asked],
        "can_be_solved": bool(thresholds),
        "thresholds": " or ".join(f"{score:g}" for score in thresholds),
        "window": WINDOW,
        "no_curve": [method.label for method in methods if not _curved(method)],
        "fewest": FEWEST_EPISODES,
        "pairs": [
            (pair.method, pair.other, shown(pair.greedy, ".2f"), _pair_place(pair.greedy),
             shown(pair.steps, ".2f") if pair.steps else None, _pair_place(pair.steps) if pair.steps else None)
            for pair in comparison.pairs
        ],
        "pairs_shown": PAIRS_SHOWN,
        "differences": comparison.differences,
        "footer": footer(),
        "data": {"curves": curves(methods, thresholds), "returns": distributions(methods)},
    }  # fmt: skip
    return build_page("compare.html", ["replay.css", "report.css", "compare.css"], ["charts.js", "compare.js"], values)


def shown(estimate: Estimate, form: str) -> tuple[str, str]:
    """A figure and its interval as texts. The second one is empty where there is no interval.

    form: of a number, as `format` takes it.
    """
    interval = "" if math.isnan(estimate.low) else f"{estimate.low:{form}} to {estimate.high:{form}}"
    return f"{estimate.value:{form}}", interval


def curves(methods: Sequence[Method], thresholds: Sequence[float]) -> dict[str, Any]:
    """The record that `web/compare.js` draws as learning curves.

    Of each seed it takes the mean of its last `WINDOW` training scores, at `POINTS` steps that all seeds of a method
    share, and of these the interquartile mean over seeds with its 95% bootstrap interval at each point. The curve
    begins when every seed has `FEWEST_EPISODES`. A seed that has ended keeps its last value, as it keeps its policy. A
    seed that never has so many episodes is left out.
    """
    series = []
    for method in methods:
        runs = _curved(method)
        if not runs:
            series.append(_series(np.zeros(0), np.zeros((1, 0)), interquartile_band))
            continue
        start = max(run.ends[FEWEST_EPISODES - 1] for run in runs)
        steps = np.linspace(start, max(start, *(run.timesteps for run in runs)), POINTS).round()
        values = np.array([running_mean(run, steps) for run in runs])
        training = [sum(1 for run in runs if run.timesteps >= step) for step in steps]
        series.append(_series(steps, values, interquartile_band) | {"seeds": len(runs), "training": training})
    lows, highs = ([value for one in series for value in one[end]] for end in ("low", "high"))
    low, high = min([*lows, *thresholds], default=0), max([*highs, *thresholds], default=1)
    margin = 0.04 * (high - low) or 1.0
    return {
        "label": "Learning curves",
        "xTitle": "timesteps",
        "yTitle": "training return",
        "x": [0, int(max([*(step for one in series for step in one["x"]), 1]))],
        "y": [float(low - margin), float(high + margin)],
        "data": {"series": series, "levels": list(thresholds), "digits": 1},
    }


def running_mean(run: EndedRun, steps: np.ndarray) -> np.ndarray:
    """The mean of the last `WINDOW` training scores at each of these steps, float64[points].

    At each at least one episode must have ended. After the end of the run it is the last one.
    """
    sums = np.concatenate([[0.0], np.cumsum(run.scores)])
    count = np.searchsorted(run.ends, steps, "right")
    since = np.maximum(count - WINDOW, 0)
    return (sums[count] - sums[since]) / (count - since)


def distributions(methods: Sequence[Method]) -> dict[str, Any]:
    """The record that `web/compare.js` draws as distributions of the returns of the greedy episodes.

    Of each seed it takes the share of its episodes whose return is above each of `POINTS` returns, and of these the
    mean over seeds with its 95% bootstrap interval: the score distribution of Agarwal et al. 2021 (section 4.3).
    """
    returns = [[np.sort(run.returns) for run in method.runs] for method in methods]
    # A few terrible episodes would press all others to the right.
    low = min(float(np.percentile(np.concatenate(one), LOWEST_SHOWN)) for one in returns)
    high = max(float(run[-1]) for one in returns for run in one)
    margin = 0.02 * (high - low) or max(1.0, 0.1 * abs(low))
    levels = np.linspace(low - margin, high + margin, POINTS)
    series = [
        _series(levels, np.array([1 - np.searchsorted(run, levels, "right") / len(run) for run in one]), mean_band, 4)
        for one in returns
    ]
    return {
        "label": "Distribution of returns",
        "xTitle": "return",
        "yTitle": "share of episodes above",
        "x": [float(levels[0]), float(levels[-1])],
        "y": [0, 1],
        "data": {"series": series, "levels": [], "digits": 3},
    }


def _curved(method: Method) -> list[EndedRun]:
    """The runs with enough episodes for a learning curve."""
    return [run for run in method.runs if len(run.ends) >= FEWEST_EPISODES]


def _series(x: np.ndarray, values: np.ndarray, band: Callable, digits: int = 2) -> dict[str, Any]:
    """A curve for a page: values float64[seeds, points] become their middle and its interval at each x."""
    middle, low, high = band(values) if values.size else (x, x, x)
    has_band = not np.isnan(low).any()
    return {
        "x": rounded(x),
        "mean": rounded(middle, digits),
        "low": rounded(low if has_band else middle, digits),
        "high": rounded(high if has_band else middle, digits),
        "band": has_band,
    }


def _names(methods: Sequence[Method]) -> str:
    return methods[0].label if len(methods) == 1 else f"{len(methods)} methods"


def _lead(figures: Sequence[Figures]) -> str:
    """The sentence at the top."""
    seeds = sum(one.seeds for one in figures)
    line = f"{seeds:,} run{'s' * (seeds > 1)} of {len(figures)} method{'s' * (len(figures) > 1)}"
    if all(one.solved is not None for one in figures):
        line += f", {sum(one.solved or 0 for one in figures):,} of them solved"
    best = max(figures, key=lambda one: one.greedy.value)
    return f"{line}. The highest greedy mean has {best.label}, {best.greedy.value:.1f}."


def _rows(figures: Sequence[Figures]) -> list[dict[str, Any]]:
    """The table of the page. Each cell with an interval also has the places where it is drawn."""
    columns = {"steps": ",.0f", "seconds": ",.1f", "greedy": ",.1f"}
    rows: list[dict[str, Any]] = [{"label": one.label, "worst": f"{one.worst:,.1f}", "figures": one} for one in figures]
    for name, form in columns.items():
        estimates = [getattr(one, name) for one in figures]
        ends = [end for one in estimates if one is not None for end in one if math.isfinite(end)]
        for row, one in zip(rows, estimates, strict=True):
            row[name] = (
                None if one is None else (*shown(one, form), _places(one, min(ends, default=0), max(ends, default=0)))
            )
    return rows


def _places(estimate: Estimate, low: float, high: float) -> tuple[float, float, float] | None:
    """Where value, low and high lie from the lowest to the highest number of a column, in percent; None if nowhere."""
    if not math.isfinite(estimate.value):
        return None
    ends = [estimate.value if math.isnan(end) else min(end, high) for end in estimate]
    value, first, last = (50.0 if high == low else round(100 * (end - low) / (high - low), 1) for end in ends)
    return value, first, last


def _pair_place(estimate: Estimate) -> tuple[float, float, float] | None:
    return _places(estimate, 0, 1)
