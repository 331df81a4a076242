"""Comparisons: what is read, the figures against slow twins, the page, the CSV, the table, refusals."""

import csv
import io
import itertools
import json
import re
import shutil

import numpy as np
import pytest
from scipy import stats

from fastlander import Config, cli
from fastlander.compare import compare, summary, write_comparison
from fastlander.storage.seeds_directory import SeedRow
from fastlander.storage.tables import EPISODE_COLUMNS, EVALUATION_COLUMNS, MetricsRow, table
from fastlander.validation import InputError
from fastlander.viewing.compare_page import curves, running_mean

HOSTILE = "<script>alert(1)"


def make_run(path, seed=0, mean=210.0, steps=20_000, spread=30.0, episodes=150, crashed=(), **settings):
    """The files of a run that has ended, as far as a comparison reads them. Of its 20 judged flights some crashed."""
    path.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    config = Config(**{"seed": seed, "progress": False, "eval_episodes": 10, **settings})
    (path / "config.json").write_text(config.to_json())
    (path / "model.safetensors").write_bytes(b"no model")  # is never loaded
    returns = rng.normal(mean, spread, 20)
    returns += mean - returns.mean()
    last = [-100.0 if i in crashed else 100.0 for i in range(20)]
    rows = [(0, steps, 1, i, one, 90, last[i], 1) for i, one in enumerate(returns.tolist())]
    (path / "evaluations.csv").write_bytes(table(EVALUATION_COLUMNS, rows))
    ends = np.linspace(steps / (episodes or 1), steps, episodes).round().astype(int)
    scores = np.linspace(-200, mean, episodes).tolist()
    rows = zip(ends.tolist(), scores, [90] * episodes, strict=True)
    (path / "episodes.csv").write_bytes(table(EPISODE_COLUMNS, rows))
    row = MetricsRow(steps, episodes, 1, 0.0, 0.0, 0.1, 0.1, None, 1.0, steps / 10_000)
    (path / "metrics.csv").write_bytes(table(MetricsRow._fields, [row]))


def make_seeds(path, means, asked=None, unsolved=(), episodes=150, **settings):
    """A directory of several seeds, one for each mean; those of `unsolved` are not solved."""
    for seed, mean in enumerate(means):
        make_run(path / f"seed{seed}", seed, mean, 20_000 + 1_000 * seed, episodes=episodes, **settings)
    rows = [
        SeedRow(seed, seed not in unsolved, 20_000 + 1_000 * seed, 1, 2.0 + seed, mean)
        for seed, mean in enumerate(means)
    ]
    (path / "seeds.csv").write_bytes(table(SeedRow._fields, rows))
    own = json.loads(Config(progress=False, eval_episodes=10, **settings).to_json())
    (path / "seeds.json").write_text(json.dumps({"seeds": asked or len(means), "compact": True, "config": own}))


@pytest.fixture
def several(in_tmp):
    """Seeds directories `five` and `four`, whose values are those of `make_seeds`, and two runs."""
    make_seeds(in_tmp / "five", [250, 240, 260, 230, 255], n_step=5)
    make_seeds(in_tmp / "four", [205, 245, 150, 215], asked=6, unsolved=(2,), n_step=1)
    make_run(in_tmp / "runs" / "one", 7, 235.0)
    make_run(in_tmp / "runs" / "two", 8, 190.0)
    return in_tmp


def data_of(page):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)[1])


def middle(values):
    values = sorted(values)
    cut = len(values) // 4
    return np.mean(values[cut : len(values) - cut])


