"""Sweeps with a fake engine: what a break changes, what is damaged or full, and what is told to Optuna."""

import contextlib
import errno
import io
import json
import os
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from fastlander.config import Config
from fastlander.storage.files import RunFailed
from fastlander.storage.settings_file import read_settings
from fastlander.sweeps import sweep as module
from fastlander.sweeps.plan import Plan
from fastlander.sweeps.study import Study
from fastlander.sweeps.sweep import resume_sweep, sweep
from fastlander.validation import InputError

optuna = pytest.importorskip("optuna")

SPACE = {"learning_rate": "log:1e-4..1e-2", "n_step": "1..3", "hidden_sizes": "8,16-8,8-8"}
BASE = {"total_timesteps": 10_000, "progress": False}


class Killed(BaseException):
    """Stands for a kill: nothing is caught, nothing is written after it."""


class FakeEngine:
    """Trains nothing: a seed needs steps by its settings and by its own luck."""

    def __init__(self, after=None, broken=None, failing=lambda config: None):
        self.after, self.broken, self.failing = after, broken, failing
        self.done = []

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        return None

    close = prepare = lambda self: None

    def run(self, jobs, interrupted):
        order = np.random.default_rng(len(self.done)).permutation(len(jobs))  # as they come, in any order
        for k in order:
            if interrupted.is_set():
                return
            if self.after is not None and len(self.done) >= self.after:
                if self.broken is not None:
                    raise self.broken
                interrupted.set()
                yield {"id": jobs[k]["id"], "interrupted": True}
                continue
            config = Config.from_json(jobs[k]["config"])
            self.done.append((config.learning_rate, config.n_step, config.hidden_sizes, config.seed))
            if self.failing(config):
                yield {"id": jobs[k]["id"], "failed": self.failing(config), "bad_input": False}
                continue
            luck = np.random.default_rng(config.seed).random()
            steps = round(1000 * abs(np.log(config.learning_rate / 2e-3)) + 500 * config.n_step + 900 * luck)
            Path(config.output_dir).mkdir(parents=True, exist_ok=True)
            Path(config.output_dir, "model.safetensors").touch()
            row = [config.seed, steps < 4000, min(steps, 4000), 7, steps / 1000, float(-steps)]
            yield {"id": jobs[k]["id"], "row": row, "line": ""}


@pytest.fixture
def engine(monkeypatch):
    """Makes the engine of the next sweeps."""

    def use(*args, **kwargs):
        made = FakeEngine(*args, **kwargs)
        monkeypatch.setattr(module, "open_engine", lambda *_: made)
        return made

    return use


def plan(directory, **changes):
    settings = {"trials": 10, "batch": 4, "rounds": (1, 2, 4), "judge_seeds": 3, **changes}
    return Plan(config=Config(**BASE, output_dir=str(directory)), search=settings.pop("search", SPACE), **settings)


