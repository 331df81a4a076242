"""The report of a run as one self-contained page: figures, landings, learning curve, returns, settings."""

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastlander.config import LANDER_ID, Backend, Config, setting_of
from fastlander.environments import solved_score
from fastlander.evaluation.evaluation import Evaluation, Judgement, half_interval
from fastlander.evaluation.scores import WINDOW
from fastlander.learner.fused.policy import FusedPolicy
from fastlander.learner.parameters import Parameters
from fastlander.storage.files import EPISODES_FILE, EVALUATIONS_FILE, METRICS_FILE
from fastlander.storage.model_file import load_parameters
from fastlander.storage.tables import EPISODE_COLUMNS, read_finite_table, read_judgements
from fastlander.validation import InputError
from fastlander.viewing.flight import NO_KWARGS, open_lander
from fastlander.viewing.page import build_page, footer, rounded
from fastlander.viewing.trace import Trace, trace_flight

if TYPE_CHECKING:
    from fastlander.learner.q_network import QNetwork

METRICS_COLUMNS = ("timesteps", "episodes", "updates", "steps_per_second", "seconds")
MOST_DOTS, MOST_POINTS, MOST_BINS = 1500, 400, 60  # episodes and means in the learning curve; bars in the histogram
SAME_BINS = 21  # bars in the histogram of equal returns, an odd number
FEWEST_EPISODES = 10  # in a running mean that is drawn
LOWEST_SHOWN = 2  # percentile of the training scores at the lower edge of the learning curve


def report_page(directory: Path, imports: Sequence[str] = ()) -> str:
    """The HTML of the report of a run.

    Args:
        directory: of a run that has ended and whose policy was judged.
        imports: modules that may be imported for the run's environment.

    Raises:
        ValueError: the directory has no model, no evaluations, or a table that is damaged; or the environment needs a
            module that is not in `imports`.
    """
    network, config = load_parameters(directory, imports)
    if not os.path.lexists(directory / EVALUATIONS_FILE):
        raise InputError(
            f"directory must be of a run with evaluations ({EVALUATIONS_FILE}), got {str(directory)!r}: "
            "its policy was never judged"
        )
    judgements, kept = read_judgements(directory / EVALUATIONS_FILE)
    evaluation = judgements[kept].evaluation
    metrics = read_finite_table(directory / METRICS_FILE, METRICS_COLUMNS)
    if not len(metrics["timesteps"]):
        raise InputError(f"{directory / METRICS_FILE} must have a row, got none")
    episodes = read_finite_table(directory / EPISODES_FILE, EPISODE_COLUMNS)
    solved = solved_score(config)
    traces = chosen_traces(network, evaluation, config.backend, config.env_kwargs) if config.is_lander else {}
    values = {
        "title": f"{config.env_id}, seed {config.seed}",
        "lead": _lead(metrics, evaluation, solved),
        "tiles": _tiles(config, metrics, evaluation),
        "landings": list(traces.items()),
        "episodes": f"{len(evaluation.returns):,}",
        "window": WINDOW,
        "solved": solved,
        "spread": _spread(evaluation),
        "settings": setting_rows(config),
        "footer": footer(),
        "data": {
            "traces": [trace.to_json() for trace in traces.values()],
            "curve": curve(episodes, judgements, solved),
            "returns": histogram(evaluation.returns),
        },
    }
    scripts = ["replay.js", "charts.js", "report.js"]
    return build_page("report.html", ["replay.css", "report.css"], scripts, values)


