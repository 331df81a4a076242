"""The tables of a run directory as CSV: metrics.csv, episodes.csv (training), evaluations.csv (greedy judgements)."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fastlander.evaluation.evaluation import Evaluation, Judgement
from fastlander.validation import InputError

METRICS_FILE, EPISODES_FILE, EVALUATIONS_FILE = "metrics.csv", "episodes.csv", "evaluations.csv"
EPISODE_COLUMNS = ("timesteps", "score", "playtime")
EVALUATION_COLUMNS = ("judgement", "timesteps", "kept", "seed", "return", "playtime", "last_reward", "terminated")


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """A CSV file."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue().encode()


def evaluation_rows(judgements: Sequence[Judgement], kept: int | None) -> Iterable[tuple]:
    """A row per judged episode; `kept` is 1 in those of the policy in model.safetensors."""
    for k, (timesteps, e) in enumerate(judgements):
        columns = (e.seeds, e.returns, e.playtimes, e.last_rewards, e.terminated.astype(int))
        for row in zip(*(column.tolist() for column in columns), strict=True):
            yield k, timesteps, int(k == kept), *row


def read_table(path: Path, columns: Sequence[str]) -> dict[str, np.ndarray]:
    """The columns of a CSV file as float64 arrays, nan where a cell is empty. ValueError if it is no such table."""
    try:
        with open(path, newline="") as file:
            rows = list(csv.DictReader(file))
        return {name: np.array([float(row[name] or "nan") for row in rows]) for name in columns}
    except OSError as error:
        raise InputError(f"{path} must be a table of a run, got none ({error.strerror})") from None
    except (KeyError, ValueError, TypeError):
        raise InputError(f"{path} must have numbers in the columns {', '.join(columns)}, got others") from None


def read_judgements(path: Path) -> tuple[list[Judgement], int]:
    """What `evaluation_rows` wrote: every judgement with its timesteps, and which of them was kept."""
    columns = read_table(path, EVALUATION_COLUMNS)
    begins = np.flatnonzero(np.diff(columns["judgement"])) + 1
    judgements, kept = [], None
    for part in np.split(np.arange(len(columns["judgement"])), begins):
        returns, playtimes, last_rewards, terminated, seeds = (
            columns[name][part] for name in ("return", "playtime", "last_reward", "terminated", "seed")
        )
        if len(part) and columns["kept"][part[0]]:
            kept = len(judgements)
        evaluation = Evaluation(
            returns, playtimes.astype(np.int64), last_rewards, terminated.astype(bool), seeds.astype(np.int64)
        )
        judgements.append(Judgement(int(columns["timesteps"][part[0]]) if len(part) else 0, evaluation))
    if kept is None:
        raise InputError(f"{path} must have episodes of the policy that was kept, got none")
    return judgements, kept


class MetricsRow(NamedTuple):
    """One row of metrics.csv. Scores and playtimes are means over the last 100 finished training episodes."""

    timesteps: int
    episodes: int
    updates: int
    score_mean_100: float
    playtime_mean_100: float  # steps
    epsilon: float
    loss: float  # of the last update; nan before the first
    eval_mean: float | None  # of the last greedy judgement since the row before, if there was one
    steps_per_second: float  # since the row before, judging aside
    seconds: float  # since the run began
