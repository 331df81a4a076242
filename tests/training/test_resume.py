"""A run that was broken off and resumed, against the same run left alone."""

import contextlib
import csv
import hashlib
import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

import llvmlite.binding
import pytest
import torch
from safetensors.torch import load_file

from fastlander import Config, Trainer, train
from fastlander.storage.checkpoint import checkpoints
from fastlander.storage.run_directory import NotWritten, RunDirectory
from fastlander.training import trainer

SHORT = {
    "num_envs": 4, "total_timesteps": 6_000, "eval_episodes": 4, "learning_starts": 500, "buffer_size": 3_000,
    "progress": False, "eval_gate": -1e9, "eval_interval": 1_500, "checkpoint_interval": 1e-9,
}  # fmt: skip
TIMES = ("steps_per_second", "seconds")


def metrics(directory):
    with open(directory / "metrics.csv", newline="") as file:
        return [{k: v for k, v in row.items() if k not in TIMES} for row in csv.DictReader(file)]


def outcome(directory):
    names = ("model.safetensors", "episodes.csv", "evaluations.csv")
    return *((directory / name).read_bytes() for name in names), metrics(directory)


@pytest.fixture(autouse=True, scope="module")
def many_checkpoints():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fastlander.storage.run_directory.LARGEST_SHARE", 0.5)
        yield


class Broken(Exception):
    pass


def broken_off(config, at):
    """A run that ends as by kill -9 (nothing more is written) in the vector step after `at` timesteps."""
    steps = trainer.steps

    def dying(run):
        for finished in steps(run):
            if run.timesteps > at:
                raise Broken
            yield finished

    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(Broken):
        patch.setattr(trainer, "steps", dying)
        Trainer(config).run()


@pytest.fixture(scope="module")
def alone(tmp_path_factory, many_checkpoints):
    """The directory of a run that was left alone."""
    directory = tmp_path_factory.mktemp("alone") / "run"
    Trainer(Config(**SHORT, output_dir=directory)).run()
    return directory


@pytest.mark.parametrize("at", [100, 1_501, 2_777, 4_000, 5_996])
def test_a_resumed_run_comes_to_the_same(in_tmp, alone, at):
    broken_off(Config(**SHORT, output_dir="run"), at)
    assert not (in_tmp / "run" / "model.safetensors").exists()
    assert checkpoints(in_tmp / "run" / "checkpoint")
    result = Trainer.resume("run").run()
    assert result.timesteps == 6_000
    assert outcome(in_tmp / "run") == outcome(alone)


@pytest.mark.parametrize(
    "settings",
    [
        {"solved_by": "never", "candidates": 3, "learning_rate_end": 1e-5, "checkpoint_interval": 0.01},
        {"solved_by": "training", "epsilon_schedule": "per-episode", "n_step": 1, "tau": 1.0, "per_env_epsilon": False},
        {"env_id": "LunarLander-v3", "hidden_sizes": (24,), "batch_size": 16, "num_envs": 1, "total_timesteps": 3_000},
        {"epsilon_zeta": 1.5, "epsilon_timesteps": 20_000, "per_env_epsilon": False},
    ],
    ids=str,
)
def test_with_other_settings_too(in_tmp, settings):
    config = Config(**{**SHORT, **settings, "output_dir": "run"})
    Trainer(config).run()
    expected = outcome(in_tmp / "run")
    for at in (config.total_timesteps // 3, config.total_timesteps * 0.9):
        shutil.rmtree("run")
        broken_off(config, at)
        Trainer.resume("run").run()
        assert outcome(in_tmp / "run") == expected


def test_a_run_broken_off_twice_and_one_that_had_no_checkpoint_yet(in_tmp, alone):
    broken_off(Config(**SHORT, output_dir="run"), 2_000)
    steps = trainer.steps
    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(Broken):

        def dying(run):
            for finished in steps(run):
                if run.timesteps > 4_000:
                    raise Broken
                yield finished

        patch.setattr(trainer, "steps", dying)
        Trainer.resume("run").run()
    Trainer.resume("run").run()
    assert outcome(in_tmp / "run") == outcome(alone)
    shutil.rmtree("run")
    broken_off(Config(**SHORT, output_dir="run"), 3_000)
    shutil.rmtree("run/checkpoint")  # as if killed before the first
    Trainer.resume("run").run()
    assert outcome(in_tmp / "run") == outcome(alone)


def test_a_finished_run_can_be_resumed_and_stays_as_it_is(in_tmp, alone):
    shutil.copytree(alone, "run")
    assert train.main(["--resume", "run", "--no-progress"]) == 0
    assert outcome(in_tmp / "run") == outcome(alone)


def test_an_interrupted_run_goes_on(in_tmp, alone):
    event, steps = threading.Event(), trainer.steps

    def interrupted(run):
        for finished in steps(run):
            if run.timesteps > 2_500:
                event.set()
            yield finished

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "steps", interrupted)
        result = Trainer(Config(**SHORT, output_dir="run")).run(interrupted=event)
    assert result.interrupted
    assert (in_tmp / "run" / "model.safetensors").exists()
    Trainer.resume("run").run()
    assert outcome(in_tmp / "run") == outcome(alone)


