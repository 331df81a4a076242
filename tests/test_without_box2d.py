"""Where Box2D cannot be imported, everything works but what compares with Gymnasium's lander or steps it."""

import os
import pathlib
import subprocess
import sys

import pytest

import fastlander
from fastlander import cli

ROOT = pathlib.Path(fastlander.__file__).parent.parent


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """The variables of a process, and of those that it starts, in which importing Box2D raises."""
    folder = tmp_path_factory.mktemp("blocked")
    (folder / "Box2D.py").write_text("raise ImportError('no Box2D here')\n")
    path = os.pathsep.join([str(folder), str(ROOT)])
    return {**os.environ, "PYTHONPATH": path, "SDL_VIDEODRIVER": "dummy"}


def run_python(code, environment, cwd):
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=cwd, check=False
    )
    assert process.returncode == 0, process.stderr
    return process


COMMANDS = """
from fastlander import cli
short = "--num-envs 4 --total-timesteps 600 --eval-episodes 2 --no-progress"
for line in (
    f"train {short} --output-dir run", f"train {short} --seeds 2 --output-dir seeds", "evaluate run --episodes 2",
    "report run", "record run --format frames", "play run --episodes 1", "export run", "warmup", "verify",
    "card run --episodes 10 --video gif --no-onnx",
    f"sweep {short} --output-dir found --search n_step=5,6 --trials 1 --rounds 1 --objective return",
    "compare run seeds --output comparison.html",
    f"train {short} --backend sync --output-dir other", f"train {short} --backend async --output-dir other",
    "evaluate run --backend sync",
):
    status = cli.main(line.split())
    print("STATUS", line.split()[0], "--backend" in line, status)
"""


def test_every_command(environment, tmp_path):
    pytest.importorskip("onnxscript")
    pytest.importorskip("optuna")
    process = run_python(COMMANDS, environment, tmp_path)
    lines = [line.split()[1:] for line in process.stdout.splitlines() if line.startswith("STATUS")]
    assert {name for name, *_ in lines} == set(cli.COMMANDS) - {"push"}  # which sends files and flies nothing
    refused = [name for name, *_, status in lines if status == "2"]
    assert refused == ["verify", "train", "train", "evaluate"], process.stderr
    assert {status for *_, status in lines} == {"0", "2"}, process.stderr
    errors = [line for line in process.stderr.splitlines() if "error" in line and "XDG" not in line]
    assert len(errors) == 4
    for line, (command, what) in zip(
        errors,
        (("verify", "verify"), ("train", "backend sync"), ("train", "backend async"), ("evaluate", "backend sync")),
        strict=True,
    ):
        assert line.startswith(
            f"fastlander {command}: error: {what} needs Gymnasium's own lander, and so Box2D, which cannot be imported "
            "(no Box2D here)"
        )
    assert not (tmp_path / "other").exists()
    page = (tmp_path / "run" / "report.html").read_text()
    assert all(label in page for label in ("Best", "Median", "Worst"))  # landings to play
    assert len(os.listdir(tmp_path / "run" / "frames")) > 40


ENVIRONMENTS = """
import gymnasium as gym
from fastlander import Agent, LunarLanderVectorEnv, make_vec_env, replay
env = gym.make("fastlander:fastlander/LunarLander-v3", render_mode="rgb_array")
env.reset(seed=0)
env.step(2)
assert env.render().shape == (400, 600, 3)
several = gym.make_vec("fastlander/LunarLander-v3", num_envs=2, render_mode="rgb_array")
several.reset(seed=0)
assert several.render()[1].shape == (400, 600, 3)
make_vec_env(num_envs=2).reset(seed=0)
assert "canvas" in replay(Agent(env)).html
try:
    gym.make("LunarLander-v3")
except gym.error.DependencyNotInstalled:
    print("blocked")
"""


def test_environments_pictures_and_notebooks(environment, tmp_path):
    assert run_python(ENVIRONMENTS, environment, tmp_path).stdout.split() == ["blocked"]


def test_what_is_installed_with_fastlander():
    """Box2D where its wheel exists, and pygame everywhere."""
    tomllib = pytest.importorskip("tomllib")
    packaging = pytest.importorskip("packaging.requirements")
    needs = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    needs = [packaging.Requirement(line) for line in needs]

    def names(**machine):
        return {need.name + "".join(need.extras) for need in needs if not need.marker or need.marker.evaluate(machine)}

    common = {"gymnasium", "pygame-ce"}
    for python, machine, has_wheel in (
        ("3.11", "x86_64", True), ("3.13", "arm64", True), ("3.13", "AMD64", True),
        ("3.13", "aarch64", False), ("3.14", "x86_64", False),
    ):  # fmt: skip
        found = names(python_version=python, platform_machine=machine)
        assert found >= common
        assert ("box2d" in found) == has_wheel
