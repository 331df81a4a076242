import csv
import itertools
import json
import os
import pathlib
import re
import shutil
import warnings

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from fastlander import Config, LunarLanderVectorEnv, Trainer, cli
from fastlander.evaluation.episodes import evaluate
from fastlander.report import write_report
from fastlander.storage.tables import EVALUATION_COLUMNS, table
from fastlander.validation import InputError
from fastlander.viewing.page import build_page
from fastlander.viewing.report_page import chosen_traces, curve, histogram
from tests.storage.test_tables import some_evaluation

SHORT = {"num_envs": 4, "total_timesteps": 1_000, "eval_episodes": 5, "progress": False, "eval_gate": -1e9}
SHORT |= {"solved_landings": 0.0}  # with which a judgement has all its episodes


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    return Trainer(Config(**SHORT, output_dir=tmp_path_factory.mktemp("run") / "run")).run()


def data_of(path):
    page = path.read_text()
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)[1])


def test_the_landings_shown_are_the_best_the_median_and_the_worst(result):
    evaluation = result.evaluation
    shown = chosen_traces(result.agent.q_net, evaluation)
    assert list(shown) == ["Best", "Median", "Worst"]
    ordered = sorted(evaluation.returns)
    assert [trace.score for trace in shown.values()] == [ordered[-1], ordered[2], ordered[0]]
    seeds = [trace.seed for trace in shown.values()]
    env = LunarLanderVectorEnv(3, autoreset_mode="Disabled")
    again = evaluate(result.agent.q_net.greedy, env, seeds)
    assert [trace.score for trace in shown.values()] == again.returns.tolist()


def test_a_run_leaves_a_page_that_asks_for_nothing(result):
    page = (result.output_dir / "report.html").read_text()
    assert len(page) < 1_000_000
    assert not re.findall(r"""(?:src|href)=|@import|url\(|https?://(?!www\.w3\.org/2000/svg)""", page)
    assert f"mean return of {result.evaluation.mean:.1f} over 5 fresh episodes".replace("  ", " ") in " ".join(
        page.split()
    )
    data = data_of(result.output_dir / "report.html")
    assert [len(data["traces"]), sum(data["returns"]["data"]["counts"])] == [3, 5]
    with open(result.output_dir / "episodes.csv", newline="") as file:
        episodes = list(csv.DictReader(file))
    assert [float(row["score"]) for row in episodes] == result.agent.scores
    assert [int(row["playtime"]) for row in episodes] == result.agent.playtimes
    assert data["curve"]["data"]["episodes"]["timesteps"] == [int(row["timesteps"]) for row in episodes]
    assert data["curve"]["data"]["greedy"]["mean"][-1] == round(result.evaluation.mean, 2)


def test_the_command_writes_the_same_page(result, tmp_path, capsys):
    assert cli.main(["report", str(result.output_dir), "--output", str(tmp_path / "page.html")]) == 0
    assert capsys.readouterr().out == f"Saved in {tmp_path}/page.html\n"
    before = (result.output_dir / "report.html").read_bytes()
    assert (tmp_path / "page.html").read_bytes() == before
    assert cli.main(["report", str(result.output_dir)]) == 0
    assert (result.output_dir / "report.html").read_bytes() == before


def test_the_lecture_s_run_is_judged_for_its_report_too(tmp_path):
    config = Config.preset("lecture", **{**SHORT, "output_dir": tmp_path / "run"})
    result = Trainer(config).run()
    assert not result.solved
    assert len(result.evaluation.returns) == 5
    assert (tmp_path / "run" / "report.html").exists()


def test_another_environment_has_a_page_without_landings(tmp_path):
    Trainer(Config(**{**SHORT, "env_id": "CartPole-v1", "output_dir": tmp_path / "run"})).run()
    page = (tmp_path / "run" / "report.html").read_text()
    assert "CartPole-v1, seed 0" in page
    assert "Landings" not in page
    assert data_of(tmp_path / "run" / "report.html")["traces"] == []


HOSTILE = "</script><script>alert(1)</script>"


def test_text_cannot_break_the_page(result):
    values = {
        "title": HOSTILE, "lead": HOSTILE, "tiles": [(HOSTILE, HOSTILE, HOSTILE)], "landings": [], "episodes": HOSTILE,
        "window": 100, "solved": None, "spread": HOSTILE, "settings": [(HOSTILE, HOSTILE, True)], "footer": HOSTILE,
        "data": {"curve": {"label": HOSTILE}},
    }  # fmt: skip
    page = build_page("report.html", ["report.css"], ["report.js"], values)
    assert page.count("alert(1)") == 12
    assert "<script>alert" not in page
    assert json.loads(re.search(r'id="data">(.*?)</script>', page, re.S)[1])["curve"]["label"] == HOSTILE