def test_the_figures_are_those_of_slow_twins(several):
    comparison = compare(["five", "four"])
    five, four = comparison.figures
    assert (five.label, five.seeds, five.asked, five.solved) == ("five", 5, 5, 5)
    assert (four.seeds, four.asked, four.solved, four.worst) == (4, 6, 3, pytest.approx(150))
    assert five.greedy.value == pytest.approx(middle([250, 240, 260, 230, 255]))
    assert five.steps.value == middle([20_000, 21_000, 22_000, 23_000, 24_000])
    assert five.seconds.value == pytest.approx(middle([2, 3, 4, 5, 6]))
    assert five.greedy.low < five.greedy.value < five.greedy.high
    # One of four seeds was not solved: it is cut off as the slowest, and is in the upper end of the interval.
    assert four.steps.value == middle([20_000, 21_000, np.inf, 23_000]) == 22_000
    assert (four.steps.high, four.seconds.high) == (np.inf, np.inf)
    assert 20_000 <= four.steps.low < 22_000
    (pair,) = comparison.pairs
    wins = stats.mannwhitneyu([250, 240, 260, 230, 255], [205, 245, 150, 215]).statistic / 20
    assert pair.greedy.value == pytest.approx(wins)
    takes = itertools.product([20, 21, 22, 23, 24], [20, 21, np.inf, 23])
    assert pair.steps.value == pytest.approx(np.mean([(a < b) + 0.5 * (a == b) for a, b in takes]))
    assert comparison.differences == [("n_step", ["5", "1"])]


def test_most_seeds_unsolved_have_no_mean_of_steps(in_tmp):
    make_seeds(in_tmp / "never", [100, 101, 102, 103], unsolved=(0, 1, 2, 3))
    make_seeds(in_tmp / "neither", [100, 101, 102, 103], unsolved=(0, 1, 2, 3))
    comparison = compare(["never", "neither"])
    assert comparison.figures[0].steps == (np.inf, np.inf, np.inf)
    assert comparison.pairs[0].steps == (0.5, 0.5, 0.5)
    assert comparison.differences == []
    write_comparison(["never", "neither"], "page.html")


def test_a_learning_curve_is_the_slow_one(several):
    method = compare(["five"]).methods[0]
    drawn = curves([method], [200.0])["data"]["series"][0]
    x = np.array(drawn["x"])
    assert x[0] == pytest.approx(max(run.ends[9] for run in method.runs), abs=1)
    assert x[-1] == 24_000
    for i in (0, 50, 119):
        seeds = []
        for run in method.runs:
            finished = [score for end, score in zip(run.ends, run.scores, strict=True) if end <= x[i]]
            seeds.append(np.mean(finished[-100:]))
        assert drawn["mean"][i] == pytest.approx(middle(seeds), abs=0.01)
        assert drawn["low"][i] <= drawn["mean"][i] <= drawn["high"][i]
        assert drawn["training"][i] == sum(run.timesteps >= x[i] for run in method.runs)
    first = method.runs[0]  # it has ended after 20,000 steps, and keeps its last value
    assert running_mean(first, np.array([20_000, 24_000])) == pytest.approx(first.scores[-100:].mean())


