import dataclasses
import importlib
import os
import re
import subprocess
import sys

import pytest

from fastlander import Config, Trainer, cli, evaluate, train
from fastlander.arguments import reflowed
from fastlander.train import read_arguments
from tests.conftest import can_import_box2d


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("--num-envs 0", "num_envs must be an integer of at least 1, got 0"),
        ("--num-envs -3", "num_envs must be an integer of at least 1, got -3"),
        ("--num-envs 1.5", "--num-envs must be an integer of at least 1, got '1.5'"),
        ("--num-envs", "--num-envs must be an integer of at least 1, got nothing"),
        ("--num-envs=x --seed 3", "--num-envs must be an integer of at least 1, got 'x'"),
        ("--batch-size 40000", "batch_size must be at most buffer_size, got 40000 with buffer_size 30000"),
        ("--gamma 1.5", "gamma must be a number of at least 0 and at most 1, got 1.5"),
        ("--device gpu", "--device must be one of auto, cpu, cuda, got 'gpu'"),
        ("--preset worst", "--preset must be one of default, best, finest, lecture, got 'worst'"),
        (
            "--preset best --env-id CartPole-v1",
            "preset must be default for env_id 'CartPole-v1', got 'best' (which is for LunarLander-v3)",
        ),
        ("--epsilon-zeta 1", "epsilon_zeta must be a number above 1 or None, got 1.0"),
        ("--hidden-sizes a b", "--hidden-sizes must be one or more numbers, each an integer of at least 1, got 'a b'"),
        ("--adam-betas 0.9", "--adam-betas must be 2 numbers, each a number of at least 0 and below 1, got '0.9'"),
        ("--mirror-augmentation maybe", "--mirror-augmentation must be True or False or None, got 'maybe'"),
        ("--seeds 0", "seeds must be an integer of at least 1 or None, got 0"),
        ("--seeds many", "--seeds must be an integer of at least 1 or None, got 'many'"),
        ("--seeds 2 --env-id NoSuch-v0", "env_id must be an environment that Gymnasium can make, got 'NoSuch-v0' ("),
        ("--seeds 2 --output-dir used", "output_dir must be a new or empty directory, got 'used', which is in use"),
        ("--nm-envs 3", "Unrecognized options: --nm-envs, 3 (perhaps you meant --num-envs)"),
        ("--env-id NoSuch-v0", "env_id must be an environment that Gymnasium can make, got 'NoSuch-v0' ("),
        ("--env-id Pendulum-v1", "env_id must have Discrete actions that start at 0, got 'Pendulum-v1'"),
        ("--env-id tests/NanReward-v0", "env_id must give finite rewards, got reward nan from environment"),
        ("--output-dir /dev/null/run", "output_dir must be writable, got '/dev/null/run' ("),
        ("--output-dir used", "output_dir must be a new or empty directory, got 'used', which is in use"),
    ],
)
def test_bad_input_gets_one_line_and_status_2_and_leaves_nothing(in_tmp, capsys, arguments, line):
    (in_tmp / "used").mkdir()
    (in_tmp / "used" / "file").write_text("precious")
    assert train.main([*arguments.split(), "--total-timesteps", "500"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    err = "".join(one for one in err.splitlines(True) if not one.startswith("fastlander: compil"))  # a first run
    assert err.startswith(f"fastlander train: error: {line}")
    assert err.count("\n") == 1
    assert os.listdir(in_tmp) == ["used"]
    assert (in_tmp / "used" / "file").read_text() == "precious"


def test_a_device_that_is_not_there(in_tmp, capsys, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert train.main(["--device", "cuda"]) == 2
    assert "device must be auto or cpu where no CUDA device is available, got 'cuda'" in capsys.readouterr().err
    assert os.listdir(in_tmp) == []


def config_of(argv):
    return read_arguments(argv).config


def test_flags_change_the_preset_whatever_their_order():
    expected = Config.preset("lecture", num_envs=4, gamma=0.9)
    assert config_of(["--preset", "lecture", "--num-envs", "4", "--gamma", "0.9"]) == expected
    assert config_of(["--num-envs", "4", "--gamma=0.9", "--preset=lecture"]) == expected
    assert config_of([]) == Config()
    assert config_of(["--no-double-dqn", "--max-grad-norm", "None"]) == Config(double_dqn=False, max_grad_norm=None)


def test_an_environment_s_own_defaults_come_before_the_flags():
    own = Config.preset(env_id="MountainCar-v0")
    assert own != Config(env_id="MountainCar-v0")
    assert config_of(["--env-id", "MountainCar-v0"]) == own
    assert config_of(["--preset=default", "--env_id=MountainCar-v0"]) == own
    changed = Config.preset(env_id="MountainCar-v0", num_envs=4, epsilon_zeta=None)
    assert config_of(["--num-envs", "4", "--env-id", "MountainCar-v0", "--epsilon-zeta", "None"]) == changed
    assert config_of(["--env-id", "tests/Corridor-v0"]) == Config(env_id="tests/Corridor-v0")
    with pytest.warns(UserWarning, match="LunarLander-v2") as caught:
        assert config_of(["--env-id", "LunarLander-v2"]) == Config()
    assert len(caught) == 1


def test_the_settings_of_another_environment_are_said_and_recorded(in_tmp, capsys):
    flags = ["--env-id", "CartPole-v1", "--eval-episodes", "2", "--total-timesteps", "900", "--output-dir", "run"]
    assert train.main(flags) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "CartPole-v1 with its own defaults, but total_timesteps 900, eval_episodes 2"
    own = Config.preset(env_id="CartPole-v1", eval_episodes=2, total_timesteps=900, output_dir="run")
    assert Config.from_json((in_tmp / "run" / "config.json").read_text()) == own


def run(*command, **options):
    return subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False, **options)


def test_help_shows_every_setting_with_its_default():
    out = run("-m", "fastlander.train", "--help", env={**os.environ, "COLUMNS": "200"}).stdout
    for field in dataclasses.fields(Config):
        flag = f"--{field.name.replace('_', '-')}"
        assert flag in out, flag
    assert "(default: 32)" in out
    assert "--preset default|best|finest|lecture" in out
    lecture = run("-m", "fastlander.train", "--preset", "lecture", "--help").stdout
    assert "(default: 5000)" in lecture
    mountain_car = run("-m", "fastlander.train", "--env-id", "MountainCar-v0", "--help").stdout
    assert "(default: 2.0)" in mountain_car


def test_the_commands_name_each_other():
    out = run("-m", "fastlander", "--help").stdout
    for name in cli.COMMANDS:
        assert name in out
        assert run("-m", f"fastlander.{name}", "--help").returncode == 0
    assert run("-m", "fastlander", "--version").stdout.startswith("fastlander 0.")
    wrong = run("-m", "fastlander", "fly")
    assert wrong.returncode == 2
    assert "invalid choice: 'fly'" in wrong.stderr


def test_train_then_evaluate(in_tmp, capsys):
    assert cli.main(["train", "--num-envs", "3", "--total-timesteps", "300", "--eval-episodes", "3"]) == 0
    out = capsys.readouterr().out
    assert "Not solved after 300 steps" in out
    directory = out.strip().rpartition("Saved in ")[2]
    for main in (evaluate.main, lambda argv: cli.main(["evaluate", *argv])):
        assert main([directory, "--episodes", "5", "--seed", "3"]) == 0
        printed = capsys.readouterr().out
        if can_import_box2d():
            assert main([directory, "--episodes", "5", "--seed", "3", "--backend", "sync"]) == 0
            assert capsys.readouterr().out == printed  # Gymnasium's lander is the native one, to the bit
        for name in ("mean return", "standard deviation", "95% confidence", "landings", "crashes", "time-outs"):
            assert name in printed


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("nowhere", "directory must be a run directory with a model.safetensors, got 'nowhere'"),
        ("run --episodes 0", "episodes must be an integer of at least 1, got 0"),
        ("run --episodes x", "--episodes must be an integer of at least 1, got 'x'"),
        ("run --backend fast", "--backend must be one of native, sync, async or None, got 'fast'"),
        ("run --seed -1", "seed must be an integer of at least 0 and at most 18446744073709551615, got -1"),
        ("foreign", "foreign/model.safetensors must be a safetensors file, got one that cannot be read ("),
        ("anonymous", "anonymous/model.safetensors must be a model saved by fastlander, got one without its settings"),
    ],
)
def test_what_cannot_be_evaluated(in_tmp, capsys, arguments, line):
    import numpy as np
    from safetensors.numpy import save_file

    Trainer(Config(num_envs=2, total_timesteps=50, eval_episodes=1, progress=False, output_dir="run")).run()
    for name in ("foreign", "anonymous"):
        (in_tmp / name).mkdir()
    (in_tmp / "foreign" / "model.safetensors").write_bytes(b"\x80\x04K\x01.")
    save_file({"0.weight": np.zeros((4, 8), np.float32)}, in_tmp / "anonymous" / "model.safetensors")
    assert evaluate.main(arguments.split()) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"fastlander evaluate: error: {line}")
    assert err.count("\n") == 1


