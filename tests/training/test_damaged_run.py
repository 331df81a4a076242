"""Runs that were broken off and then damaged, by chance or on purpose: refused by name, and nothing is lost."""

import hashlib
import io
import json
import os
import pathlib
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save

from fastlander import Config, Trainer, train
from fastlander.storage.checkpoint import checkpoints, load_checkpoint
from fastlander.storage.run_directory import NotWritten, RunDirectory
from tests.training.test_resume import DATA, SHORT, broken_off, outcome

SMALL = {**SHORT, "total_timesteps": 3_000, "buffer_size": 1_000, "hidden_sizes": (16,)}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two directories: a run that was left alone, and one broken off at two thirds."""
    base = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        # Checkpoints so often, also on a slow disk, that the newest one covers rows of metrics.
        patch.setattr("fastlander.storage.run_directory.LARGEST_SHARE", 20.0)
        Trainer(Config(**SMALL, output_dir=base / "alone")).run()
        broken_off(Config(**SMALL, output_dir=base / "broken"), 2_000)
    return base / "alone", base / "broken"


@pytest.fixture
def run(runs, in_tmp):
    """A fresh copy of the broken one, as "run" in the working directory."""
    shutil.copytree(runs[1], "run")
    return in_tmp / "run"


@pytest.fixture
def begun(in_tmp):
    """A run that was killed before its first row of metrics."""
    with RunDirectory.create(Config(**SMALL, output_dir="run")):
        pass
    return in_tmp / "run"


def contents(directory):
    """Every file with its content, every link with its target, every other thing with None."""
    found = {}
    for path in pathlib.Path(directory).rglob("*"):
        found[path] = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
    return found


def refused(capsys, *flags):
    """The line that resuming is refused with. Nothing in the working directory changes by it."""
    before = contents(".")
    assert train.main(["--resume", "run", "--no-progress", *flags]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("fastlander train: error: ")
    assert err.count("\n") == 1
    assert contents(".") == before
    return err


def resume():
    assert train.main(["--resume", "run", "--no-progress"]) == 0


# What a resume depends on.


def numbers_in(text):
    """The path of every number and truth value in a JSON object."""

    def walk(value, path):
        if isinstance(value, dict):
            for name, inner in value.items():
                yield from walk(inner, (*path, name))
        elif isinstance(value, int | float):
            yield path

    return list(walk(json.loads(text), ()))


def test_every_value_of_a_checkpoint_is_covered(run, capsys):
    path = checkpoints(run / "checkpoint")[-1] / "state.json"
    text = path.read_text()
    places = [place for place in numbers_in(text) if place[0] == "values"]
    assert len(places) > 40
    for place in places:
        record = json.loads(text)
        inner = record
        for name in place[:-1]:
            inner = inner[name]
        inner[place[-1]] += 1
        path.write_text(json.dumps(record))
        with pytest.raises(ValueError, match=r"state\.json' \(it was truncated or altered: its checksum is another\)"):
            load_checkpoint(path.parent)
    record = json.loads(text)
    record["values"]["timesteps"] += 4
    path.write_text(json.dumps(record))
    line = refused(capsys)
    assert f"got 'run/checkpoint/{path.parent.name}/state.json' (it was truncated or altered: its checksum" in line
    older = checkpoints(run / "checkpoint")[-2].name
    assert line.endswith(f"; without {path.parent.name} the run goes on from {older}\n")


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record.update(format=1),
        lambda record: record.update(fastlander_version="0.0"),
        lambda record: record["sha256"].pop("state.json"),
        lambda record: record["sha256"].update({"state.json": "0" * 64}),
        lambda record: record["sha256"].update({"state.json": None}),
        lambda record: record["values"].pop("timesteps"),
        lambda record: record["values"].update(solved=False),
        lambda record: record["values"].update({"dqn/extra": 1}),
        lambda record: record.update(more=1),
    ],
)
def test_nothing_of_a_record_can_be_taken_away_or_added(run, capsys, change):
    path = checkpoints(run / "checkpoint")[-1] / "state.json"
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))
    assert "state.json' (it was truncated or altered: its checksum is another)" in refused(capsys)


def test_the_same_record_in_other_words_is_the_same_record(run, runs):
    path = checkpoints(run / "checkpoint")[-1] / "state.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps(dict(reversed(record.items())), indent=4))
    resume()
    assert outcome(run) == outcome(runs[0])


def cut(content):
    return content[: len(content) // 2]


def without_the_last_row(content):
    return b"".join(content.splitlines(keepends=True)[:-1])


def another_digit(content):
    place = content.rindex(b".") - 1
    return content[:place] + (b"1" if content[place : place + 1] != b"1" else b"2") + content[place + 1 :]


def zeros(content):
    return bytes(len(content))


def other_line_ends(content):
    return content.replace(b"\r\n", b"\n") + b"\n" * content.count(b"\r\n")


@pytest.mark.parametrize("damage", [cut, without_the_last_row, another_digit, zeros, other_line_ends, lambda _: b""])
def test_rows_that_changed_are_refused(run, capsys, damage):
    size = load_checkpoint(checkpoints(run / "checkpoint")[-1])["metrics_bytes"]
    path = run / "metrics.csv"
    path.write_bytes(damage(path.read_bytes()[:size]))
    line = refused(capsys)
    assert "run/metrics.csv must be as the run left it, got " in line
    assert ("its checksum is another" if path.stat().st_size >= size else f"bytes instead of {size} or more") in line


def test_rows_that_are_gone_are_missed_and_later_rows_may_be_anything(run, runs, capsys):
    path = run / "metrics.csv"
    content = path.read_bytes()
    path.unlink()
    assert "run/metrics.csv must be as the run left it, got none (No such file or directory)" in refused(capsys)
    path.mkdir()
    assert "run/metrics.csv must be a file of the run itself, got another thing" in refused(capsys)
    path.rmdir()
    size = load_checkpoint(checkpoints(run / "checkpoint")[-1])["metrics_bytes"]
    path.write_bytes(content[:size] + b"\0\xffanything")
    resume()
    assert outcome(run) == outcome(runs[0])


def test_rows_under_a_second_name_stay_as_they_are(run, runs):
    """`cp -al` backs a directory up by second names of its files."""
    os.link(run / "metrics.csv", "backup.csv")
    before = pathlib.Path("backup.csv").read_bytes()
    resume()
    assert pathlib.Path("backup.csv").read_bytes() == before
    assert outcome(run) == outcome(runs[0])


def test_a_checkpoint_of_an_earlier_version_has_its_rows_at_least(in_tmp, capsys):
    shutil.copytree(DATA / "broken_off", "run")
    path = in_tmp / "run" / "metrics.csv"
    content = path.read_bytes()
    size = load_checkpoint(checkpoints(in_tmp / "run" / "checkpoint")[-1])["metrics_bytes"]
    for damaged in (content[: size - 1], b"x" + content[1:], bytes(size), content[: size - 1] + b"\0" + content[size:]):
        path.write_bytes(damaged)
        assert "run/metrics.csv must be as the run left it, got " in refused(capsys)
    path.unlink()
    assert "run/metrics.csv must be as the run left it, got none" in refused(capsys)


@pytest.mark.parametrize(
    "changes",
    [{"seed": 1}, {"gamma": 0.9}, {"total_timesteps": 3_004}, {"hidden_sizes": [17]}, {"per_env_epsilon": False}],
    ids=str,
)
@pytest.mark.parametrize("which", ["run", "begun"])
def test_settings_that_changed_are_refused_before_and_after_the_first_checkpoint(request, capsys, which, changes):
    path = request.getfixturevalue(which) / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    ((name, value),) = changes.items()
    assert f"run/config.json must have the settings of {'its' if which == 'run' else 'run'}" in (
        line := refused(capsys)
    )
    assert f"got {name} {value!r} instead of " in line


@pytest.mark.parametrize("which", ["run", "begun"])
def test_settings_that_decide_nothing_may_change(request, runs, which):
    path = request.getfixturevalue(which) / "config.json"
    path.write_text(
        json.dumps({**json.loads(path.read_text()), "checkpoint_interval": None, "output_dir": "elsewhere"})
    )
    resume()
    assert outcome(path.parent) == outcome(runs[0])
    assert not pathlib.Path("elsewhere").exists()


def test_a_setting_that_lost_its_line_is_missed(begun, capsys):
    path = begun / "config.json"
    path.write_text("".join(line for line in path.read_text().splitlines() if "total_timesteps" not in line))
    assert "got total_timesteps 1000000 instead of 3000" in refused(capsys)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "settings must be a JSON object, got text that is not JSON"),
        ("[" * 100_000, "settings must be a JSON object, got text that is not JSON"),
        ('{"seed": %s}' % ("9" * 5_000), "settings must be a JSON object, got text that is not JSON"),
        ('{"gamma": %s}' % ("9" * 400), "gamma must be a number of at least 0 and at most 1, got 999"),
        ('{"gamma": NaN}', "gamma must be a number of at least 0 and at most 1, got nan"),
        ('{"learning_rate": 1e999}', "learning_rate must be a number above 0"),
        ('{"hidden_sizes": [[[[1]]]]}', "hidden_sizes must be one or more numbers"),
        ('{"hidden_sizes": [' + ", ".join(["0"] * 100_000) + "]}", "hidden_sizes must be one or more numbers"),
        ('{"%s": 1}' % ("x\\n" * 10_000), "there is no setting named 'x"),
        ('{"loss": "%s"}' % ("y" * 100_000), "loss must be one of huber, mse, got 'yyy"),
        ('{"env_id": 3}', "env_id must be text, got 3"),
        ("3", "settings must be a JSON object, got int"),
    ],
    ids=range(12),
)
def test_settings_that_are_none_get_a_line_of_a_sane_length(run, capsys, text, line):
    (run / "config.json").write_text(text)
    got = refused(capsys)
    assert f"run/config.json must have settings that fastlander 0.1.0 knows, got others ({line}" in got
    assert len(got) < 600


def test_a_settings_file_that_cannot_be_read_is_no_run(run, capsys, monkeypatch):
    path = run / "config.json"
    path.write_bytes(b"\xff\xfe\0")
    assert "resume must be a run directory with a config.json, got 'run' (" in refused(capsys)
    with open(path, "wb") as file:
        file.truncate(10**10)
    before = sorted(os.listdir(run))
    assert train.main(["--resume", "run"]) == 2
    assert "got 'run' (it has 10,000 MB, at most 1)" in capsys.readouterr().err
    assert sorted(os.listdir(run)) == before
    path.unlink()
    assert "got 'run' (No such file or directory)" in refused(capsys)
    path.mkdir()
    assert "got 'run' (Is a directory)" in refused(capsys)
    path.rmdir()
    path.symlink_to(run / "metrics.csv")
    assert "got 'run' (it is a link, which is not followed)" in refused(capsys)


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 1_000, '{"seed": 3}'])
def test_the_beginning_of_a_run_is_refused_by_name(begun, capsys, text):
    (begun / "checkpoint" / "settings.json").write_text(text)
    assert "run/checkpoint/settings.json" in refused(capsys)


def test_a_beginning_of_an_earlier_version_has_only_its_settings(begun, runs):
    (begun / "checkpoint" / "settings.json").unlink()
    resume()
    assert outcome(begun) == outcome(runs[0])
    assert sorted(os.listdir(begun / "checkpoint")) == [path.name for path in checkpoints(begun / "checkpoint")]


def test_a_checkpoint_under_another_name_is_refused(run, capsys):
    newest = checkpoints(run / "checkpoint")[-1]
    newest.rename(newest.with_name("000000999999"))
    assert "a checkpoint must be of the steps in its name, got 'run/checkpoint/000000999999'" in refused(capsys)


# States that no run of these settings has, in checkpoints whose checksums are right.


def rewritten(path, values=None, arrays=None, tensors=None):
    """Change a checkpoint and give it the checksums that belong to it."""
    record = json.loads((path / "state.json").read_text())
    record["values"].update(values or {})
    with np.load(path / "arrays.npz") as file:
        packed = io.BytesIO()
        np.savez(packed, **{**{name: file[name] for name in file.files}, **(arrays or {})})
    (path / "arrays.npz").write_bytes(packed.getvalue())
    (path / "weights.safetensors").write_bytes(save({**load_file(path / "weights.safetensors"), **(tensors or {})}))
    for name in ("arrays.npz", "weights.safetensors"):
        record["sha256"][name] = hashlib.sha256((path / name).read_bytes()).hexdigest()
    del record["sha256"]["state.json"]
    record["sha256"]["state.json"] = hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
    (path / "state.json").write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"values": {"epsilon": 2.5}}, "the state of the run must have a number from 0 to 1 as epsilon, got 2.5"),
        ({"values": {"seconds": "x" * 10_000}}, "as seconds, got 'xxx"),
        ({"values": {"dqn/updates": -1}}, "the state of the DQN must have an integer from 0"),
        ({"values": {"dqn": 3}}, "it has a value where others of its names have an inner one"),
        ({"values": {"/".join("a" * 50): 3}}, "it has a value where others of its names have an inner one"),
        ({"values": {"config": 3}}, "a checkpoint must have the settings of its run, got "),
        ({"values": {"more": 3}}, "the state of the run must have timesteps, "),
        ({"values": {"metrics_bytes": 10**30}}, "run/metrics.csv must be as the run left it, got "),
        ({"values": {"metrics_bytes": -5}}, "run/metrics.csv must be as the run left it, got "),
        ({"values": {"metrics_bytes": None}}, "run/metrics.csv must be as the run left it, got "),
        ({"values": {"metrics_sha256": 3}}, "run/metrics.csv must be as the run left it, got "),
        (
            {"arrays": {"buffer/arrays.action": np.full(1_000, 4)}},
            "the state of the buffer must have actions from 0 to 3",
        ),
        ({"arrays": {"buffer/arrays.obs": np.zeros((3, 3))}}, "the state of the buffer must have float32[1000, 8] as"),
        ({"tensors": {"dqn/online": torch.zeros(3)}}, "the state of the DQN must have float32["),
        (
            {"tensors": {"last_good": torch.full((212,), torch.nan)}},
            "float32[212] finite as last_good, got float32[212] that is not finite",
        ),
        ({"tensors": {"dqn/online": torch.zeros(212, dtype=torch.float64)}}, "got float64[212]"),
    ],
)
def test_a_wrong_state_names_the_checkpoint(run, capsys, changes, line):
    newest = checkpoints(run / "checkpoint")[-1]
    rewritten(newest, **changes)
    got = refused(capsys)
    assert line in got
    assert f"run/checkpoint/{newest.name}" in got or "run/metrics.csv" in got
    assert len(got) < 1_000


# Links and other things in the place of a run's own files.

OWN = [
    "config.json", "metrics.csv", "checkpoint", "checkpoint/.lock", "checkpoint/NEWEST", "checkpoint/NEWEST/state.json",
    "checkpoint/NEWEST/arrays.npz", "checkpoint/NEWEST/weights.safetensors", "checkpoint/OLDER", "model.safetensors",
    "episodes.csv", "evaluations.csv", "report.html", "tensorboard", "tensorboard/events.out.tfevents.1.x",
]  # fmt: skip


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("target", ["a file", "a directory", "nothing", "what was there"])
def test_a_link_in_the_place_of_a_run_s_own_file_is_refused_by_name(run, capsys, name, target):
    older, newest = (path.name for path in checkpoints(run / "checkpoint")[-2:])
    path = run / name.replace("NEWEST", newest).replace("OLDER", older)
    path.parent.mkdir(exist_ok=True)
    elsewhere = run.parent / "elsewhere"
    if path.exists():
        path.rename(elsewhere)
    elif target == "what was there":
        elsewhere.write_text("content")
    if target != "what was there":
        shutil.rmtree(elsewhere, ignore_errors=True)
        elsewhere.unlink(missing_ok=True)
        {"a file": elsewhere.touch, "a directory": elsewhere.mkdir, "nothing": lambda: None}[target]()
    path.symlink_to(elsewhere)
    line = refused(capsys)
    assert "link, which is not followed" in line
    assert (str(path.relative_to(run.parent)) if name != "config.json" else "config.json") in line


@pytest.mark.parametrize("name", OWN[1:])
def test_another_thing_in_the_place_of_a_run_s_own_file_is_refused_by_name(run, capsys, name):
    older, newest = (path.name for path in checkpoints(run / "checkpoint")[-2:])
    path = run / name.replace("NEWEST", newest).replace("OLDER", older)
    if not path.suffix and path.name != ".lock":
        shutil.rmtree(path, ignore_errors=True)
        path.write_text("a file")
    elif "events" in name:
        pytest.skip("any name may lie there")
    else:
        path.unlink(missing_ok=True)
        os.mkfifo(path)
    line = refused(capsys)
    assert str(path.relative_to(run.parent)) in line


def test_a_directory_that_is_reached_by_a_link_is_the_user_s_own_choice(run, runs):
    run.rename("moved")
    run.symlink_to("moved")
    resume()
    assert outcome(run) == outcome(runs[0])


def test_planted_temporary_names_lead_nowhere_and_are_cleared(run, runs, in_tmp):
    (in_tmp / "victim").write_text("precious")
    (in_tmp / "directory").mkdir()
    (in_tmp / "directory" / "file").write_text("precious")
    newest = checkpoints(run / "checkpoint")[-1].name
    planted = [".report.tmp.html", ".model.tmp.safetensors", ".episodes.tmp.csv", ".config.0123456789abcdef.tmp.json"]
    for name in planted:
        (run / name).symlink_to(in_tmp / "victim")
    (run / "checkpoint" / ".000000003000.tmp").symlink_to(in_tmp / "directory")
    assert train.main(["--resume", "run", "--no-progress"]) == 2  # links among the checkpoints are refused
    (run / "checkpoint" / ".000000003000.tmp").unlink()
    shutil.copytree(run / "checkpoint" / newest, run / "checkpoint" / f".{newest}.0123456789abcdef.tmp")
    (run / ".flight.0123456789abcdef.tmp.gif").write_text("of a command that records now")
    resume()
    assert outcome(run) == outcome(runs[0])
    assert sorted(os.listdir(run)) == sorted([*os.listdir(runs[0]), ".flight.0123456789abcdef.tmp.gif"])
    assert sorted(os.listdir(run / "checkpoint")) == [path.name for path in checkpoints(run / "checkpoint")]
    assert (in_tmp / "victim").read_text() == (in_tmp / "directory" / "file").read_text() == "precious"


# Runs that die before they have anything to keep.


@pytest.mark.parametrize("error", [NotWritten("full"), KeyboardInterrupt(), MemoryError(), ValueError("x")], ids=repr)
@pytest.mark.parametrize("there", [False, True])
def test_a_run_that_dies_before_its_first_row_leaves_nothing(in_tmp, monkeypatch, error, there):
    if there:
        (in_tmp / "deep").mkdir()

    def dies(*_):
        raise error

    monkeypatch.setattr(RunDirectory, "log", dies)
    with pytest.raises(type(error)):
        Trainer(Config(**{**SMALL, "checkpoint_interval": None, "output_dir": "deep/run"})).run()
    assert os.listdir(in_tmp) == ["deep"] * there
    if there:
        assert os.listdir("deep") == []


def test_a_resumed_run_that_dies_at_once_stays(begun):
    before = contents(begun)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(RunDirectory, "log", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        patch.setattr(RunDirectory, "checkpoint_due", lambda self: False)
        Trainer.resume("run").run()
    assert contents(begun) == before


@pytest.mark.parametrize("failing", range(1, 7))
def test_a_disk_that_is_full_at_the_start_leaves_nothing(in_tmp, monkeypatch, capsys, failing):
    """The `failing`-th file that is written to the end, at the start or soon after."""
    fsync, calls = os.fsync, []

    def full(handle):
        calls.append(handle)
        if len(calls) >= failing:
            raise OSError(28, "No space left on device")
        fsync(handle)

    monkeypatch.setattr("os.fsync", full)
    flags = "--num-envs 4 --total-timesteps 400 --eval-episodes 2 --no-progress --log-episodes 1000 --output-dir a/run"
    status = train.main(flags.split())
    err = capsys.readouterr().err
    if failing <= 3:  # config.json, the settings, the first line of metrics.csv
        assert (status, os.listdir(in_tmp)) == (2, [])
        assert err == ("fastlander train: error: output_dir must be writable, got 'a/run' (No space left on device)\n")
    else:
        assert status == 1
        assert "checkpoint not written (No space left on device); there is none yet" in err
        assert "could not be written (No space left on device)" in err


@pytest.mark.parametrize("kilobytes", [4, 8])
def test_a_tiny_disk_is_left_empty(tmp_path, capsys, kilobytes):
    import subprocess

    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(disk)]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a tmpfs")
    try:
        assert train.main(["--total-timesteps", "100", "--output-dir", str(disk / "run")]) == 2
        err = capsys.readouterr().err
        assert f"output_dir must be writable, got '{disk}/run' (No space left on device)\n" in err
        assert os.listdir(disk) == []
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