def test_the_command_writes_a_page_a_csv_and_a_table(several, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert (
        cli.main(["compare", "five", "1-step=four", "both=runs/one,runs/two", "runs/one", "--output", "new.html"]) == 0
    )
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    assert out.endswith("Saved in new.html and new.csv\n")
    for words in ("five", "1-step", "both", "5/5", "3/4", "1/2", "2 open", "22,000", "20,000 to inf"):
        assert words in out, words
    page = (several / "new.html").read_text()
    assert not re.findall(r"""(?:src|href)=|@import|url\(|https?://(?!www\.w3\.org/2000/svg)""", page)
    assert len(page) < 1_000_000
    assert "1-step: 4 of 6 seeds have ended" in page
    data = data_of(page)
    assert [one["band"] for one in data["curves"]["data"]["series"]] == [True, True, True, False]
    share = data["returns"]["data"]["series"][0]["mean"]
    assert (share[-1], share == sorted(share, reverse=True)) == (0, True)
    with open("new.csv", newline="") as file:
        rows = {(row["figure"], row["method"], row["other"]): row for row in csv.DictReader(file)}
    five = compare(["five"]).figures[0]
    written = rows["greedy mean", "five", ""]
    assert [float(written[name]) for name in ("value", "low", "high")] == list(five.greedy)
    assert rows["steps until solved", "1-step", ""]["high"] == "inf"
    assert rows["greedy mean", "one", ""]["low"] == ""
    assert float(rows["probability of higher greedy mean", "five", "1-step"]["value"]) == pytest.approx(0.9)
    assert len([row for row in rows if row[2]]) == 12


def test_one_seed_each_equal_values_and_a_hundred_seeds(in_tmp):
    make_seeds(in_tmp / "hundred", [230.0] * 100, episodes=12)
    make_run(in_tmp / "one", 0, 230.0)
    make_run(in_tmp / "other", 0, 230.0)
    hundred, one, _ = write_comparison(["hundred", "one", "other"]).figures
    assert hundred.greedy == pytest.approx((230, 230, 230))
    assert np.isnan([one.greedy.low, one.steps.high]).all()
    text = summary(compare(["hundred", "one", "other"]))
    assert "nan" not in text
    assert "nan" not in (in_tmp / "comparison.csv").read_text()
    assert "nan" not in (in_tmp / "comparison.html").read_text().lower().replace("nan,", "")
    json.dumps(data_of((in_tmp / "comparison.html").read_text()), allow_nan=False)


def test_a_seed_that_was_broken_off_is_not_compared(several):
    content = (several / "five" / "seeds.csv").read_bytes()
    (several / "five" / "seeds.csv").write_bytes(content[:-5])  # a row that is being written
    (several / "five" / "seed4" / "evaluations.csv").unlink()
    (figures,) = compare(["five"]).figures
    assert (figures.seeds, figures.asked, figures.solved) == (4, 5, 4)
    assert figures.greedy.value == pytest.approx(middle([250, 240, 260, 230]))


def test_runs_without_enough_episodes_have_no_curve(in_tmp):
    make_run(in_tmp / "short", episodes=9)
    make_run(in_tmp / "none", episodes=0)
    write_comparison(["short", "none"])
    page = (in_tmp / "comparison.html").read_text()
    assert "short has no seed with 10 training episodes" in page
    assert data_of(page)["curves"]["data"]["series"][0]["x"] == []


def test_text_cannot_break_the_page(several):
    write_comparison({HOSTILE: "five", "[red]x[/red]": "four"})
    page = (several / "comparison.html").read_text()
    assert "<script>alert" not in page
    assert "alert(1)" in page
    assert "[red]x[/red]" in summary(compare({"[red]x[/red]": "four"})).replace("\n", "")


@pytest.mark.parametrize("columns", [40, 60, 80, 120])
def test_the_table_fits_the_terminal(several, columns):
    text = summary(compare({"a method with a long name, and longer": "five", "b" * 60: "four"}), columns)
    assert max(map(len, text.splitlines())) <= columns


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            "nowhere",
            "directory must be of a run or of several seeds (with a config.json or a seeds.json), got 'nowhere'",
        ),
        (
            "five runs",
            "directory must be of a run or of several seeds (with a config.json or a seeds.json), got 'runs'",
        ),
        ("five unjudged", "directory must be of a run that has ended, with evaluations.csv, got 'unjudged'"),
        ("five none", "directory must have a seed that has ended, got 'none', which has none yet"),
        (
            "five pole",
            "directories must be of runs on one environment, got 'LunarLander-v3' (five) and 'CartPole-v1' (pole)",
        ),
        ("five five", "directories must have different names, got 'five' twice; NAME=DIR gives a name"),
        ("x=five x=four", "directories must have different names, got 'x' twice"),
        ("=five", "directory must have a name before the =, got '=five'"),
        ("x=five,four", "x must have runs that differ in the seed only, got n_step 1 instead of 5"),
        ("x=runs/one,runs/one", "x must have each seed once, got seed 7 twice"),
        ("five cut", "cut/seed1/episodes.csv must have numbers in the columns timesteps, score, got others"),
        ("five --output taken.html", "output must be a new file, got 'taken.html', which exists"),
        ("five --output table.html", "output must be a new file, got 'table.csv', which exists"),
        ("five --output page.txt", "output must have a name that ends with .html, got 'page.txt'"),
        ("five --output taken.html/page.html", "output must be writable, got 'taken.html/page.csv'"),
        ("five settings", "settings/seeds.json must be as it was written, got another"),
        ("five link", "link/config.json must be as the run left it, got another (it is a link"),
    ],
)
def test_what_cannot_be_compared(several, capsys, arguments, line):
    shutil.copytree("runs/one", "unjudged")
    (several / "unjudged" / "evaluations.csv").unlink()
    (several / "none").mkdir()
    make_seeds(several / "none", [], asked=3)
    make_run(several / "pole", env_id="CartPole-v1")
    shutil.copytree("five", "cut")
    (several / "cut" / "seed1" / "episodes.csv").write_bytes(b"timesteps,score,playtime\r\n1,x,2\r\n")
    shutil.copytree("five", "settings")
    (several / "settings" / "seeds.json").write_text("{")
    shutil.copytree("runs/one", "link")
    (several / "link" / "config.json").unlink()
    (several / "link" / "config.json").symlink_to(several / "runs" / "one" / "config.json")
    (several / "taken.html").write_text("precious")
    (several / "table.csv").write_text("precious")
    before = {path: path.read_bytes() for path in several.rglob("*") if path.is_file()}
    assert cli.main(["compare", *arguments.split()]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"fastlander compare: error: {line}")
    assert err.count("\n") == 1
    assert {path: path.read_bytes() for path in several.rglob("*") if path.is_file()} == before


