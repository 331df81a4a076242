"""`python -m fastlander.sweep` with real runs: its output, Ctrl-C, kill -9, and what it refuses."""

import csv
import os
import signal
import subprocess
import sys
import time

import pytest

from fastlander.storage.settings_file import read_settings
from fastlander.sweep import main, read_arguments
from fastlander.sweeps.directory import read_plan
from fastlander.validation import InputError

pytest.importorskip("optuna")

SHORT = "--env-id CartPole-v1 --total-timesteps 2000 --learning-starts 200 --eval-episodes 4 --objective return".split()
SEARCH = ["--search", "learning_rate=log:1e-3..1e-2", "n_step=1..5"]
LANDER = "--num-envs 4 --total-timesteps 2000 --learning-starts 500 --eval-episodes 4 --objective return".split()
RACE = ["--trials", "4", "--batch", "2", "--rounds", "1", "2", "--judge-seeds", "2"]
SMALL = [*SHORT, *SEARCH, *RACE]


def results(directory):
    """What a sweep of real runs leaves, without times and the order in which seeds ended."""
    with open(directory / "trials.csv", newline="") as file:
        rows = sorted(
            (int(row["trial"]), int(row["seed"]), row["updates"], row["eval_mean"]) for row in csv.DictReader(file)
        )
    return rows, (directory / "best.toml").read_text()


def test_a_sweep_from_the_command_line(tmp_path, capfd):
    directory = tmp_path / "sweep"
    assert main([*SMALL, "--output-dir", str(directory)]) == 0
    out, err = capfd.readouterr()
    assert "batch 1, trials 2 to 3: trial" in out
    assert "Probability of improvement" in out or "No settings did better" in out
    assert err == ""
    assert not (directory / "runs").exists()
    best = read_settings(directory / "best.toml")
    assert (best.env_id, best.total_timesteps, best.train_freq, best.solved_by) == ("CartPole-v1", 2000, 8, "never")
    assert read_plan(directory).trials == 4


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (SEARCH, "trials or minutes must say when to stop, got neither"),
        (["--trials", "3"], "search must name a setting, such as"),
        (["--trials", "0", *SEARCH], "--trials must be|trials must be an integer of at least 1"),
        (
            ["--trials", "3", *SEARCH, "--search", "n_step=1..3"],
            "search must name each setting once, got 'n_step' twice",
        ),
        (["--trials", "3", *SEARCH, "--ray-address", "auto"], "ray_address must be None without the engine ray"),
        (["--trials", "3", *SEARCH, "--objective", "x"], "--objective must be one of steps, seconds, return, got 'x'"),
        (["--trials", "3", *SEARCH, "--env-id", "Nothing-v0"], "env_id must be"),
        (["--resume", "nowhere"], "nowhere/sweep.json must be as the sweep wrote it"),
        (["--resume", "nowhere", "--batch", "3"], "--resume takes no other setting"),
        (["--resume", "nowhere", *SEARCH], "--resume takes no other setting"),
    ],
)
def test_what_cannot_be_done_is_refused_in_a_line(arguments, line, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    out, err = capfd.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert any(words in err for words in line.split("|"))
    assert os.listdir() == []


def test_settings_come_from_the_preset_the_file_and_the_flags(tmp_path):
    file = tmp_path / "own.toml"
    file.write_text("num_envs = 16\nn_step = 3\n")
    arguments = read_arguments(["--config", str(file), "--n-step", "4", "--preset", "best", "--search", "tau=0.1,1"])
    config = arguments.config
    assert (config.num_envs, config.n_step, config.candidates, arguments.search) == (16, 4, 8, (("tau=0.1,1",),))
    with pytest.raises(InputError, match="preset must be default for env_id 'CartPole-v1'"):
        read_arguments(["--env-id", "CartPole-v1", "--preset", "best"])


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_ends_a_sweep_and_resume_goes_on(number, tmp_path, capfd):
    """At four moments: the result is that without a break, and finished seeds are not trained again.

    The native lander can be saved, so that also a run that was broken off goes on as if nothing had been.
    """
    small, expected = [*LANDER, *SEARCH, *RACE], tmp_path / "expected"
    assert main([*small, "--quiet", "--output-dir", str(expected)]) == 0
    for rows in (1, 3, 5, 7):
        directory = tmp_path / f"rows{rows}"
        argv = [sys.executable, "-m", "fastlander.sweep", *small, "--output-dir", str(directory)]
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        table = directory / "trials.csv"
        while process.poll() is None and (not table.exists() or len(table.read_text().splitlines()) <= rows):
            time.sleep(0.01)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
        assert err == ""
        if process.returncode != 0:  # it may have come to its end
            assert process.returncode == (-number if number == signal.SIGKILL else 128 + number)
            assert ("Interrupted: --resume" in out) == (number != signal.SIGKILL)
        before = table.read_text().splitlines()
        assert main(["--resume", str(directory), "--quiet"]) == 0
        assert results(directory) == results(expected)
        assert set(before) <= set(table.read_text().splitlines())  # with their seconds: they are the same runs
