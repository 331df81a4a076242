import base64
import csv
import json
import os
import re
import shutil

import gymnasium as gym
import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from fastlander import Config, LunarLanderVectorEnv, Trainer, cli
from fastlander.evaluation.episodes import evaluate
from fastlander.evaluation.evaluation import Evaluation
from fastlander.physics.state import ORIGIN, POSITION
from fastlander.report import write_report
from fastlander.storage.tables import EVALUATION_COLUMNS, evaluation_rows, read_judgements, read_table, table
from fastlander.viewing.report_page import curve, histogram, replays_of
from fastlander.viewing.trace import trace

SHORT = {"num_envs": 4, "total_timesteps": 1_000, "eval_episodes": 5, "progress": False, "eval_gate": -1e9}


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    return Trainer(Config(**SHORT, output_dir=tmp_path_factory.mktemp("run") / "run")).run()


def data_of(path):
    page = path.read_text()
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)[1])


def idle(obs):
    return np.zeros(len(obs), np.int64)


def swinging(obs):
    """Every engine now and then, both legs on the ground at times."""
    return np.where(obs[:, 3] < -0.15, 2, np.where(obs[:, 4] > 0, 3, 1))


@pytest.mark.parametrize("policy", [idle, swinging])
@pytest.mark.parametrize("seed", [0, 1, 2, 77])
def test_a_trace_is_what_the_native_lander_does(policy, seed):
    got = trace(gym.make("LunarLander-v3"), policy, seed)
    env = LunarLanderVectorEnv(1, autoreset_mode="Disabled")
    obs, _ = env.reset(seed=seed)
    over, total = False, 0.0
    for k in range(len(got.events)):
        f32 = env._stepper.state.f32[:, 0]
        for body in range(3):
            angle = (f32[POSITION + 3 * body + 2] + np.pi) % (2 * np.pi) - np.pi
            pose = [f32[ORIGIN + 2 * body], f32[ORIGIN + 2 * body + 1], angle]
            assert got.poses[k, body] == pytest.approx(1000 * np.array(pose), abs=0.51)
        assert got.scores[k] == total
        assert got.events[k] & 12 == 4 * obs[0, 6] + 8 * obs[0, 7]
        if not over:
            action = policy(obs)
            assert got.events[k] & 3 == action[0]
            obs, reward, terminated, truncated, _ = env.step(action)
            total, over = total + reward[0], bool(terminated[0] or truncated[0])
    assert over
    assert got.score == total
    assert {-100.0: got.outcome in ("crashed", "flew away"), 100.0: got.outcome == "landed"}.get(
        reward[0], truncated[0]
    )
    assert got.ground[4:7] == pytest.approx([0.99 * 400 / 30 / 4] * 3)  # Gymnasium smooths by 0.33 three times


def test_a_trace_goes_out_and_comes_back():
    got = trace(gym.make("LunarLander-v3"), swinging, 3)
    record = json.loads(json.dumps(got.to_json()))
    poses = np.frombuffer(base64.b64decode(record["poses"]), "<i2").reshape(-1, 3, 3)
    assert np.array_equal(poses, got.poses)
    assert np.array_equal(np.frombuffer(base64.b64decode(record["events"]), np.uint8), got.events)
    assert np.frombuffer(base64.b64decode(record["scores"]), "<f4") == pytest.approx(got.scores, rel=1e-6)
    assert len(json.dumps(record)) < 35 * len(got.events) + 1_000


def test_the_landings_shown_are_the_best_the_median_and_the_worst(result):
    evaluation = result.evaluation
    shown = replays_of(result.agent.q_net, evaluation)
    ordered = sorted(evaluation.returns)
    assert [replay.score for replay in shown.values()] == [ordered[-1], ordered[2], ordered[0]]
    seeds = [replay.seed for replay in shown.values()]
    env = LunarLanderVectorEnv(3, autoreset_mode="Disabled")
    again = evaluate(result.agent.q_net.greedy, env, seeds)
    assert [replay.score for replay in shown.values()] == again.returns.tolist()