def test_the_page_shows_the_settings_that_decide_the_result(result, tmp_path):
    """Also of a model file of an earlier version, which holds every setting."""
    shutil.copytree(result.output_dir, tmp_path / "run")
    path = tmp_path / "run" / "model.safetensors"
    hostile = Config(**SHORT, output_dir=HOSTILE)
    save_file(load_file(path), path, {"config": hostile.to_json(), "fastlander_version": "0.1.0"})
    page = write_report(tmp_path / "run").read_text()
    assert page == (result.output_dir / "report.html").read_text()
    rows = re.findall(r"<tr( class=\"changed\")?><td>(\w+)</td><td>(.*?)</td></tr>", page)
    assert [name for _, name, _ in rows] == list(Config().result_settings())
    changed = {name: value for mark, name, value in rows if mark}
    numbers = {"num_envs": "4", "total_timesteps": "1000", "eval_episodes": "5", "eval_gate": "-1000000000.0"}
    assert changed == numbers | {"solved_landings": "0.0"}


def refusal(run):
    """The line that a report is refused with; None if it is written."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            write_report(run)
        except InputError as error:
            return str(error)
    return None


CELLS = ["1e100", "-1e100", "1e-300", str(2**53), "-0.0", "1e308", "-1", "0x10", "x", "", "nan", "9" * 400, "\0"]


@pytest.mark.parametrize("name", ["episodes.csv", "evaluations.csv", "metrics.csv"])
def test_any_number_in_a_table_is_shown_or_refused(result, tmp_path, name):
    shutil.copytree(result.output_dir, tmp_path / "run")
    path = tmp_path / "run" / name
    with open(path, newline="") as file:
        header, *rows = csv.reader(file)
    shown = 0
    for column, cell, last in itertools.product(range(len(header)), CELLS, (1, len(rows))):
        changed = [[*row[:column], cell, *row[column + 1 :]] if k < last else row for k, row in enumerate(rows)]
        path.write_bytes(table(header, changed))
        line = refusal(tmp_path / "run")
        shown += line is None
        assert line is None or (str(path) in line and "\n" not in line)
    assert 0 < shown < 2 * len(CELLS) * len(header)


@pytest.mark.parametrize("name", ["episodes.csv", "evaluations.csv", "metrics.csv"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content.rpartition(b",")[0],
        lambda content: content[: content.index(b"\r\n")],
        lambda content: content.replace(b"timesteps", b"times"),
        lambda content: content.replace(b"\r\n", b",1\r\n").replace(b",1", b"", 1),
        lambda content: content + b"\xff",
        lambda content: content + b"\0",
        lambda content: bytes(len(content)),
        lambda content: b'"' + content,
        lambda content: b"",
    ],
    ids=["cut", "header only", "other column", "more cells", "no text", "a NUL", "zeros", "a quote", "empty"],
)
def test_a_damaged_table_gets_one_line_that_names_it(result, in_tmp, capsys, name, damage):
    shutil.copytree(result.output_dir, "run")
    path = in_tmp / "run" / name
    path.write_bytes(damage(path.read_bytes()))
    status = cli.main(["report", "run"])
    err = capsys.readouterr().err
    if name == "episodes.csv" and damage(b"x\r\n") == b"x":  # a run without a finished episode
        assert status == 0
    else:
        assert (status, err.count("\n")) == (2, 1)
        assert err.startswith(f"fastlander report: error: run/{name} must have ")


@pytest.mark.parametrize("become", ["link", "directory", "pipe", "huge", "forbidden"])
@pytest.mark.parametrize("name", ["episodes.csv", "evaluations.csv", "metrics.csv"])
def test_what_is_no_table_gets_one_line_that_names_it(result, in_tmp, capsys, monkeypatch, name, become):
    shutil.copytree(result.output_dir, "run")
    path = in_tmp / "run" / name
    path.rename("elsewhere")
    if become == "link":
        path.symlink_to(in_tmp / "elsewhere")
    elif become == "directory":
        path.mkdir()
    elif become == "pipe":
        os.mkfifo(path)
    elif become == "huge":
        with open(path, "wb") as file:
            file.truncate(10**12)
    else:
        system_open = os.open

        def forbidding(opened, *arguments):
            if pathlib.Path(opened).name == name:
                raise PermissionError(13, "Permission denied")
            return system_open(opened, *arguments)

        path.write_text("")
        monkeypatch.setattr("os.open", forbidding)
    assert cli.main(["report", "run"]) == 2
    err = capsys.readouterr().err
    reasons = {
        "link": "it is a link, which is not followed", "directory": "Is a directory", "pipe": "Not a file",
        "huge": "it has 1,000,000 MB, at most 1,000", "forbidden": "Permission denied",
    }  # fmt: skip
    assert err == f"fastlander report: error: run/{name} must be a table of a run, got none ({reasons[become]})\n"


def test_a_report_is_not_written_through_a_link(result, in_tmp, capsys):
    shutil.copytree(result.output_dir, "run")
    (in_tmp / "victim").write_text("precious")
    for name in ("report.html", ".report.tmp.html"):
        (in_tmp / "run" / name).unlink(missing_ok=True)
        (in_tmp / "run" / name).symlink_to(in_tmp / "victim")
    assert cli.main(["report", "run"]) == 2
    assert (
        "output must be writable, got 'run/report.html' (it is a link, which is not followed)"
        in capsys.readouterr().err
    )
    (in_tmp / "run" / "report.html").unlink()
    assert cli.main(["report", "run"]) == 0
    assert (in_tmp / "victim").read_text() == "precious"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("nowhere", "directory must be a run directory with a model.safetensors, got 'nowhere'"),
        ("unjudged", "directory must be of a run with evaluations (evaluations.csv), got 'unjudged'"),
        (
            "strange",
            "strange/evaluations.csv must have numbers in the columns judgement, timesteps, kept, seed, return",
        ),
        ("unkept", "unkept/evaluations.csv must have episodes of the policy that was kept, got none"),
        ("unlogged", "unlogged/metrics.csv must have a row, got none"),
        ("infinite", "infinite/episodes.csv must have finite numbers in the column score, got others"),
        ("run --output taken", "output must be a new file, got 'taken', which exists"),
        (
            "newer",
            "newer/model.safetensors must have settings that fastlander 0.1.0 knows, got those of 9.0 (there is no",
        ),
    ],
)
def test_what_cannot_be_reported(in_tmp, result, capsys, arguments, line):
    for name in ("run", "unjudged", "strange", "unkept", "unlogged", "infinite", "newer"):
        shutil.copytree(result.output_dir, name)
    os.unlink("unjudged/evaluations.csv")
    (in_tmp / "strange" / "evaluations.csv").write_text("judgement,timesteps,kept\n0,1,1\n")
    (in_tmp / "unkept" / "evaluations.csv").write_text(",".join(EVALUATION_COLUMNS) + "\n")
    header, *_ = (in_tmp / "unlogged" / "metrics.csv").read_text().splitlines()
    (in_tmp / "unlogged" / "metrics.csv").write_text(header + "\n")
    with open("infinite/episodes.csv", "a") as file:
        file.write("1000,-inf,100\n")
    tensors, config = load_file("newer/model.safetensors"), {**json.loads(Config().to_json()), "wings": 2}
    save_file(tensors, "newer/model.safetensors", {"config": json.dumps(config), "fastlander_version": "9.0"})
    (in_tmp / "taken").write_text("precious")
    before = {path: path.read_bytes() for path in in_tmp.rglob("*") if path.is_file()}
    assert cli.main(["report", *arguments.split()]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"fastlander report: error: {line}")
    assert err.count("\n") == 1
    assert {path: path.read_bytes() for path in in_tmp.rglob("*") if path.is_file()} == before


def test_the_curve_of_many_episodes_is_thinned_and_its_mean_is_the_plain_one():
    rng = np.random.default_rng(1)
    score = rng.normal(100, 50, 20_000)
    episodes = {"timesteps": np.arange(20_000.0) * 90, "score": score, "playtime": np.ones(20_000)}
    drawn = curve(episodes, [(1_799_910, some_evaluation(rng, 1))], 200.0)
    training = drawn["data"]["training"]
    assert len(training["mean"]) == 400
    assert len(drawn["data"]["episodes"]["score"]) == 1500
    assert training["timesteps"][-1] == drawn["x"][1] == 1_799_910
    half = 1.959964 * score[-100:].std(ddof=1) / 10
    assert training["mean"][-1] == pytest.approx(score[-100:].mean(), abs=0.01)
    assert training["low"][-1] == pytest.approx(score[-100:].mean() - half, abs=0.01)
    greedy = drawn["data"]["greedy"]
    assert greedy["low"] == greedy["mean"] == greedy["high"]  # one episode has no interval
    assert drawn["y"][1] > 200
    json.dumps(drawn, allow_nan=False)


def test_a_curve_without_a_finished_episode():
    empty = {name: np.zeros(0) for name in ("timesteps", "score", "playtime")}
    drawn = curve(empty, [(64, some_evaluation(np.random.default_rng(2), 4))], None)
    assert drawn["data"]["training"]["mean"] == []
    json.dumps(drawn, allow_nan=False)


@pytest.mark.parametrize("returns", [np.array([5.0]), np.full(9, 200.0), np.r_[np.full(999, 250.0), -5_000.0]])
def test_a_histogram_counts_everything_in_few_bins(returns):
    drawn = histogram(returns)
    assert sum(drawn["data"]["counts"]) == len(returns)
    assert len(drawn["data"]["counts"]) <= 60


@pytest.mark.parametrize("value", [500.0, -200.0, 0.0, 1e-7, 1e6])
def test_equal_returns_are_one_narrow_bar_in_the_middle(value):
    drawn = histogram(np.full(200, value))
    edges, counts = np.array(drawn["data"]["edges"]), np.array(drawn["data"]["counts"])
    (filled,) = np.flatnonzero(counts)
    assert counts[filled] == 200
    assert edges[filled] < value < edges[filled + 1]
    assert edges[filled + 1] - edges[filled] <= (edges[-1] - edges[0]) / 20
    assert filled == len(counts) // 2