@pytest.mark.parametrize("columns", [60, 80, 120])
@pytest.mark.parametrize(
    "command", ["train", "evaluate", "record", "play", "report", "compare", "export", "verify", "warmup"]
)
def test_help_fits_the_terminal_and_breaks_at_words(monkeypatch, capsys, command, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    module = importlib.import_module(f"fastlander.{command}")
    assert module.main(["--help"]) == 0
    page = capsys.readouterr().out
    assert max(map(len, page.splitlines())) <= columns
    assert "{" not in page  # tyro's own way to write None and choices
    assert "STR" not in page
    monkeypatch.setenv("COLUMNS", "1000")
    assert module.main(["--help"]) == 0
    words = re.findall(r"\w[\w/.'-]*", page)
    assert sorted(words) == sorted(re.findall(r"\w[\w/.'-]*", capsys.readouterr().out))


def test_help_in_plain_words(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "120")
    assert train.main(["--help"]) == 0
    page = capsys.readouterr().out
    for words in (
        "--preset default|best|finest|lecture ", "--backend native|sync|async|None ", "--seeds INT|None ",
        "--env-id TEXT ",
        "--env-kwargs KEY=VALUE ", "--compact True|False|None ", "--max-grad-norm FLOAT|None ", "--config FILE ",
    ):  # fmt: skip
        assert words in page, words
    assert "(default: none)" in page  # of env_kwargs


@pytest.mark.parametrize(
    ("line", "columns", "lines"),
    [
        ("usage: x [-h] [--a INT] [--b INT] DIR", 24, ["usage: x [-h] [--a INT]", "         [--b INT] DIR"]),
        ("A few words that are too long.", 12, ["A few words", "that are too", "long."]),
        ("\x1b[1mbold\x1b[0m", 4, ["\x1b[1mbold\x1b[0m"]),
    ],
)
def test_long_lines_of_help(line, columns, lines):
    assert reflowed(line, columns) == "\n".join(lines)