def test_a_run_leaves_a_page_that_asks_for_nothing(result):
    page = (result.output_dir / "report.html").read_text()
    assert len(page) < 1_000_000
    assert not re.findall(r"""(?:src|href)=|@import|url\(|https?://(?!www\.w3\.org/2000/svg)""", page)
    assert f"mean return of {result.evaluation.mean:.1f} over 5 fresh episodes".replace("  ", " ") in " ".join(
        page.split()
    )
    data = data_of(result.output_dir / "report.html")
    assert [len(data["replays"]), sum(data["returns"]["data"]["counts"])] == [3, 5]
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
    assert data_of(tmp_path / "run" / "report.html")["replays"] == []


def test_text_in_settings_cannot_break_the_page(result, tmp_path):
    shutil.copytree(result.output_dir, tmp_path / "run")
    path = tmp_path / "run" / "model.safetensors"
    hostile = Config(**SHORT, output_dir="</script><script>alert(1)</script>")
    save_file(load_file(path), path, {"config": hostile.to_json(), "fastlander_version": "0.1.0"})
    page = write_report(tmp_path / "run").read_text()
    assert "alert(1)" in page
    assert "<script>alert" not in page


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
        ("run --output taken", "output must be a new file, got 'taken', which exists"),
        (
            "newer",
            "newer/model.safetensors must have settings that fastlander 0.1.0 knows, got those of 9.0 (there is no",
        ),
    ],
)
def test_what_cannot_be_reported(in_tmp, result, capsys, arguments, line):
    for name in ("run", "unjudged", "strange", "unkept", "unlogged", "newer"):
        shutil.copytree(result.output_dir, name)
    os.unlink("unjudged/evaluations.csv")
    (in_tmp / "strange" / "evaluations.csv").write_text("judgement,timesteps,kept\n0,1,1\n")
    (in_tmp / "unkept" / "evaluations.csv").write_text(",".join(EVALUATION_COLUMNS) + "\n")
    header, *_ = (in_tmp / "unlogged" / "metrics.csv").read_text().splitlines()
    (in_tmp / "unlogged" / "metrics.csv").write_text(header + "\n")
    tensors, config = load_file("newer/model.safetensors"), {**json.loads(Config().to_json()), "wings": 2}
    save_file(tensors, "newer/model.safetensors", {"config": json.dumps(config), "fastlander_version": "9.0"})
    (in_tmp / "taken").write_text("precious")
    before = {path: path.read_bytes() for path in in_tmp.rglob("*") if path.is_file()}
    assert cli.main(["report", *arguments.split()]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"fastlander report: error: {line}")
    assert err.count("\n") == 1
    assert {path: path.read_bytes() for path in in_tmp.rglob("*") if path.is_file()} == before


def some_evaluation(rng, count):
    seeds, playtimes = rng.integers(2**31, size=count), rng.integers(1, 1000, size=count)
    return Evaluation(rng.normal(size=count), playtimes, rng.normal(size=count), rng.random(count) < 0.5, seeds)


def test_judgements_come_back_as_they_were(tmp_path):
    rng = np.random.default_rng(0)
    judgements = [(timesteps, some_evaluation(rng, count)) for timesteps, count in ((100, 3), (200, 4), (200, 1))]
    for kept in range(3):
        path = tmp_path / f"{kept}.csv"
        path.write_bytes(table(EVALUATION_COLUMNS, evaluation_rows(judgements, kept)))
        back, which = read_judgements(path)
        assert which == kept
        for (timesteps, evaluation), (expected_timesteps, expected) in zip(back, judgements, strict=True):
            assert timesteps == expected_timesteps
            for a, b in zip(vars(evaluation).values(), vars(expected).values(), strict=True):
                assert np.array_equal(a, b)


def test_an_empty_cell_is_nan(tmp_path):
    (tmp_path / "t.csv").write_bytes(table(("a", "b"), [(1, ""), (2.5, -3)]))
    columns = read_table(tmp_path / "t.csv", ("b", "a"))
    assert columns["a"].tolist() == [1, 2.5]
    assert np.isnan(columns["b"][0])


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
