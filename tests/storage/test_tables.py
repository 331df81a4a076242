"""The tables of a run directory: what is written comes back, and damaged files get one line."""

import csv
import io

import numpy as np
import pytest

from fastlander.evaluation.evaluation import Evaluation, Judgement
from fastlander.storage.tables import (
    EPISODE_COLUMNS,
    EVALUATION_COLUMNS,
    MetricsRow,
    evaluation_rows,
    read_finite_table,
    read_judgements,
    read_table,
    table,
)


def some_evaluation(rng, count):
    seeds, playtimes = rng.integers(2**31, size=count), rng.integers(1, 1000, size=count)
    return Evaluation(rng.normal(size=count), playtimes, rng.normal(size=count), rng.random(count) < 0.5, seeds)


@pytest.fixture
def judgements():
    rng = np.random.default_rng(0)
    return [Judgement(timesteps, some_evaluation(rng, count)) for timesteps, count in ((100, 3), (200, 4), (200, 1))]


@pytest.mark.parametrize("kept", range(3))
def test_judgements_come_back_as_they_were(tmp_path, judgements, kept):
    path = tmp_path / "evaluations.csv"
    path.write_bytes(table(EVALUATION_COLUMNS, evaluation_rows(judgements, kept)))
    back, which = read_judgements(path)
    assert which == kept
    for (timesteps, evaluation), (expected_timesteps, expected) in zip(back, judgements, strict=True):
        assert timesteps == expected_timesteps
        assert type(timesteps) is int
        for name, column in vars(expected).items():
            read = getattr(evaluation, name)
            assert (read.dtype, read.shape) == (column.dtype, column.shape)
            assert np.array_equal(read, column)


def test_a_row_per_judged_episode(judgements):
    rows = list(evaluation_rows(judgements, 1))
    assert [len(row) for row in rows] == [len(EVALUATION_COLUMNS)] * 8
    assert [row[0] for row in rows] == [0, 0, 0, 1, 1, 1, 1, 2]
    assert [row[2] for row in rows] == [0, 0, 0, 1, 1, 1, 1, 0]
    first = judgements[0].evaluation
    assert rows[0] == (
        0, 100, 0, int(first.seeds[0]), float(first.returns[0]), int(first.playtimes[0]), float(first.last_rewards[0]),
        int(first.terminated[0]),
    )  # fmt: skip
    assert {row[2] for row in evaluation_rows(judgements, None)} == {0}


def test_a_table_is_plain_csv():
    text = table(("a", "b"), [(1, None), (0.1 + 0.2, "x,y")]).decode()
    assert text == 'a,b\r\n1,\r\n0.30000000000000004,"x,y"\r\n'
    assert list(csv.reader(io.StringIO(text, newline=""))) == [["a", "b"], ["1", ""], ["0.30000000000000004", "x,y"]]


def test_numbers_come_back_to_the_bit(tmp_path):
    scores = np.random.default_rng(3).normal(0, 1e3, 500)
    path = tmp_path / "episodes.csv"
    path.write_bytes(table(EPISODE_COLUMNS, zip(range(500), scores.tolist(), range(500), strict=True)))
    columns = read_table(path, EPISODE_COLUMNS)
    assert {column.dtype for column in columns.values()} == {np.dtype(np.float64)}
    assert columns["score"].tobytes() == scores.tobytes()
    assert list(columns) == list(EPISODE_COLUMNS)


def test_an_empty_cell_is_nan(tmp_path):
    (tmp_path / "t.csv").write_bytes(table(("a", "b"), [(1, ""), (2.5, -3)]))
    columns = read_table(tmp_path / "t.csv", ("b", "a"))
    assert columns["a"].tolist() == [1, 2.5]
    assert np.isnan(columns["b"][0])


def test_a_table_without_rows_has_empty_columns(tmp_path):
    (tmp_path / "t.csv").write_bytes(table(MetricsRow._fields, []))
    columns = read_table(tmp_path / "t.csv", ("timesteps", "loss"))
    assert {name: column.shape for name, column in columns.items()} == {"timesteps": (0,), "loss": (0,)}


@pytest.mark.parametrize(
    "content",
    [b"", b"a\n1\n", b"a,b\n1\n", b"a,b\n1,x\n", b"a,b\n1,2\n\x00\xff", b'a,b\n1,"' + b"9" * 200_000 + b'"\n'],
    ids=["nothing", "no column", "a short row", "text", "no text", "a cell of 200 kB"],
)
def test_a_file_that_is_no_such_table_gets_one_line(tmp_path, content):
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(ValueError, match=r"t\.csv must have numbers in the columns a, b, got others"):
        read_table(tmp_path / "t.csv", ("a", "b"))


def test_a_file_that_is_not_there_gets_one_line(tmp_path):
    with pytest.raises(ValueError, match=r"t\.csv must be a table of a run, got none \(No such file or directory\)"):
        read_table(tmp_path / "t.csv", ("a",))
    with pytest.raises(ValueError, match=r"must be a table of a run, got none \(Is a directory\)"):
        read_table(tmp_path, ("a",))


@pytest.mark.parametrize("cell", ["nan", "inf", "-inf", ""])
def test_a_number_that_is_not_finite_is_refused_where_it_must_be(tmp_path, cell):
    (tmp_path / "t.csv").write_text(f"a,b\n1,2\n{cell},3\n")
    assert read_finite_table(tmp_path / "t.csv", ("b",))["b"].tolist() == [2, 3]
    with pytest.raises(ValueError, match=r"t\.csv must have finite numbers in the column a, got others"):
        read_finite_table(tmp_path / "t.csv", ("b", "a"))


@pytest.mark.parametrize(
    ("column", "cell", "line"),
    [
        ("seed", "-1", "must have integers of at least 0 in the column seed, got others"),
        ("seed", "1e300", "must have integers of at least 0 in the column seed, got others"),
        ("playtime", "2.5", "must have integers of at least 0 in the column playtime, got others"),
        ("return", "nan", "must have finite numbers in the column return, got others"),
        ("timesteps", "", "must have finite numbers in the column timesteps, got others"),
        ("kept", "0", "must have episodes of the policy that was kept, got none"),
    ],
)
def test_damaged_judgements_get_one_line(tmp_path, judgements, column, cell, line):
    rows = [list(row) for row in evaluation_rows(judgements[:1], 0)]
    for row in rows:
        row[EVALUATION_COLUMNS.index(column)] = cell
    (tmp_path / "evaluations.csv").write_bytes(table(EVALUATION_COLUMNS, rows))
    with pytest.raises(ValueError, match=line):
        read_judgements(tmp_path / "evaluations.csv")


def test_judgements_of_nothing_get_one_line(tmp_path):
    (tmp_path / "evaluations.csv").write_bytes(table(EVALUATION_COLUMNS, []))
    with pytest.raises(ValueError, match="must have episodes of the policy that was kept, got none"):
        read_judgements(tmp_path / "evaluations.csv")