def chosen_traces(
    network: "Parameters | QNetwork",
    evaluation: Evaluation,
    backend: Backend | None = None,
    env_kwargs: Mapping[str, Any] = NO_KWARGS,
) -> dict[str, Trace]:
    """Traces of the best, the median and the worst episode of a lander's evaluation, by their labels.

    backend, env_kwargs: with which it was evaluated, as of `Config`.
    """
    order = np.argsort(evaluation.returns, kind="stable")
    chosen = {"Best": order[-1], "Median": order[(len(order) - 1) // 2], "Worst": order[0]}
    policy = FusedPolicy.of(network)
    with closing(open_lander(backend, env_kwargs=env_kwargs)) as env:
        return {label: trace_flight(env, policy.greedy, int(evaluation.seeds[i])) for label, i in chosen.items()}


def curve(episodes: dict[str, np.ndarray], judgements: Sequence[Judgement], solved: float | None) -> dict[str, Any]:
    """The record that `web/charts.js` draws as the learning curve.

    Args:
        episodes: `EPISODE_COLUMNS` of the finished training episodes, float64[episodes] each.
        judgements: of greedy policies, in order.
        solved: mean return that counts as solved; None if there is none.

    Returns:
        For JSON: texts, ranges of the axes, and `data` with training episodes (at most `MOST_DOTS`), their running
        means with 95% intervals (at most `MOST_POINTS`), and the judgements with 95% intervals.
    """
    timesteps, score = episodes["timesteps"], episodes["score"]
    dots = _thinned(np.arange(len(score)), MOST_DOTS)
    ends, mean, half = _running_means(score)
    intervals = [e.interval if len(e.returns) > 1 else (e.mean, e.mean) for _, e in judgements]
    greedy = {
        "timesteps": [timesteps for timesteps, _ in judgements],
        "mean": rounded([e.mean for _, e in judgements]),
        "low": rounded([low for low, _ in intervals]),
        "high": rounded([high for _, high in intervals]),
    }
    # A few terrible episodes would press all others into the upper part: the lowest 2% are drawn on the lower edge.
    lowest = [np.percentile(score, LOWEST_SHOWN)] if len(score) else []
    lows = [*greedy["low"], *(mean - half), *lowest]
    highs = [*greedy["high"], *(mean + half), *score, *([] if solved is None else [solved])]
    margin = 0.04 * (max(highs) - min(lows)) or 1.0
    return {
        "label": "Learning curve",
        "xTitle": "timesteps",
        "yTitle": "return",
        "x": [0, int(max([*timesteps[-1:], *greedy["timesteps"], 1]))],
        "y": [float(min(lows) - margin), float(max(highs) + margin)],
        "data": {
            "episodes": {"timesteps": timesteps[dots].astype(int).tolist(), "score": rounded(score[dots])},
            "training": {
                "timesteps": timesteps[ends - 1].astype(int).tolist(),
                "mean": rounded(mean),
                "low": rounded(mean - half),
                "high": rounded(mean + half),
            },
            "greedy": greedy,
            "solved": solved,
        },
    }


def _running_means(score: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means of the last `WINDOW` scores: (episodes finished by then, mean, half of its 95% interval), [points] each."""
    ends = _thinned(np.arange(FEWEST_EPISODES, len(score) + 1), MOST_POINTS)
    windows = [score[max(0, end - WINDOW) : end] for end in ends]
    mean = np.array([window.mean() for window in windows])
    half = np.array([half_interval(window.std(ddof=1), len(window)) for window in windows])
    return ends, mean, half


def histogram(returns: np.ndarray) -> dict[str, Any]:
    """The record that `web/charts.js` draws as the distribution of returns float64[E]: at most `MOST_BINS` bars."""
    low, high = float(returns.min()), float(returns.max())
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        # All are the same: one narrow bar in the middle of an axis with different numbers.
        half = max(1.0, 0.1 * abs(low))
        edges = np.linspace(low - half, low + half, SAME_BINS + 1)
    else:
        edges = np.histogram_bin_edges(returns, "auto", (low, high))
        if len(edges) > MOST_BINS + 1:
            edges = np.histogram_bin_edges(returns, MOST_BINS, (low, high))
    counts, _ = np.histogram(returns, edges)
    return {
        "label": "Distribution of returns",
        "xTitle": "return",
        "yTitle": "episodes",
        "x": [float(edges[0]), float(edges[-1])],
        "y": [0, int(counts.max())],
        "data": {"edges": edges.tolist(), "counts": counts.tolist()},
    }


def _lead(metrics: dict[str, np.ndarray], evaluation: Evaluation, solved: float | None) -> str:
    """The sentence at the top."""
    line = (
        f"After {metrics['timesteps'][-1]:,.0f} steps in {metrics['seconds'][-1]:.1f} s the greedy policy has a mean "
        f"return of {evaluation.mean:.1f} over {len(evaluation.returns):,} fresh episodes"
    )
    if solved is None:
        return f"{line}."
    return f"{line}, {'above' if evaluation.mean >= solved else 'below'} the {solved:g} that count as solved."


def _tiles(config: Config, metrics: dict[str, np.ndarray], evaluation: Evaluation) -> list[tuple[str, str, str]]:
    """Name, value and remark of each figure below that sentence."""
    low, high = evaluation.interval
    interval = f"95%: {low:.1f} to {high:.1f}" if len(evaluation.returns) > 1 else "a single episode"
    tiles = [("Mean return", f"{evaluation.mean:.1f}", interval)]
    if config.is_lander:
        ends = f"crashes {evaluation.crashes.mean():.1%}, out of time {evaluation.timeouts.mean():.1%}"
        tiles.append(("Landings", f"{evaluation.landings.mean():.1%}", ends))
        tiles.append(("Returns below 200", f"{(evaluation.returns < 200).mean():.1%}", "of the greedy episodes"))
    steps, rates = np.diff(metrics["timesteps"], prepend=0), metrics["steps_per_second"]
    training = rates > 0  # a run that is resumed after its last step logs a row without a step
    with np.errstate(all="ignore"):  # of a table that was altered
        rate = steps[training].sum() / (steps[training] / rates[training]).sum()
    updates = f"{metrics['episodes'][-1]:,.0f} episodes, {metrics['updates'][-1]:,.0f} updates of {config.batch_size}"
    return [
        *tiles,
        ("Training steps", f"{metrics['timesteps'][-1]:,.0f}", updates),
        ("Time", f"{metrics['seconds'][-1]:.1f} s", "training and judging, without imports"),
        ("Speed", f"{rate:,.0f}" if training.any() else "unknown", "steps/s of training, without the judging"),
    ]


def _spread(evaluation: Evaluation) -> str:
    """The distribution of the returns, in words."""
    fifth, half, most = np.percentile(evaluation.returns, [5, 50, 95])
    return f"median {half:.1f}, middle 90% from {fifth:.1f} to {most:.1f}, lowest {evaluation.returns.min():.1f}"


def setting_rows(config: Config) -> list[tuple[str, str, bool]]:
    """Name and value of each setting that decides the result, and whether it is not the default."""
    default = Config.preset(env_id=config.env_id).result_settings() | {"env_id": LANDER_ID}
    own = config.result_settings()
    rows = [(name, setting_of(own, name)) for name in default | own]
    return [(name, json.dumps(value), value != setting_of(default, name)) for name, value in rows]


def _thinned(indices: np.ndarray, most: int) -> np.ndarray:
    """At most `most` of the indices, evenly spaced, with the first and the last."""
    if len(indices) <= most:
        return indices
    return indices[np.linspace(0, len(indices) - 1, most).round().astype(int)]
