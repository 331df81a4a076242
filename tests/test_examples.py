"""The programs in docs/examples run as they stand, for a few steps."""

import pathlib
import re
import subprocess
import sys

import pytest

from fastlander import Config, Trainer
from fastlander.export import export_onnx

EXAMPLES = pathlib.Path(__file__).parent.parent / "docs" / "examples"


def output_of(name, *arguments, cwd):
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    directory = tmp_path_factory.mktemp("run") / "run"
    settings = {"num_envs": 4, "total_timesteps": 500, "eval_episodes": 2, "progress": False}
    Trainer(Config(**settings, output_dir=directory)).run()
    return directory


def test_every_example_is_tried_here():
    tried = re.findall(r'output_of\(\s*"(\w+\.py)"', pathlib.Path(__file__).read_text())
    assert sorted(tried) == sorted(path.name for path in EXAMPLES.glob("*.py"))


def test_ppo(tmp_path):
    pytest.importorskip("stable_baselines3")
    assert "over 100 episodes" in output_of("ppo_stable_baselines3.py", 16_384, cwd=tmp_path)


def test_single_file_dqn(tmp_path):
    lines = output_of("single_file_dqn.py", 20_000, cwd=tmp_path).splitlines()
    assert lines[-1].startswith("20,000 steps, mean return of the last 100 episodes")


def test_the_policy_without_fastlander_flies_the_same_everywhere(run, tmp_path):
    pytest.importorskip("onnxscript")
    export_onnx(run)
    plain = output_of("plain_sequential.py", run, cwd=tmp_path)
    assert plain == output_of("onnx_policy.py", run, cwd=tmp_path)
    assert plain.startswith("return ")
