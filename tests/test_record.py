import os
import shutil
import warnings

import numpy as np
import pytest
from PIL import Image

from fastlander import Config, QNetwork, Trainer, cli
from fastlander.evaluate import evaluate_run
from fastlander.record import record
from fastlander.storage.model_file import save_model


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    directory = tmp_path_factory.mktemp("run") / "run"
    Trainer(Config(num_envs=4, total_timesteps=1_000, eval_episodes=2, progress=False, output_dir=directory)).run()
    return directory


def test_frames_are_those_of_the_episodes_that_are_evaluated(run, tmp_path):
    path, returns = record(run, tmp_path / "frames", format="frames", episodes=2, seed=5)
    _, evaluation = evaluate_run(run, 2, seed=5)
    assert returns == evaluation.returns.tolist()
    names = sorted(os.listdir(path))
    assert len(names) == sum(evaluation.playtimes) + 2
    first, last = (np.asarray(Image.open(path / name)) for name in (names[0], names[-1]))
    assert first.shape == (400, 600, 3)
    assert (first != last).any()


def test_a_gif_plays_at_the_speed_of_the_lander(run, tmp_path):
    path, _ = record(run, tmp_path / "deep" / "flight.gif")
    _, evaluation = evaluate_run(run, 1)
    with Image.open(path) as image:
        shown = image.n_frames * image.info["duration"] / 1000
        # Pillow joins equal frames; a flight has none but perhaps at its end.
        assert shown == pytest.approx(evaluation.playtimes[0] / 50, abs=0.3)
    assert os.listdir(path.parent) == ["flight.gif"]


def test_an_mp4(run, tmp_path):
    imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")
    path, _ = record(run, tmp_path / "flight.mp4", format="mp4")
    count, seconds = imageio_ffmpeg.count_frames_and_secs(str(path))
    _, evaluation = evaluate_run(run, 1)
    assert count == evaluation.playtimes[0] + 1
    assert seconds == pytest.approx(count / 50, abs=0.05)


def test_by_default_it_lies_in_the_run_directory(run, capsys):
    assert cli.main(["record", str(run)]) == 0
    out = capsys.readouterr().out
    assert out.endswith(f"Saved in {run}/flight.gif\n")
    assert (run / "flight.gif").stat().st_size > 1_000


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("run --episodes 0", "episodes must be an integer of at least 1, got 0"),
        ("run --format avi", "--format must be one of gif, mp4, frames, got 'avi'"),
        ("nowhere", "directory must be a run directory with a model.safetensors, got 'nowhere'"),
        ("run --output taken", "output must be a new file, got 'taken', which exists"),
        ("run --output taken/flight.gif", "output must be writable, got 'taken/flight.gif' ("),
    ],
)
def test_what_cannot_be_recorded(in_tmp, run, capsys, arguments, line):
    os.symlink(run, "run")
    (in_tmp / "taken").write_text("precious")
    before = sorted(os.listdir(run))
    assert cli.main(["record", *arguments.split()]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"fastlander record: error: {line}")
    assert err.count("\n") == 1
    assert (in_tmp / "taken").read_text() == "precious"
    assert sorted(os.listdir(run)) == before


@pytest.mark.parametrize("format", ["gif", "frames"])
@pytest.mark.parametrize("target", ["victim", "nowhere", "folder"])
def test_a_link_in_the_place_of_the_pictures_is_refused(in_tmp, run, capsys, format, target):
    shutil.copytree(run, "run")
    (in_tmp / "victim").write_text("precious")
    (in_tmp / "folder").mkdir()
    path = in_tmp / "run" / ("frames" if format == "frames" else "flight.gif")
    path.unlink(missing_ok=True)
    path.symlink_to(in_tmp / target)
    before = sorted(os.listdir("run"))
    assert cli.main(["record", "run", "--format", format]) == 2
    assert f"output must be a new file, got 'run/{path.name}', which exists" in capsys.readouterr().err
    assert sorted(os.listdir("run")) == before
    assert sorted(os.listdir(in_tmp)) == ["folder", "run", "victim"]
    assert os.listdir("folder") == []
    assert (in_tmp / "victim").read_text() == "precious"


@pytest.mark.parametrize("env_id", ["tests/Corridor-v0", "tests/Endless-v0"])
def test_an_environment_that_draws_nothing_gets_one_line(in_tmp, capsys, env_id):
    (in_tmp / "run").mkdir()
    save_model("run", QNetwork(3, 2, (4,)), Config(env_id=env_id))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Gymnasium says that it knows no such render mode
        assert cli.main(["record", "run"]) == 2
    err = capsys.readouterr().err
    assert f"directory must be of an environment that renders, got '{env_id}' (" in err
    assert err.count("\n") == 1
    assert os.listdir("run") == ["model.safetensors"]


def test_mp4_without_its_library_says_what_to_install(run, monkeypatch, capsys):
    monkeypatch.setitem(__import__("sys").modules, "imageio_ffmpeg", None)
    assert cli.main(["record", str(run), "--format", "mp4"]) == 2
    assert "format mp4 needs imageio-ffmpeg: pip install 'fastlander[video]'" in capsys.readouterr().err


def test_playing_needs_no_screen_of_its_own_to_be_tested(run, capsys, monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    assert cli.main(["play", str(run), "--episodes", "1"]) == 0
    _, evaluation = evaluate_run(run, 1)
    assert capsys.readouterr().out == f"Returns {evaluation.mean:.1f}\n"


def test_playing_without_a_screen_says_so(run, capsys, monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    assert cli.main(["play", str(run)]) == 2
    assert "play needs a screen, and DISPLAY is not set; `fastlander record` writes a file" in capsys.readouterr().err
