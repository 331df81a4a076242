"""The tables of a run directory as CSV: metrics.csv, episodes.csv (training), evaluations.csv (greedy episodes)."""

import array
import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fastlander.evaluation.evaluation import Evaluation, Judgement
from fastlander.storage.files import reason
from fastlander.storage.reading import opened
from fastlander.validation import InputError

EPISODE_COLUMNS = ("timesteps", "score", "playtime")
EVALUATION_COLUMNS = ("judgement", "timesteps", "kept", "seed", "return", "playtime", "last_reward", "terminated")
INTEGER_COLUMNS = ("judgement", "timesteps", "episodes", "updates", "kept", "seed", "playtime", "terminated")
LARGEST_INTEGER = 2**53  # what a float64 can still tell from its neighbours
LARGEST_NUMBER = 1e100  # the squares of a table's numbers must have a sum that is still a number
LARGEST_TABLE = 10**9  # bytes, of some ten million episodes


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
    return table_lines([columns, *rows])


def table_lines(rows: Iterable[Sequence[object]]) -> bytes:
    """A line of a CSV file per row. None becomes an empty cell."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
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
        with opened(path, LARGEST_TABLE) as (file, _):
            reader = csv.reader(io.TextIOWrapper(file, encoding="utf-8", newline=""))
            header = next(reader, [])
            places = [header.index(name) for name in columns]
            read = [array.array("d") for _ in columns]
            for row in filter(None, reader):  # an empty line is no row
                if len(row) != len(header):
                    raise ValueError
                for column, place in zip(read, places, strict=True):
                    column.append(float(row[place] or "nan"))
    except OSError as error:
        raise InputError(f"{path} must be a table of a run, got none ({reason(error)})") from None
    except (ValueError, csv.Error):
        raise InputError(f"{path} must have numbers in the columns {', '.join(columns)}, got others") from None
    return {name: np.array(column, np.float64) for name, column in zip(columns, read, strict=True)}


def read_finite_table(path: Path, columns: Sequence[str]) -> dict[str, np.ndarray]:
    """`read_table`, with a ValueError also where a cell is empty or holds a number that a run cannot have written.

    Such numbers are those that are not finite or larger than `LARGEST_NUMBER`, and in `INTEGER_COLUMNS` also those that
    are negative, no integer, or larger than `LARGEST_INTEGER`.
    """
    read = read_table(path, columns)
    for name, column in read.items():
        if not np.isfinite(column).all():
            raise InputError(f"{path} must have finite numbers in the column {name}, got others")
        if name in INTEGER_COLUMNS and ((column % 1 != 0) | (column < 0) | (column > LARGEST_INTEGER)).any():
            raise InputError(f"{path} must have integers of at least 0 in the column {name}, got others")
        if (abs(column) > LARGEST_NUMBER).any():
            raise InputError(f"{path} must have numbers of at most {LARGEST_NUMBER:g} in the column {name}, got larger")
    return read


def read_judgements(path: Path) -> tuple[list[Judgement], int]:
    """The judgements of a run in order, and the index of the kept one: the inverse of `evaluation_rows`.

    Raises:
        ValueError: the file is no such table, or not one judgement in it was kept.
    """
    columns = read_finite_table(path, EVALUATION_COLUMNS)
    for name in ("kept", "terminated"):
        if (columns[name] > 1).any():
            raise InputError(f"{path} must have 0 or 1 in the column {name}, got others")
    if not columns["kept"].any():
        raise InputError(f"{path} must have episodes of the policy that was kept, got none")
    judgements: list[Judgement] = []
    kept: list[int] = []
    for rows in np.split(np.arange(len(columns["kept"])), np.flatnonzero(np.diff(columns["judgement"])) + 1):
        part = {name: column[rows] for name, column in columns.items()}
        for name in ("timesteps", "kept"):
            if (part[name] != part[name][0]).any():
                raise InputError(f"{path} must have one value per judgement in the column {name}, got several")
        if part["kept"][0]:
            kept.append(len(judgements))
        evaluation = Evaluation(
            returns=part["return"],
            playtimes=part["playtime"].astype(np.int64),
            last_rewards=part["last_reward"],
            terminated=part["terminated"].astype(bool),
            seeds=part["seed"].astype(np.int64),
        )
        judgements.append(Judgement(int(part["timesteps"][0]), evaluation))
    if len(kept) > 1:
        raise InputError(f"{path} must have one judgement that was kept, got {len(kept)}")
    return judgements, kept[0]
