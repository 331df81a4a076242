"""The page of a sweep: what was found, how it was judged, and every trial."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastlander.sweeps.objective import WORDS, described, loss_of, mean_interval, shown_interval
from fastlander.sweeps.outcome import Sweep
from fastlander.sweeps.space import Choices, Dimension, word
from fastlander.sweeps.study import COMPLETE, Trial
from fastlander.viewing.page import build_page, footer

STATES = {"COMPLETE": "all rounds", "PRUNED": "left the race", "FAIL": "failed", "RUNNING": "running"}
WORST_SHOWN = 90
"""Percentile of the values at the worse edge of a chart. Trials that learn nothing would press all others together."""


def sweep_page(outcome: Sweep) -> str:
    """The HTML of the page of a sweep that has ended."""
    plan, best = outcome.plan, outcome.best
    measured = {t.number: mean_interval(outcome.values[t.number]) for t in outcome.trials if t.number in outcome.values}
    rows = [_row(trial, outcome) for trial in outcome.trials]
    values = {
        "title": f"Sweep of {plan.config.env_id}",
        "lead": _lead(outcome),
        "tiles": _tiles(outcome),
        "best": [(name, word(value), word(getattr(plan.config, name))) for name, value in best.settings.items()],
        "names": [one.name for one in plan.space],
        "columns": [
            "trial",
            "seeds",
            WORDS[plan.objective],
            "95% interval",
            "ended",
            *(one.name for one in plan.space),
        ],
        "rows": rows,
        "footer": footer(),
        "data": _charts(outcome, measured),
    }
    return build_page("sweep.html", ["replay.css", "report.css", "sweep.css"], ["charts.js", "sweep.js"], values)


def _lead(outcome: Sweep) -> str:
    """The sentence at the top."""
    plan, best = outcome.plan, outcome.best
    found = f"{len(outcome.trials)} trials in {outcome.seconds / 60:.1f} min. The best, trial {best.number}, has "
    found += f"{WORDS[plan.objective]} {described(plan.objective, outcome.values[best.number])} over its seeds."
    if outcome.judgement is None:
        return f"{found} These are the settings that the sweep began with: no others did better."
    return found


def _tiles(outcome: Sweep) -> list[tuple[str, str, str]]:
    """Name, value and remark of each figure below that sentence."""
    plan, judged = outcome.plan, outcome.judgement
    if judged is None:
        return []
    tiles = []
    for name, values in (("Best", judged.best), ("Before", judged.start)):
        if values:
            mean, between = shown_interval(plan.objective, values)
            tiles.append((f"{name}: {WORDS[plan.objective]}", mean, f"{len(values)} fresh seeds, 95%: {between}"))
    if judged.improvement is not None:
        chance, low, high = judged.improvement
        tiles.append(("Probability of improvement", f"{chance:.2f}", f"95%: {low:.2f} to {high:.2f}"))
    return tiles


def _row(trial: Trial, outcome: Sweep) -> dict[str, Any]:
    """A line of the table of trials."""
    cells: list[Any] = ["", "", ""]
    if trial.number in outcome.values:
        cells = [max(trial.history), *shown_interval(outcome.plan.objective, outcome.values[trial.number])]
    ended = STATES[trial.state] if trial.failed is None else f"failed: {trial.failed}"
    return {
        "best": trial.number == outcome.best.number,
        "cells": [trial.number, *cells, ended, *map(word, trial.settings.values())],
    }


def _charts(outcome: Sweep, measured: dict[int, tuple[float, float, float]]) -> dict[str, Any]:
    """The data of `web/sweep.js`."""
    plan = outcome.plan
    trials = [trial for trial in outcome.trials if trial.number in measured]
    lows, highs = zip(*[measured[t.number][1:] for t in trials if t.state == COMPLETE], strict=True)
    means = [measured[trial.number][0] for trial in trials]
    if plan.objective == "return":
        y = [min(min(lows), float(np.percentile(means, 100 - WORST_SHOWN))), max(*highs, *means)]
    else:
        y = [min(*lows, *means), max(max(highs), float(np.percentile(means, WORST_SHOWN)))]
    margin = 0.04 * (y[1] - y[0]) or 1.0
    y = [y[0] - margin, y[1] + margin]

    def point(trial: Trial, x: float) -> dict[str, Any]:
        mean, low, high = measured[trial.number]
        value = described(plan.objective, outcome.values[trial.number])
        told = [f"trial {trial.number}, {max(trial.history)} seeds", value]
        told += [f"{name} {word(value)}" for name, value in trial.settings.items()]
        return {"x": x, "y": mean, "low": low, "high": high, "complete": trial.state == COMPLETE, "told": told}

    def chart(label: str, title: str, x: Sequence[float], points: list[dict], **more: Any) -> dict[str, Any]:
        data = {"points": points, "best": {"x": [], "y": []}}
        whole = {"label": label, "xTitle": title, "yTitle": WORDS[plan.objective], "x": list(x), "y": y, "data": data}
        return {**whole, **more}

    last = max(outcome.trials[-1].number, 1)
    over = chart("Values of the trials", "trial", (0, last), [point(trial, trial.number) for trial in trials])
    over["data"]["best"] = _best_so_far(trials, plan.objective, last)
    settings = []
    for one in plan.space:
        x, ticks = _axis(one)
        points = [point(trial, _position(one, trial.settings[one.name])) for trial in trials]
        more = {} if ticks is None else {"xTicks": ticks}
        settings.append(chart(f"{one.name} and {WORDS[plan.objective]}", one.name, x, points, **more))
    return {"trials": over, "settings": settings}


def _best_so_far(trials: Sequence[Trial], objective: str, last: int) -> dict[str, list[float]]:
    """Corners of the line of the best value so far, of trials through all rounds."""
    xs: list[float] = []
    ys: list[float] = []
    for trial in trials:
        if trial.state == COMPLETE and (not ys or loss_of(objective, trial.value) < loss_of(objective, ys[-1])):
            xs += [trial.number] * (2 if ys else 1)
            ys += [*ys[-1:], trial.value]
    return {"x": [*xs, last], "y": [*ys, *ys[-1:]]}


def _axis(one: Dimension) -> tuple[tuple[float, float], list[tuple[float, str]] | None]:
    """The range of the x axis of a setting, and what is written on it; None where that are the numbers themselves."""
    if isinstance(one, Choices):
        return (-0.5, len(one.values) - 0.5), [(k, word(value)) for k, value in enumerate(one.values)]
    if not one.log:
        return (one.low, one.high), None
    low, high = math.log10(one.low), math.log10(one.high)
    steps = [
        (math.log10(m * 10.0**k), f"{m * 10.0**k:g}") for k in range(math.floor(low), math.ceil(high)) for m in (1, 3)
    ]
    return (low, high), [
        step for step in [*steps, (math.ceil(high), f"{10.0 ** math.ceil(high):g}")] if low <= step[0] <= high
    ]


def _position(one: Dimension, value: Any) -> float:
    """Where a value stands on that axis."""
    if isinstance(one, Choices):
        return one.values.index(value)
    return math.log10(value) if one.log else value