def outcome_of(directory):
    """What a sweep leaves, without times and the order in which seeds ended."""
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(directory / "journal.log")))
    study = optuna.load_study(study_name="sweep", storage=storage)
    trials = [(t.number, t.state, t.params, t.value, t.intermediate_values, t.user_attrs) for t in study.trials]
    seeds = sorted((directory / "trials.csv").read_text().splitlines())
    judged = {path.parent.name: path.read_text() for path in directory.glob("judged/*/seeds.csv")}
    return trials, seeds, judged, (directory / "best.toml").read_text()


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """A sweep without a break, its engine, what it leaves, and what it printed. Its directory is not to be changed."""
    directory, made, out = tmp_path_factory.mktemp("sweeps") / "unbroken", FakeEngine(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        patch.setattr(module, "open_engine", lambda *_: made)
        swept = sweep(plan(directory), lambda line: None)
    return swept, made, outcome_of(directory), out.getvalue()


@pytest.fixture
def copied(unbroken, tmp_path):
    """A copy of its directory."""
    return shutil.copytree(unbroken[0].output_dir, tmp_path / "copy")


def test_trials_race_over_paired_seeds_and_the_first_has_the_settings_it_began_with(unbroken):
    swept, made, (trials, seeds, judged, _), printed = unbroken
    assert [t[0] for t in trials] == list(range(10))
    assert [t[5]["batch"] for t in trials] == [0] * 4 + [1] * 4 + [2] * 2
    assert trials[0][2]["n_step"] == 3  # 5 is outside of the space
    assert trials[0][2]["learning_rate"] == 3e-3
    states = [t[1].name for t in trials]
    assert [states[k : k + 4].count("COMPLETE") for k in (0, 4, 8)] == [1, 1, 1]
    for number, _, _, value, steps, attributes in trials:
        own = [line.split(",") for line in seeds if line.startswith(f"{number},")]
        if own:  # a trial that equals an earlier one has its seeds there
            cost = {int(cells[1]): int(cells[3]) if cells[2] == "True" else 10_000 for cells in own}
            assert sorted(cost) == list(range(max(steps)))
            assert all(np.isclose(steps[n], np.mean([cost[k] for k in range(n)])) for n in steps)
        assert value == steps[max(steps)]
        assert attributes["low"] <= value <= attributes["high"]
    assert len(made.done) == len(set(made.done))  # nothing is trained twice
    assert set(judged) == {f"trial{swept.best.number}", "start"}
    assert [line.split(",")[0] for line in judged["start"].split()[1:]] == ["4", "5", "6"]
    complete = [t for t in trials if t[1].name == "COMPLETE"]
    assert swept.best.value == min(t[3] for t in complete)
    assert not (swept.output_dir / "runs").exists()
    config = read_settings(swept.output_dir / "best.toml")
    assert all(getattr(config, name) == value for name, value in swept.best.settings.items())
    assert config.total_timesteps == 10_000
    assert printed == ""  # Optuna says nothing


def test_the_sampler_learns(unbroken):
    swept, *_ = unbroken
    assert swept.best.value < np.mean([trial.value for trial in swept.trials[:4]])
    assert swept.judgement.improvement[0] > 0.5


def test_the_summary_fits_into_80_columns(unbroken):
    text = unbroken[0].summary()
    assert max(map(len, text.replace(str(unbroken[0].output_dir), "DIR").splitlines())) <= 80
    for words in ("10 trials of 3 settings", "(first)", "Probability of improvement", "best.toml", "hidden_sizes"):
        assert words in text


def test_a_sweep_that_is_interrupted_at_any_seed_ends_as_without_a_break(unbroken, tmp_path, engine):
    expected, total = unbroken[2], len(unbroken[1].done)
    for after in range(0, total, 7):
        directory, first = tmp_path / f"after{after}", engine(after)
        broken = sweep(plan(directory), lambda line: None)
        assert broken.interrupted
        assert "Interrupted: --resume" in broken.summary()
        second = engine()
        assert not resume_sweep(directory, lambda line: None).interrupted
        assert outcome_of(directory) == expected
        assert not set(first.done) & set(second.done)
        assert len(first.done) + len(second.done) == total


def test_a_sweep_that_is_killed_at_any_write_of_the_journal_ends_as_without_a_break(
    unbroken, tmp_path, engine, monkeypatch
):
    backend, expected = optuna.storages.journal.JournalFileBackend, unbroken[2]
    whole, lines = backend.append_logs, len((unbroken[0].output_dir / "journal.log").read_bytes().splitlines())
    for last in range(-1, lines, 17):
        written = []

        def torn(self, logs, last=last, written=written):
            written.append(logs)
            if len(written) > last + 1:
                raise Killed
            whole(self, logs)
            if len(written) > last:
                with open(self._file_path, "ab") as file:
                    file.write(b'{"op_code":9,"worker')  # a line that was not written to its end
                os.symlink("journal.log", f"{self._file_path}.lock")
                raise Killed

        directory = tmp_path / f"last{last}"
        engine()
        with monkeypatch.context() as patch:
            patch.setattr(backend, "append_logs", torn)
            # A kill leaves the directory as it is.
            patch.setattr("fastlander.sweeps.directory.SweepDirectory.discard", lambda self: self.close())
            with pytest.raises(Killed):
                sweep(plan(directory), lambda line: None)
        engine()
        resume_sweep(directory, lambda line: None)
        assert outcome_of(directory) == expected


def test_more_trials_are_added_to_a_sweep_that_has_ended(unbroken, copied, engine):
    swept, *_ = unbroken
    made = engine()
    resume_sweep(copied, lambda line: None)
    assert made.done == []  # nothing is left to do
    longer = resume_sweep(copied, lambda line: None, trials=12)
    assert len(longer.trials) == 12
    assert longer.trials[:10] == swept.trials
    assert longer.best.value <= swept.best.value


def test_no_batch_begins_that_would_end_too_late(tmp_path, engine, monkeypatch):
    class Clock:
        def seconds(self):
            return 50.0  # of each batch

    monkeypatch.setattr("fastlander.sweeps.search.Clock", Clock)
    for minutes, batches in ((0.1, 1), (1.6, 1), (1.7, 2), (2.4, 2), (2.6, 3)):
        engine()
        swept = sweep(plan(tmp_path / f"for{minutes}", trials=None, minutes=minutes, batch=2), lambda line: None)
        assert (len(swept.trials), swept.seconds) == (2 * batches, 50 * batches)


def test_equal_trials_are_trained_once(tmp_path, engine):
    made = engine()
    swept = sweep(plan(tmp_path / "run", search={"n_step": "1..2"}), lambda line: None)
    assert len(made.done) == len(set(made.done))
    assert len({trial.settings["n_step"] for trial in swept.trials}) == 2
    assert [trial.value for trial in swept.trials if trial.state == "COMPLETE"] != []


def test_a_trial_that_fails_is_reported_and_the_sweep_goes_on(tmp_path, engine):
    def failing(config):
        return "the loss became nan" if config.n_step == 2 and config.seed == 1 else None

    def run(name, after=None):
        lines = []
        engine(after, failing=failing)
        return sweep(plan(tmp_path / name), lines.append), lines

    swept, lines = run("whole")
    failed = [trial for trial in swept.trials if trial.state == "FAIL"]
    assert failed
    assert all(trial.failed == "seed 1: the loss became nan" for trial in failed)
    assert all(f"trial {trial.number} failed: seed 1: the loss became nan" in lines for trial in failed)
    assert all(trial.settings["n_step"] == 2 for trial in failed)
    run("broken", after=9)
    engine(failing=failing)
    assert resume_sweep(tmp_path / "broken", lines.append).trials == swept.trials
    engine(failing=lambda config: "there is no memory")
    with pytest.raises(RunFailed, match="no trial has a value; the first one failed: seed 0: there is no memory"):
        sweep(plan(tmp_path / "none"), lambda line: None)


def test_a_full_disk_ends_the_sweep_and_blames_no_trial(unbroken, tmp_path, engine, monkeypatch):
    engine(failing=lambda config: "metrics.csv could not be written" if config.seed == 1 else None)
    with monkeypatch.context() as patch:
        patch.setattr("shutil.disk_usage", lambda path: shutil._ntuple_diskusage(10, 10, 0))
        with pytest.raises(RunFailed, match="is full"):
            sweep(plan(tmp_path / "run"), lambda line: None)
    engine()
    assert resume_sweep(tmp_path / "run", lambda line: None).trials == unbroken[0].trials


def no_space(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    ("where", "message"),
    [
        (
            "fastlander.storage.table_directory.TableDirectory._append",
            "trials.csv could not be written .No space left.*are kept",
        ),
        ("optuna.storages.journal.JournalFileBackend.append_logs", "journal.log could not be written .No space left"),
        ("fastlander.sweeps.sweep.write_atomically", "could not be written .*No space left.*--resume writes what"),
        ("fastlander.storage.settings_file.write_output", "could not be written .*No space left.*--resume writes what"),
    ],
)
def test_a_file_that_has_no_room_ends_the_sweep_in_a_line_and_loses_nothing(
    where, message, unbroken, tmp_path, engine, monkeypatch
):
    engine(after=9)
    sweep(plan(tmp_path / "run"), lambda line: None)
    engine()
    with monkeypatch.context() as patch:
        patch.setattr(where, no_space)
        with pytest.raises(RunFailed, match=message):
            resume_sweep(tmp_path / "run", lambda line: None)
    engine()
    resume_sweep(tmp_path / "run", lambda line: None)
    assert outcome_of(tmp_path / "run") == unbroken[2]


def damage(name, old, new):
    def change(directory):
        text = (directory / name).read_text()
        assert old in text
        (directory / name).write_text(text.replace(old, new, 1))

    return change


def other_space(directory):
    record = json.loads((directory / "sweep.json").read_text())
    record["search"]["n_step"] = "1..4"
    (directory / "sweep.json").write_text(json.dumps(record))


DAMAGED = {
    "sweep.json must be as the sweep wrote it, got another .No such file": lambda d: (d / "sweep.json").unlink(),
    "sweep.json must be as the sweep wrote it, got another .n_step": damage("sweep.json", '"1..3"', '"1..0"'),
    "sweep.json must be as the sweep wrote it, got another .it has other": damage("sweep.json", '"batch"', '"bitch"'),
    "journal.log must be the journal of this sweep, got another .No such": lambda d: (d / "journal.log").unlink(),
    "journal.log must be the journal .*JSON|journal.log must be the .*Expecting": damage("journal.log", "{", "}"),
    "journal.log must be the journal .*has another search space": other_space,
    "journal.log must be the journal .*outside the search space": damage("journal.log", '"n_step":3.0', '"n_step":9.0'),
    "journal.log must be the journal of this sweep": damage("journal.log", '"op_code":4', '"op_code":77'),
    "journal.log must be the journal .*KeyError": damage("journal.log", '"study_name":"sweep"', '"study_name":"x"'),
    "trials.csv must have the columns": damage("trials.csv", "trial,seed", "trial,sead"),
    "trials.csv must have seeds from 0 to 3, got 99": damage("trials.csv", "\n0,0,", "\n0,99,"),
    "must have trials of its journal, got trial 77": damage("trials.csv", "\n0,0,", "\n77,0,"),
    "must have a row in trials.csv for each seed": lambda d: (d / "trials.csv").unlink(),
    "sweep.json must be as": lambda d: ((d / "sweep.json").rename(d / "x"), (d / "sweep.json").symlink_to("x")),
}


@pytest.mark.parametrize("message", DAMAGED)
def test_a_damaged_directory_is_refused_and_stays_as_it_is(message, copied, engine):
    directory = copied
    DAMAGED[message](directory)
    files = [path for path in directory.rglob("*") if path.is_file()]
    before = {path: path.read_bytes() for path in files}
    with pytest.raises(InputError, match=message) as error:
        resume_sweep(directory, lambda line: None)
    assert "\n" not in str(error.value)
    assert {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()} == before


def test_a_directory_that_is_in_use_is_refused(copied, engine):
    directory = copied
    with pytest.raises(InputError, match="output_dir must be a new or empty directory"):
        sweep(plan(directory), lambda line: None)
    with FileLock(directory / ".lock"), pytest.raises(InputError, match="must not be written by two processes"):
        resume_sweep(directory, lambda line: None)
    engine()
    with pytest.raises(InputError, match="must be writable"):
        sweep(plan("/proc/nothing/here"), lambda line: None)


def test_without_optuna_a_line_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(InputError, match=r"pip install 'fastlander\[sweep\]'"):
        sweep(plan(tmp_path / "run"), lambda line: None)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("objective", ["return", "seconds"])
def test_other_objectives(objective, tmp_path, engine):
    engine()
    swept = sweep(plan(tmp_path / "run", objective=objective), lambda line: None)
    complete = [trial for trial in swept.trials if trial.state == "COMPLETE"]
    best = (max if objective == "return" else min)(complete, key=lambda trial: trial.value)
    assert swept.best.value == best.value
    assert swept.judgement.improvement[0] > 0.5
    if objective == "return":
        assert tomllib.loads((tmp_path / "run" / "best.toml").read_text())["solved_by"] == "never"
    else:  # a seed that was not solved counts with the seconds of its whole budget
        unsolved = [
            line.split(",") for line in (tmp_path / "run" / "trials.csv").read_text().split() if ",False," in line
        ]
        trial, seed, _, timesteps, _, seconds, _ = unsolved[0]
        value = swept.values[int(trial)][int(seed)]
        assert np.isclose(value, float(seconds) * 10_000 / int(timesteps))


def test_proposals_depend_on_the_trials_and_the_seed_alone(unbroken, copied):
    directory, own = copied, unbroken[0].plan

    def proposed(seed):
        return Study.open(directory / "journal.log", own.space, False, seed).propose()

    assert proposed(0) == proposed(0)
    assert proposed(0) != proposed(1)
    journal = directory / "journal.log"
    whole = journal.read_bytes()
    journal.write_bytes(whole + b'{"op_code":')
    assert proposed(0) == proposed(0)
    assert journal.read_bytes() == whole


def test_the_page_is_whole_and_loads_nothing(unbroken):
    page = (unbroken[0].output_dir / "sweep.html").read_text()
    data = json.loads(page.partition('id="data">')[2].partition("</script>")[0])
    assert len(data["trials"]["data"]["points"]) == 10
    assert [one["xTitle"] for one in data["settings"]] == list(SPACE)
    assert data["settings"][2]["xTicks"] == [[0, "8"], [1, "16-8"], [2, "8-8"]]
    assert [text for _, text in data["settings"][0]["xTicks"]] == ["0.0001", "0.0003", "0.001", "0.003", "0.01"]
    ys = data["trials"]["data"]["best"]["y"]
    assert ys == sorted(ys, reverse=True)
    assert "://" not in page.replace("http://www.w3.org/2000/svg", "")
