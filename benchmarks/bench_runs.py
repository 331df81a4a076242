"""What a run leaves, and what that costs: checkpoints, going on from one, the report."""

import itertools
import shutil
import subprocess
import sys

import pytest

from fastlander import Config, Trainer
from fastlander.report import write_report
from fastlander.training import trainer

COUNTER = itertools.count()


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    return Trainer(Config(seed=3, progress=False, output_dir=tmp_path_factory.mktemp("default") / "run")).run()


@pytest.mark.parametrize("interval", [None, 5.0])
def test_training_with_checkpoints(measure, tmp_path, interval):
    """Preset best, whose buffer makes the largest checkpoints; without its choice of candidates at the end."""

    def run():
        settings = {"progress": False, "candidates": 0, "eval_episodes": 1, "checkpoint_interval": interval}
        Trainer(Config.preset("best", **settings, output_dir=tmp_path / f"run{next(COUNTER)}")).run()

    name = "2,000,000 steps, " + ("none" if interval is None else f"one every {interval:g} s")
    measure(run, group="checkpoints", name=name, items=2_000_000, unit="steps", rounds=5, peer=interval is None)


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    """A run of preset best as kill -9 leaves it, 500,000 steps on."""
    directory = tmp_path_factory.mktemp("broken") / "run"
    steps = trainer.steps

    def dying(run):
        for finished in steps(run):
            if run.timesteps >= 500_000:
                raise KeyboardInterrupt
            yield finished

    config = Config.preset("best", progress=False, checkpoint_interval=0.5, output_dir=directory)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "steps", dying)
        with pytest.raises(KeyboardInterrupt):
            Trainer(config).run()
    return directory


FIRST_STEP = """
import os, sys
from fastlander import train
from fastlander.training import trainer
steps = trainer.steps
def first(run):
    run.at_once = 1
    next(steps(run))
    os._exit(0)
trainer.steps = first
train.main(["--resume", sys.argv[1], "--no-progress"])
os._exit(1)
"""


def test_resume_to_the_first_step(measure, broken, tmp_path):
    """A process of its own, imports and all."""

    def resume():
        copy = tmp_path / f"run{next(COUNTER)}"
        shutil.copytree(broken, copy, ignore=shutil.ignore_patterns(".lock"))
        subprocess.run([sys.executable, "-c", FIRST_STEP, str(copy)], check=True)

    measure(resume, group="resume", name="from the prompt to the first step", unit="resumes", rounds=5)


def test_report(measure, result):
    measure(lambda: write_report(result.output_dir), group="report", name="report.html", unit="pages", rounds=5)
