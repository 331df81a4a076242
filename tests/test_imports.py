"""A run directory may be anybody's: no module that it names is imported unless the user names it, too."""

import json
import os
import shutil
import sys

import gymnasium as gym
import pytest
import torch

from fastlander import Config, QNetwork, Trainer, cli, load, make_vec_env, replay
from fastlander.card import write_card
from fastlander.evaluate import evaluate_run
from fastlander.export import export_onnx
from fastlander.record import record
from fastlander.report import write_report
from fastlander.storage.model_file import save_model

MODULE = '''
"""A module that a run may need. Importing it is seen in `sys.modules`."""

import gymnasium as gym
from tests.conftest import Corridor

class Painted(Corridor):
    metadata = {"render_modes": ["rgb_array", "human"], "render_fps": 10}

    def __init__(self, render_mode=None):
        super().__init__()
        self.render_mode = render_mode

    def render(self):
        import numpy as np
        return np.full((8, 8, 3), self.position, np.uint8)

gym.register("Painted-v0", Painted, max_episode_steps=20)
'''
SHORT = "--num-envs 2 --total-timesteps 200 --eval-episodes 2 --learning-starts 50 --batch-size 8 --no-progress".split()
COMMANDS = {
    "evaluate": ["evaluate", "run", "--episodes", "2"],
    "record": ["record", "run"],
    "play": ["play", "run", "--episodes", "1"],
    "report": ["report", "run"],
    "export": ["export", "run"],
    "card": ["card", "run", "--episodes", "10", "--video", "none", "--no-onnx"],
    "resume": ["train", "--resume", "run", "--no-progress"],
}
FUNCTIONS = {
    "evaluate": lambda **consent: evaluate_run("run", 2, **consent),
    "record": lambda **consent: record("run", **consent),
    "report": lambda **consent: write_report("run", **consent),
    "export": lambda **consent: export_onnx("run", **consent),
    "resume": lambda **consent: Trainer.resume("run", progress=False, **consent).run(),
    "card": lambda **consent: write_card("run", episodes=10, video="none", onnx=False, **consent),
    "load": lambda **consent: load("run", **consent),
}


@pytest.fixture
def modules(in_tmp, monkeypatch):
    """The working directory, where the modules my_envs and my_package.envs lie, both of which have Painted-v0."""
    (in_tmp / "my_envs.py").write_text(MODULE)
    (in_tmp / "my_package").mkdir()
    (in_tmp / "my_package" / "__init__.py").write_text("")
    (in_tmp / "my_package" / "envs.py").write_text(MODULE)
    (in_tmp / "trap.py").write_text("raise SystemExit('it ran')")
    monkeypatch.syspath_prepend(str(in_tmp))
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    yield in_tmp
    forget()


def forget():
    gym.registry.pop("Painted-v0", None)
    for name in ("my_envs", "my_package", "my_package.envs", "trap"):
        sys.modules.pop(name, None)


def imported():
    return {"my_envs", "my_package", "my_package.envs", "trap"} & set(sys.modules)


@pytest.fixture(params=["my_envs", "my_package.envs"])
def run(request, modules, capsys):
    """The module that the run in "run" needs. The user's own command line was consent to make it."""
    assert cli.main(["train", "--env-id", f"{request.param}:Painted-v0", *SHORT, "--output-dir", "run"]) == 0
    assert (modules / "run" / "report.html").exists()
    capsys.readouterr()
    forget()
    return request.param


