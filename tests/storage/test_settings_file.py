import dataclasses
import json

import pytest

from fastlander import Config, train
from fastlander.presets import PRESETS
from fastlander.storage.settings_file import read_settings, write_settings
from fastlander.train import read_arguments

NESTED = {"size": (4, (5,)), "name": 'say "no"\\', "part": {"a b": 0.5, "한글": True}, "none": ()}


@pytest.mark.parametrize(
    "settings",
    [
        *PRESETS.values(),
        {"env_kwargs": {"gravity": -3.7, "enable_wind": True}, "seed": 2**64 - 1, "learning_rate": 1e-5},
        {"env_id": "Maze-v0", "env_kwargs": NESTED, "backend": "async", "max_grad_norm": None, "output_dir": "a/b"},
    ],
)
def test_what_is_written_is_read(tmp_path, settings):
    path = write_settings(tmp_path / "new" / "best.toml", settings)
    assert read_settings(path) == Config(**settings)
    assert len(path.read_text().splitlines()) == len(settings)
    write_settings(path, {"num_envs": 3})
    assert read_settings(path, "lecture") == Config.preset("lecture", num_envs=3)


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"nmu_envs": 3}, "there is no setting named 'nmu_envs'"),
        ({"num_envs": 0}, "num_envs must be an integer of at least 1, got 0"),
        ({"env_id": "A-v0", "env_kwargs": {"a": None}}, "settings must be values that TOML has, got None"),
        ({"env_id": "A-v0", "env_kwargs": {"a": "\ud800"}}, r"settings must be values that TOML has, got '\\ud800'"),
        ({"env_id": "A-v0", "env_kwargs": {"a": "b\nc"}}, "settings must be values that TOML has, got"),
    ],
)
def test_what_cannot_be_written(tmp_path, settings, line):
    with pytest.raises(ValueError, match=line):
        write_settings(tmp_path / "best.toml", settings)
    assert list(tmp_path.iterdir()) == []


def test_flags_change_the_file_and_the_file_changes_the_preset(in_tmp):
    (in_tmp / "some.toml").write_text("num_envs = 4\nbatch_size = 32\nmax_grad_norm = 'None'\noutput_dir = 'there'\n")
    for flags in (["--config", "some.toml", "--num-envs", "5"], ["--num-envs=5", "--config=some.toml"]):
        settings = {"num_envs": 5, "batch_size": 32, "max_grad_norm": None, "output_dir": "there"}
        assert read_arguments(flags).config == Config(**settings)
        assert read_arguments([*flags, "--preset", "best"]).config == Config.preset("best", **settings)


def test_the_config_of_a_run_goes_to_another_directory(in_tmp):
    config = Config.preset("best", output_dir="run", env_kwargs={"gravity": -5})
    (in_tmp / "config.json").write_text(config.to_json())
    assert read_settings("config.json") == dataclasses.replace(config, output_dir=None)
    assert read_settings("config.json", "lecture") == read_settings("config.json")


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        (
            "a.toml",
            "nmu_envs = 3",
            "a.toml must have settings that Config takes, got others (there is no setting named",
        ),
        ("a.toml", "num_envs = 0", "a.toml must have settings that Config takes, got others (num_envs must be an int"),
        ("a.toml", "num_envs = 'None'", "a.toml must have settings that Config takes, got others (num_envs must be an"),
        ("a.toml", "seed = 2020-01-01", "a.toml must have settings that Config takes, got others (seed must be an int"),
        ("a.toml", "env_kwargs = 3", "a.toml must have settings that Config takes, got others (env_kwargs must be"),
        ("a.toml", "batch_size = 40000", "a.toml must have settings that Config takes, got others (batch_size must be"),
        ("a.toml", "num_envs", "config must be a file of settings, got 'a.toml' (Expected '=' after a key"),
        ("a.toml", b"\xff\xfe", "config must be a file of settings, got 'a.toml' (it is no text in UTF-8)"),
        ("a.toml", "a = " + "[" * 5000, "config must be a file of settings, got 'a.toml' ("),
        ("a.toml", "#" * 10**6 + "#", "config must be a file of settings, got 'a.toml' (it has more than 1,000,000 by"),
        ("a.json", "[1]", "config must be a file of settings, got 'a.json' (it is no JSON object)"),
        ("a.json", "num_envs = 3", "config must be a file of settings, got 'a.json' (it is no JSON: "),
        ("b.toml", "", "config must be a file of settings, got 'a.toml' (No such file or directory)"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_in_one_line(in_tmp, capsys, name, content, line):
    (in_tmp / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    assert train.main(["--config", "a.json" if name == "a.json" else "a.toml"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"fastlander train: error: {line}")
    assert err.count("\n") == 1
    assert [path.name for path in in_tmp.iterdir()] == [name]


@pytest.mark.parametrize("arguments", ["--resume run --config a.toml", "--config"])
def test_what_does_not_go_with_config(in_tmp, capsys, arguments):
    (in_tmp / "a.toml").write_text("")
    assert train.main(arguments.split()) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_quiet_prints_nothing(in_tmp, capsys):
    (in_tmp / "a.toml").write_text("total_timesteps = 100\neval_episodes = 2\nnum_envs = 2\noutput_dir = 'run'\n")
    assert train.main(["--config", "a.toml", "--quiet"]) == 0
    assert train.main(["--resume", "run", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    assert json.loads((in_tmp / "run" / "config.json").read_text())["total_timesteps"] == 100
    assert train.main(["--config", "a.toml", "--quiet"]) == 2  # the directory is in use, and that is said
    assert capsys.readouterr().err.startswith("fastlander train: error: output_dir must be a new or empty directory")
