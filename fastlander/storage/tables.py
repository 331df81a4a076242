"""The tables of a run directory as CSV: metrics.csv, episodes.csv (training), evaluations.csv (greedy episodes)."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fastlander.evaluation.evaluation import Evaluation, Judgement
from fastlander.validation import InputError

EPISODE_COLUMNS = ("timesteps", "score", "playtime")
EVALUATION_COLUMNS = ("judgement", "timesteps", "kept", "seed", "return", "playtime", "last_reward", "terminated")
INTEGER_COLUMNS = ("judgement", "timesteps", "kept", "seed", "playtime", "terminated")
LARGEST_INTEGER = 2**53  # what a float64 can still tell from its neighbours


class MetricsRow(NamedTuple):
    """One row of metrics.csv. Scores and playtimes are means over the last 100 finished training episodes."""

    timesteps: int
    episodes: int
    updates: int
    score_mean_100: float
    playtime_mean_100: float  # steps
    epsilon: float
    loss: float  # of the last update; nan before the first
    eval_mean: float | None  # of the last greedy judgement since the row before; None if there was none
    steps_per_second: float  # since the row before, without the time of judging
    seconds: float  # since the run began


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """A CSV file with a line of column names, then a line per row. None becomes an empty cell."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue().encode()


def evaluation_rows(judgements: Sequence[Judgement], kept: int | None) -> Iterable[tuple]:
    """A row of `EVALUATION_COLUMNS` per judged episode.

    Args:
        judgements: of a run, in order.
        kept: index of the judgement whose policy is in model.safetensors; None if there is none.
    """
    for k, (timesteps, e) in enumerate(judgements):
        columns = (e.seeds, e.returns, e.playtimes, e.last_rewards, e.terminated.astype(int))
        for row in zip(*(column.tolist() for column in columns), strict=True):
            yield k, timesteps, int(k == kept), *row


def read_table(path: Path, columns: Sequence[str]) -> dict[str, np.ndarray]:
    """Columns of a CSV file, each float64[rows], with nan for an empty cell.

    Args:
        path: of the file.
        columns: names of those to read; others may be there too.

    Raises:
        ValueError: the file cannot be read, lacks a column, or holds something else than numbers.
    """
    try:
        with open(path, newline="") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
        if not set(columns) <= set(reader.fieldnames or ()):
            raise KeyError
        # A cell is None where a row is too short; float refuses that.
        return {name: np.array([float("nan" if row[name] == "" else row[name]) for row in rows]) for name in columns}
    except OSError as error:
        raise InputError(f"{path} must be a table of a run, got none ({error.strerror})") from None
    except (KeyError, ValueError, TypeError, csv.Error):
        raise InputError(f"{path} must have numbers in the columns {', '.join(columns)}, got others") from None


def read_finite_table(path: Path, columns: Sequence[str]) -> dict[str, np.ndarray]:
    """`read_table`, with a ValueError also where a number is not finite or a cell is empty."""
    read = read_table(path, columns)
    for name, column in read.items():
        if not np.isfinite(column).all():
            raise InputError(f"{path} must have finite numbers in the column {name}, got others")
    return read


def read_judgements(path: Path) -> tuple[list[Judgement], int]:
    """The judgements of a run in order, and the index of the kept one: the inverse of `evaluation_rows`.

    Raises:
        ValueError: the file is no such table, or no judgement in it was kept.
    """
    columns = read_finite_table(path, EVALUATION_COLUMNS)
    for name in INTEGER_COLUMNS:
        if ((columns[name] % 1 != 0) | (columns[name] < 0) | (columns[name] > LARGEST_INTEGER)).any():
            raise InputError(f"{path} must have integers of at least 0 in the column {name}, got others")
    if not columns["kept"].any():
        raise InputError(f"{path} must have episodes of the policy that was kept, got none")
    judgements, kept = [], 0
    for rows in np.split(np.arange(len(columns["kept"])), np.flatnonzero(np.diff(columns["judgement"])) + 1):
        part = {name: column[rows] for name, column in columns.items()}
        if part["kept"][0]:
            kept = len(judgements)
        evaluation = Evaluation(
            returns=part["return"],
            playtimes=part["playtime"].astype(np.int64),
            last_rewards=part["last_reward"],
            terminated=part["terminated"].astype(bool),
            seeds=part["seed"].astype(np.int64),
        )
        judgements.append(Judgement(int(part["timesteps"][0]), evaluation))
    return judgements, kept
