import hashlib
import json
import os
import shutil
import sys
import warnings

import numpy as np
import pytest

import fastlander
from fastlander import Config, QNetwork, Trainer, cli
from fastlander.card import write_card
from fastlander.evaluate import evaluate_run
from fastlander.evaluation.statistics import best_trial
from fastlander.storage.model_file import save_model
from tests.conftest import save_crashing_model

PLAIN = ["--episodes", "10", "--video", "none", "--no-onnx"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    directory = tmp_path_factory.mktemp("run") / "run"
    return save_crashing_model(directory, output_dir=str(directory))


def metadata_of(folder):
    yaml = pytest.importorskip("yaml")
    _, head, text = (folder / "README.md").read_text().split("---\n", 2)
    return yaml.safe_load(head), text


def test_the_folder_has_the_policy_its_results_and_nothing_else(run, in_tmp, capsys):
    pytest.importorskip("onnxscript")
    pytest.importorskip("imageio_ffmpeg")
    assert cli.main(["card", str(run), "--output", "deep/card", "--episodes", "30", "--seed", "4"]) == 0
    assert capsys.readouterr() == ("Saved in deep/card\n", "")
    folder = in_tmp / "deep" / "card"
    assert sorted(os.listdir(folder)) == [
        "README.md", "config.json", "model.onnx", "model.safetensors", "replay.mp4", "results.json",
    ]  # fmt: skip
    assert os.listdir(folder.parent) == ["card"]
    model = (folder / "model.safetensors").read_bytes()
    assert model == (run / "model.safetensors").read_bytes()
    assert Config.from_json((folder / "config.json").read_text()).hidden_sizes == (24, 9)
    for path in folder.iterdir():
        assert str(run.parent).encode() not in path.read_bytes()

    _, evaluation = evaluate_run(run, 30, 4)
    best = best_trial(evaluation.returns)
    assert json.loads((folder / "results.json").read_text()) == {
        "mean_reward": evaluation.mean,
        "std_reward": evaluation.std,
        "is_deterministic": True,
        "n_eval_episodes": 30,
        "mean_reward_95": list(evaluation.interval),
        "mean_minus_std": evaluation.mean - evaluation.std,
        "lowest_reward": evaluation.returns.min(),
        "mean_length": evaluation.playtimes.mean(),
        "best_trial": {"mean_reward": best.mean, "std_reward": best.std, "episodes": 10, "of": 3},
        "seed": 4,
        "env_id": "LunarLander-v3",
        "fastlander_version": fastlander.__version__,
        "model_sha256": hashlib.sha256(model).hexdigest(),
        "timeouts": evaluation.timeouts.mean(),
        "below_200": (evaluation.returns < 200).mean(),
        "landings": evaluation.landings.mean(),
        "crashes": evaluation.crashes.mean(),
    }

    metadata, text = metadata_of(folder)
    (entry,) = metadata["model-index"]
    (result,) = entry["results"]
    assert metadata["tags"][0] == "LunarLander-v3"
    assert result["task"]["type"] == metadata["pipeline_tag"] == "reinforcement-learning"
    assert result["dataset"] == {"name": "LunarLander-v3", "type": "LunarLander-v3"}
    # A leaderboard splits the value of the first metric.
    mean, std = map(float, result["metrics"][0]["value"].split("+/-"))
    assert (mean, std) == (round(evaluation.mean, 2), round(evaluation.std, 2))
    low, high = evaluation.interval
    difference = f"{evaluation.mean - evaluation.std:.2f}"
    assert f"| **all 30** | **{mean:.2f}** (95%: {low:.2f} to {high:.2f}) | {std:.2f} | {difference} |" in text
    trial = f"{best.mean:.2f} | {best.std:.2f} | {best.mean - best.std:.2f} |"
    assert f"| best of 3 evaluations of 10 episodes | {trial}" in text
    assert 'fastlander.load("OWNER/NAME")' in text
    assert "| hidden_sizes | `[24, 9]` (not the default) |" in text


def test_the_card_has_the_widths_of_the_policy_that_acts_on_both_sides(in_tmp):
    settings = {"num_envs": 2, "hidden_sizes": (10, 7), "total_timesteps": 200, "eval_episodes": 2, "progress": False}
    Trainer(Config(**settings, mirror_acting=True, output_dir="run")).run()
    write_card("run", "card", episodes=10, video="none", onnx=False)
    _, text = metadata_of(in_tmp / "card")
    assert "hidden layers of 20 and 14 units" in text
    assert "| hidden_sizes | `[10, 7]` (not the default) |" in text


def test_the_folder_serves_as_the_run_does(run, in_tmp, capsys):
    write_card(run, "card", episodes=10, video="gif", onnx=False)
    assert evaluate_run("card", 5)[1].returns.tolist() == evaluate_run(run, 5)[1].returns.tolist()
    assert cli.main(["record", "card", "--output", "flight.gif"]) == 0
    assert (in_tmp / "flight.gif").read_bytes() == (in_tmp / "card" / "replay.gif").read_bytes()
    assert cli.main(["card", "card", "--output", "again", *PLAIN]) == 0
    assert (in_tmp / "again" / "results.json").read_bytes() == (in_tmp / "card" / "results.json").read_bytes()


def test_a_setting_that_most_runs_have_not_is_listed(in_tmp):
    save_crashing_model(in_tmp / "windy", env_kwargs={"enable_wind": True}, epsilon_zeta=2.0)
    assert cli.main(["card", "windy", *PLAIN]) == 0
    _, text = metadata_of(in_tmp / "windy" / "card")
    assert '| env_kwargs | `{"enable_wind": true}` (not the default) |' in text
    assert "| epsilon_zeta | `2.0` (not the default) |" in text
    assert "| gamma | `0.997` |" in text


def test_the_best_of_fifty_evaluations_is_counted_by_hand():
    returns = np.zeros(777)
    returns[20:30] = np.arange(10)  # mean 4.5, standard deviation 2.87
    returns[40:50] = 3  # mean 3, standard deviation 0: ranked first
    returns[500:510] = 100  # beyond the fiftieth
    assert best_trial(returns) == (3, 0, 50)
    assert best_trial(returns[:35]) == (pytest.approx(4.5), pytest.approx(8.25**0.5), 3)


def test_a_model_of_an_earlier_version_tells_no_path(in_tmp):
    old = os.path.join(os.path.dirname(__file__), "data", "alone")
    folder = write_card(old, "card", episodes=10, video="none", onnx=False)
    assert b"output_dir" not in (folder / "model.safetensors").read_bytes()
    assert fastlander.load(folder).config.seed == 5


def test_another_environment_has_its_own_name_and_no_landings(in_tmp):
    Trainer(
        Config(
            env_id="CartPole-v1", num_envs=2, total_timesteps=100, eval_episodes=2, progress=False, output_dir="cart"
        )
    ).run()
    folder = write_card("cart", episodes=10, video="none", onnx=False)
    assert folder.parts == ("cart", "card")
    metadata, text = metadata_of(folder)
    assert metadata["tags"][0] == metadata["model-index"][0]["results"][0]["dataset"]["name"] == "CartPole-v1"
    assert "landings" not in json.loads((folder / "results.json").read_text())
    assert "landings" not in text
    assert "obs: 4 numbers" in text


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("nowhere", "directory must be a run directory with a model.safetensors, got 'nowhere'"),
        ("run --episodes 9", "episodes must be an integer of at least 10, got 9"),
        ("run --episodes x", "--episodes must be an integer of at least 10, got 'x'"),
        ("run --video avi", "--video must be one of mp4, gif, none, got 'avi'"),
        ("run --seed -1", "seed must be an integer of at least 0"),
        ("run --output taken", "output must be a new file, got 'taken', which exists"),
        ("run --output taken/card", "output must be writable, got 'taken/card' ("),
        ("painter --video gif", "directory must be of an environment that renders, got 'tests/Corridor-v0' ("),
    ],
)
def test_what_gets_no_folder(run, in_tmp, capsys, arguments, line):
    os.symlink(run, "run")
    (in_tmp / "painter").mkdir()
    save_model("painter", QNetwork(3, 2, (4,)), Config(env_id="tests/Corridor-v0"))
    (in_tmp / "taken").write_text("precious")
    before = sorted(os.listdir(run))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Gymnasium says that it knows no such render mode
        assert cli.main(["card", *arguments.split(), "--no-onnx"]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"fastlander card: error: {line}")
    assert err.count("\n") == 1
    assert (in_tmp / "taken").read_text() == "precious"
    assert sorted(os.listdir(run)) == before
    assert os.listdir("painter") == ["model.safetensors"]


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("onnxruntime", "ONNX needs three packages more: pip install 'fastlander[onnx]'"),
        ("imageio_ffmpeg", "format mp4 needs imageio-ffmpeg: pip install 'fastlander[video]'"),
    ],
)
def test_a_missing_package_is_named_before_anything_is_played(run, in_tmp, capsys, monkeypatch, module, line):
    pytest.importorskip("imageio_ffmpeg")
    pytest.importorskip("onnxscript")
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr("fastlander.evaluate.evaluate_run", None)
    assert cli.main(["card", str(run), "--output", "card"]) == 2
    assert capsys.readouterr().err == f"fastlander card: error: {line}\n"
    assert os.listdir() == []


def test_nothing_is_left_of_a_folder_that_was_interrupted(run, in_tmp, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("fastlander.record.record", interrupt)
    shutil.copytree(run, "run")
    before = sorted(os.listdir("run"))
    assert cli.main(["card", "run", "--episodes", "10", "--no-onnx", "--video", "gif"]) == 130
    assert sorted(os.listdir("run")) == before