def needs_onnx(command):
    if command == "export":
        pytest.importorskip("onnxscript")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_imports_nothing_without_consent_and_works_with_it(run, modules, capsys, command):
    needs_onnx(command)
    before = sorted(os.listdir(modules / "run"))
    for flags in ([], ["--import", "json"], ["--import", "my_package", "--import=os.path"]):
        assert cli.main([*COMMANDS[command], *flags]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.count("\n") == 1
        assert f"must not make fastlander import a module that was not allowed, got env_id '{run}:Painted-v0'" in err
        assert f"--import {run} allows it" in err
        assert not imported()
        assert sorted(os.listdir(modules / "run")) == before
    assert cli.main([*COMMANDS[command], "--import", run]) == 0
    assert run in imported()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_imports_nothing_without_consent_and_works_with_it(run, name):
    needs_onnx(name)
    for consent in ({}, {"imports": ()}, {"imports": ["json"]}):
        with pytest.raises(ValueError, match=f"got env_id '{run}:Painted-v0'; if you trust '{run}', which would run, "):
            FUNCTIONS[name](**consent)
        assert not imported()
    FUNCTIONS[name](imports=[run])
    assert run in imported()


def test_a_page_of_a_notebook_has_landers_only(run):
    with pytest.raises(ValueError, match=f"got env_id '{run}:Painted-v0'"):
        replay("run")
    assert not imported()


def test_several_modules_may_be_named(run, capsys):
    assert cli.main(["evaluate", "run", "--import", "json", "--import", run]) == 0
    assert cli.main(["evaluate", "run", "--import", run, "--import", "no_such_module"]) == 2
    assert "a module to import must be installed, got 'no_such_module' (No module named" in capsys.readouterr().err


@pytest.mark.parametrize(
    "env_id",
    [
        "trap:LunarLander-v3", "trap:fastlander/LunarLander-v3", "fastlander.__main__:LunarLander-v3", "os.path:x",
        "trap:", "fastlander.trap:CartPole-v1", ".trap:CartPole-v1", "trap;ls:CartPole-v1", "tr ap:CartPole-v1",
        "a:trap:CartPole-v1", "../trap:CartPole-v1", "trap\n:CartPole-v1",
    ],
)  # fmt: skip
def test_no_id_gets_around_it(modules, capsys, env_id):
    (modules / "run").mkdir()
    save_model(modules / "run", QNetwork(8, 4, (4,)), Config(env_id=env_id))
    (modules / "run" / "config.json").write_text(Config(env_id=env_id).to_json())
    before = set(sys.modules)
    for argv in COMMANDS.values():
        assert cli.main(argv) == 2
        err = capsys.readouterr().err
        assert err.count("\n") == 1
        assert "env_id" in err
        assert "trap" not in sys.modules
    assert not [name for name in set(sys.modules) - before if name.startswith(("fastlander.__main__", "os.path"))]
    assert sorted(os.listdir(modules / "run")) == ["config.json", "model.safetensors"]


def test_our_own_ids_need_no_consent(modules):
    (modules / "run").mkdir()
    env_id = "fastlander:fastlander/LunarLander-v3"
    save_model(modules / "run", QNetwork(8, 4, (4,), generator=torch.Generator().manual_seed(0)), Config(env_id=env_id))
    assert evaluate_run("run", 1)[0] == env_id


def test_a_module_may_register_what_the_plain_id_names(modules, capsys):
    argv = ["train", "--env-id", "Painted-v0", *SHORT, "--output-dir", "run"]
    assert cli.main(argv) == 2
    assert "env_id must be an environment that Gymnasium can make, got 'Painted-v0'" in capsys.readouterr().err
    assert cli.main([*argv, "--import", "my_envs"]) == 0
    forget()
    assert cli.main(["evaluate", "run"]) == 2
    assert "env_id must be an environment that Gymnasium can make, got 'Painted-v0'" in capsys.readouterr().err
    assert cli.main(["evaluate", "run", "--import", "my_envs"]) == 0
    assert "mean return" in capsys.readouterr().out


@pytest.mark.parametrize("env_id", [".x:CartPole-v1", "a b:CartPole-v1", ":", "a:b:CartPole-v1"])
def test_a_user_s_own_id_gets_a_line_too(env_id):
    with pytest.raises(ValueError, match="env_id must ") as caught:
        make_vec_env(env_id, 1)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("module", ["", ".x", "a/b", "a b", "x.", "os;ls"])
def test_a_module_has_the_name_of_one(modules, capsys, module):
    assert cli.main(["evaluate", "run", f"--import={module}"]) == 2
    (modules / "run").mkdir()
    save_model(modules / "run", QNetwork(8, 4, (4,)), Config())
    capsys.readouterr()
    assert cli.main(["evaluate", "run", f"--import={module}"]) == 2
    assert "a module to import must have the name of a Python module, got" in capsys.readouterr().err


def test_a_resumed_run_writes_where_it_is_and_not_where_it_was(in_tmp):
    elsewhere = in_tmp / "elsewhere"
    settings = {"num_envs": 2, "total_timesteps": 200, "eval_episodes": 2, "progress": False}
    Trainer(Config(**settings, output_dir=elsewhere)).run()
    shutil.move(elsewhere, in_tmp / "here")
    elsewhere.mkdir()
    result = Trainer.resume("here").run()
    assert str(result.output_dir) == "here"
    assert os.listdir(elsewhere) == []
    record = json.loads((in_tmp / "here" / "config.json").read_text())
    (in_tmp / "here" / "config.json").write_text(json.dumps({**record, "output_dir": "/dev/null/x"}))
    assert Trainer.resume("here").config.output_dir == "here"
    Trainer.resume("here").run()
    assert sorted(os.listdir(in_tmp)) == ["elsewhere", "here"]
