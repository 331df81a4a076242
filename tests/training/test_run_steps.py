import contextlib
import itertools
import os
import signal
import subprocess
import sys
import threading
from collections import Counter

import numpy as np
import pytest
from filelock import FileLock

from fastlander import Config, Trainer
from fastlander.storage.files import RUN_FILES
from fastlander.storage.model_file import load_model
from fastlander.training import trainer as trainer_module

SETTINGS = {"num_envs": 3, "total_timesteps": 1500, "learning_starts": 100, "eval_episodes": 3, "progress": False}
SAME_FILES = ("episodes.csv", "evaluations.csv", "model.safetensors")


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The Result of a run without a loop."""
    return Trainer(Config(**SETTINGS, output_dir=tmp_path_factory.mktemp("plain") / "run")).run()


def same_files(one, other):
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in SAME_FILES)


def test_a_loop_sees_every_step_and_changes_no_byte(in_tmp, plain):
    trainer = Trainer(Config(**SETTINGS, log_episodes=2, output_dir="run"))
    timesteps, scores, rows, weights = [], [], [], Counter()
    for progress in trainer.run_steps():
        timesteps.append(progress.timesteps)
        scores += progress.finished.scores
        rows += [progress.row] if progress.row else []
        weights[progress.updates] = hash(progress.q_net.flat.numpy().tobytes())
        assert progress.episodes == len(scores)
        assert progress.score_mean == pytest.approx(np.mean(scores[-100:]) if scores else np.nan, nan_ok=True)
        assert (progress.result is not None) == (progress.timesteps == 1500)
    assert timesteps == list(range(3, 1501, 3))
    assert scores == plain.agent.scores
    assert len(rows) == len(scores) // 2
    assert [row.timesteps for row in rows] == sorted({row.timesteps for row in rows})
    assert len(set(weights.values())) == len(weights) > 10
    assert trainer.result is progress.result
    assert not trainer.result.interrupted
    assert np.array_equal(progress.best.returns, plain.evaluation.returns)
    settings = {"log_episodes": 2}
    again = Trainer(Config(**SETTINGS, **settings, output_dir="again")).run()
    assert same_files(in_tmp / "run", again.output_dir)
    assert repr(progress).startswith("Progress(timesteps=1,500, episodes=")


def leave_by_break(trainer):
    for progress in trainer.run_steps():
        if progress.timesteps >= 600:
            break


def leave_by_exception(trainer):
    with pytest.raises(ZeroDivisionError):
        for progress in trainer.run_steps():
            if progress.timesteps >= 600:
                assert progress.timesteps / 0


def leave_by_close(trainer):
    with contextlib.closing(trainer.run_steps()) as steps:
        for progress in itertools.islice(steps, 200):
            assert progress.timesteps <= 600


def leave_by_ctrl_c(trainer):
    for progress in trainer.run_steps():
        if progress.timesteps == 597:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("leave", [leave_by_break, leave_by_exception, leave_by_close, leave_by_ctrl_c])
def test_a_loop_that_is_left_has_saved_a_run_that_goes_on(in_tmp, plain, leave):
    trainer, before = Trainer(Config(**SETTINGS, output_dir="run")), signal.getsignal(signal.SIGINT)
    leave(trainer)
    result = trainer.result
    assert result.interrupted
    assert result.timesteps == 600
    assert signal.getsignal(signal.SIGINT) == before
    assert load_model("run")[0].sizes[0] == 8
    assert {name for name in RUN_FILES if (in_tmp / "run" / name).exists()} >= {"config.json", "episodes.csv"}
    FileLock(in_tmp / "run" / "checkpoint" / ".lock").acquire(timeout=0).lock.release()
    resumed = Trainer.resume("run", progress=False)
    steps = [progress.timesteps for progress in resumed.run_steps()]
    assert steps == list(range(603, 1501, 3))
    assert not resumed.result.interrupted
    assert same_files(in_tmp / "run", plain.output_dir)


def test_a_loop_that_is_left_at_its_end_has_ended(in_tmp, plain):
    trainer = Trainer(Config(**SETTINGS, output_dir="run"))
    for progress in trainer.run_steps():
        if progress.result:
            break
    assert not trainer.result.interrupted
    assert same_files(in_tmp / "run", plain.output_dir)
    (last,) = Trainer.resume("run", progress=False).run_steps()  # nothing is left to do
    assert last.result.timesteps == 1500


def test_judgements_are_seen(in_tmp):
    config = Config(**SETTINGS, eval_gate=-1e9, eval_interval=1, solved_score=1e9, env_id="tests/Corridor-v0")
    trainer = Trainer(config)
    judged = [progress.timesteps for progress in trainer.run_steps() if progress.evaluation is not None]
    assert judged
    assert len(judged) == len(set(judged))
    assert trainer.result.output_dir.parent.name == "runs"


def test_bad_input_is_refused_at_the_first_step_and_leaves_nothing(in_tmp):
    trainer = Trainer(Config(**SETTINGS, env_id="NoSuch-v0", output_dir="run"))
    steps = trainer.run_steps()
    with pytest.raises(ValueError, match="env_id must be an environment that Gymnasium can make"):
        next(steps)
    assert trainer.result is None
    assert os.listdir(in_tmp) == []


def test_what_cannot_be_saved_is_raised_where_the_loop_is_closed(in_tmp, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    steps = Trainer(Config(**SETTINGS, output_dir="run")).run_steps()
    next(steps)
    monkeypatch.setattr("fastlander.storage.run_directory.save_model", full)
    with pytest.raises(trainer_module.RunFailed, match=r"could not be written \(No space left on device\)"):
        steps.close()


def test_a_loop_in_another_thread(in_tmp):
    trainer = Trainer(Config(**SETTINGS, output_dir="run"))
    thread = threading.Thread(target=leave_by_break, args=(trainer,))
    thread.start()
    thread.join()
    assert trainer.result.timesteps == 600


def test_a_run_that_is_open_when_the_process_ends_is_saved(in_tmp):
    program = (
        "from fastlander import Config, Trainer\n"
        f"steps = Trainer(Config(**{SETTINGS!r}, output_dir='run')).run_steps()\n"
        "for _ in range(200):\n"
        "    next(steps)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert next(Trainer.resume("run", progress=False).run_steps()).timesteps == 603