def test_nothing_of_a_directory_is_imported(in_tmp, monkeypatch):
    (in_tmp / "evil.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(in_tmp)
    make_run(in_tmp / "own", env_id="evil:Maze-v0")
    (figures,) = compare(["own"]).figures
    assert (figures.solved, figures.steps) == (None, None)
    write_comparison(["own"])
    assert "steps until solved" not in (in_tmp / "comparison.html").read_text().split("<script")[0]
    summary(compare(["own"]))


@pytest.mark.parametrize(
    ("settings", "crashed", "solved"),
    [
        ({}, (), 1),
        ({}, (0,), 0),
        ({}, (19,), 0),  # one of those that were to confirm it
        ({"solved_landings": 0.9}, (0, 19), 1),
        ({"solved_landings": 0.9}, (0, 1), 0),
        ({"solved_landings": 0.0}, range(20), 1),
        ({"solved_landings": 0.0, "mean": 199.0}, (), 0),
        ({"eval_episodes": 20}, (), 0),  # nothing confirmed it
        ({"eval_episodes": 20, "candidates": 8}, (), 1),  # what is chosen is judged once
        ({"eval_episodes": 20, "candidates": 8}, (7,), 0),
        ({"solved_by": "training"}, (), 0),  # the last 100 training scores are low
        ({"solved_by": "training", "mean": 900.0}, range(20), 1),
    ],
)
def test_whether_a_single_run_was_solved(in_tmp, settings, crashed, solved):
    make_run(in_tmp / "own", spread=0.0, crashed=crashed, **settings)
    assert compare(["own"]).figures[0].solved == solved


def test_directories_of_one_name_are_told_apart_and_names_may_have_any_letter(several):
    shutil.copytree("runs/one", "other/one")
    shutil.copytree("runs/one", "a=b")
    assert [one.label for one in compare(["runs/one", "other/one", "a=b"]).figures] == ["runs/one", "other/one", "a=b"]
    assert compare({"x": ["runs/one", "runs/two"]}).figures[0].seeds == 2
    for wrong in ([], {}, {"x": []}):
        with pytest.raises(InputError, match="directories must"):
            compare(wrong)


def test_the_csv_can_be_read_back(several):
    rows = list(csv.reader(io.StringIO(compare(["five", "four"]).to_csv().decode())))
    assert rows[0] == ["figure", "method", "other", "value", "low", "high", "seeds"]
    assert all(len(row) == 7 for row in rows)


def test_a_setting_of_a_later_version_has_its_value_among_the_differences(in_tmp):
    make_run(in_tmp / "own")
    make_run(in_tmp / "earlier", judged_average=0, solved_landings=0.0)
    rows = dict(compare(["own", "earlier"]).differences)
    assert rows == {"solved_landings": ["0.97", "0.0"], "judged_average": ["4096", "0"]}