def test_a_backend_without_states_begins_new_episodes_and_says_so(in_tmp, capsys):
    config = Config(**{**SHORT, "backend": "sync", "total_timesteps": 2_000, "output_dir": "run"})
    broken_off(config, 1_000)
    capsys.readouterr()
    result = Trainer.resume("run", progress=True).run()
    out = capsys.readouterr().out
    assert "the sync backend cannot save its state: new episodes begin" in out
    assert re.search("resumed after [0-9,]+ steps", out)
    assert result.timesteps == 2_000


def test_two_checkpoints_are_kept(alone):
    kept = checkpoints(alone / "checkpoint")
    assert len(kept) == 2
    assert kept[-1].name == "000000006000"
    assert sorted(os.listdir(kept[0])) == ["arrays.npz", "state.json", "weights.safetensors"]
    assert sorted(os.listdir(alone / "checkpoint")) == [path.name for path in kept]  # no temporary files, no lock


@pytest.fixture
def broken(in_tmp):
    broken_off(Config(**SHORT, output_dir="run"), 1_000)
    return checkpoints(in_tmp / "run" / "checkpoint")[-1]


def refused(capsys, directory="run"):
    """The one line that resuming is refused with; nothing in the directory changes."""
    before = contents(directory)
    assert train.main(["--resume", str(directory)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert contents(directory) == before
    return err


def contents(directory):
    return {path: path.read_bytes() for path in pathlib.Path(directory).rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ["arrays.npz", "state.json", "weights.safetensors"])
@pytest.mark.parametrize("damage", ["truncated", "missing"])
def test_a_damaged_checkpoint_is_refused_by_name_and_reason(broken, capsys, name, damage):
    """What else can be wrong with one: test_checkpoint.py."""
    path = broken / name
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    else:
        path.unlink()
    line = refused(capsys)
    assert name in line
    assert "a checkpoint must be as it was written" in line


def test_what_is_no_run_or_another_s_is_refused(broken, in_tmp, capsys):
    (in_tmp / "empty").mkdir()
    assert "resume must be a run directory with a config.json, got 'empty'" in refused(capsys, "empty")
    record = json.loads((broken / "state.json").read_text())
    (broken / "state.json").write_text(json.dumps({**record, "format": 99, "fastlander_version": "9.0"}))
    assert "fastlander 9.0 wrote it" in refused(capsys)
    (broken / "state.json").write_text(json.dumps(record))
    settings = json.loads((in_tmp / "run" / "config.json").read_text())
    for changed in (
        {"hidden_sizes": [8]},
        {"env_id": "CartPole-v1", "eval_gate": None},
        {"seed": 4},
        {"epsilon_zeta": 2.0},
    ):
        (in_tmp / "run" / "config.json").write_text(json.dumps({**settings, **changed}))
        assert f"must have the settings of its checkpoint, got {next(iter(changed))}" in refused(capsys)
    (in_tmp / "run" / "config.json").write_text(json.dumps({**settings, "wings": 2}))
    assert "there is no setting named 'wings'" in refused(capsys)


@pytest.mark.parametrize("flags", [["--seed", "3"], ["--preset", "best"], ["--seeds", "2"]])
def test_resume_takes_no_other_setting(broken, capsys, flags):
    assert train.main(["--resume", "run", *flags]) == 2
    assert "--resume takes no other setting but --no-progress" in capsys.readouterr().err


def test_two_runs_cannot_write_one_directory(broken, in_tmp, capsys):
    config = Config(**SHORT, output_dir="run")
    directory = RunDirectory.reopen(in_tmp / "run", config, lambda state: None)
    with directory:
        assert train.main(["--resume", "run"]) == 2
        assert "output_dir must not be written by two processes, got 'run', which is in use" in capsys.readouterr().err


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 700 kB. Nobody but root can mount one."""
    path = tmp_path / "disk"
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=700k", "tmpfs", str(path)]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a tmpfs")
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)


def fill(disk):
    """Leave no byte on it."""
    with contextlib.suppress(OSError), open(disk / "filling", "wb", buffering=0) as file:
        while file.write(b"x" * 4096):
            pass


def test_a_full_disk_keeps_the_last_good_checkpoint_and_says_so(small_disk, capsys, monkeypatch):
    config = Config(**{**SHORT, "buffer_size": 1_000, "hidden_sizes": (16,)}, output_dir=small_disk / "run")
    Trainer(config).run()
    expected = outcome(small_disk / "run")
    shutil.rmtree(small_disk / "run")
    steps = trainer.steps

    def while_the_disk_fills(run):
        for finished in steps(run):
            if run.timesteps > 3_000 and not (small_disk / "filling").exists():
                fill(small_disk)
            yield finished

    with monkeypatch.context() as patch:
        patch.setattr(trainer, "steps", while_the_disk_fills)
        with pytest.raises(
            NotWritten, match=r"could not be written \(No space left on device\).* --resume goes on from"
        ):
            Trainer(config).run()
    assert "checkpoint not written (No space left on device); the one before stays" in capsys.readouterr().err
    assert not list((small_disk / "run").rglob(".*.tmp*"))
    assert checkpoints(small_disk / "run" / "checkpoint")
    (small_disk / "filling").unlink()
    assert train.main(["--resume", str(small_disk / "run"), "--no-progress"]) == 0
    assert outcome(small_disk / "run") == expected


def test_the_command_says_that_the_disk_is_full(in_tmp, monkeypatch, capsys):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fastlander.storage.run_directory.save_model", full)
    flags = "--num-envs 4 --total-timesteps 1000 --eval-episodes 2 --no-progress --output-dir run"
    assert train.main(flags.split()) == 1
    line = capsys.readouterr().err
    assert "run/model.safetensors could not be written (No space left on device); run/checkpoint/000000001000" in line
    assert line.count("\n") == 1


DATA = pathlib.Path(__file__).parents[1] / "data"
"""Two runs of an earlier version: data/README.md."""


@pytest.mark.skipif(torch.cuda.is_available(), reason="both were made on a CPU")
def test_a_run_that_an_earlier_version_broke_off_comes_to_what_it_came_to_there(tmp_path):
    shutil.copytree(DATA / "broken_off", tmp_path / "run")
    assert Trainer.resume(tmp_path / "run").run().timesteps == 20_000
    digests = {
        name: hashlib.sha256((tmp_path / "run" / name).read_bytes()).hexdigest()
        for name in ("episodes.csv", "evaluations.csv")
    }
    assert digests == {
        "episodes.csv": "535dad2bb183c86e7cdd6bf205f660d1d668253b4035695ae3ed879b522710d9",
        "evaluations.csv": "0460866b8a7872d5034aa3e3e2c3f58c907c889d6a7702ecf36a8f3bbbd69c50",
    }
    weights = load_file(tmp_path / "run" / "model.safetensors")
    for name, expected in load_file(DATA / "alone" / "model.safetensors").items():
        if llvmlite.binding.get_host_cpu_features().get("fma"):
            assert weights[name].numpy().tobytes() == expected.numpy().tobytes()
        else:  # a processor that rounds a product before it adds it
            assert weights[name].numpy() == pytest.approx(expected.numpy(), abs=1e-5)


def kill_and_resume(cwd, expected, moments, rng):
    """kill -9 a training process at random moments and resume it until it comes to an end."""
    flags = []
    for name, value in SHORT.items():
        if name != "progress":
            flags += [f"--{name.replace('_', '-')}", str(value)]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    for _ in range(moments):
        shutil.rmtree(cwd / "run", ignore_errors=True)
        command = [sys.executable, "-m", "fastlander.train", "--no-progress", "--output-dir", "run", *flags]
        process = subprocess.Popen(command, cwd=cwd, env=environment, stdout=subprocess.DEVNULL)
        while not (cwd / "run" / "config.json").exists():
            assert process.poll() is None
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 2.0))
        process.send_signal(signal.SIGKILL)
        process.wait()
        command = [sys.executable, "-m", "fastlander.train", "--resume", "run", "--no-progress"]
        done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert outcome(cwd / "run") == expected


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_killed_at_any_moment(in_tmp, alone):
    kill_and_resume(in_tmp, outcome(alone), 3, random.Random(0))


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_killed_at_fifty_moments(in_tmp, alone):
    kill_and_resume(in_tmp, outcome(alone), 50, random.Random(1))
