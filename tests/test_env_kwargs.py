"""Settings of the environment itself (`Config.env_kwargs`): every command of a run uses those it was trained with."""

import json
import os
import subprocess
import sys
import threading
from contextlib import closing

import gymnasium as gym
import numpy as np
import pytest

from fastlander import Config, Trainer, make_vec_env, replay, train
from fastlander.evaluate import evaluate_run
from fastlander.evaluation.evaluation import Evaluation
from fastlander.lander.game import wind
from fastlander.storage.files import CONFIG_FILE
from fastlander.storage.model_file import load_model, save_model
from fastlander.train import read_arguments
from fastlander.viewing.flight import Flight, open_lander
from fastlander.viewing.report_page import chosen_traces
from fastlander.viewing.trace import trace_flight

WINDY = {"enable_wind": True, "wind_power": 17, "gravity": -3.7}
QUICK = {"num_envs": 2, "total_timesteps": 300, "eval_episodes": 3, "progress": False}


@pytest.mark.parametrize(
    ("texts", "env_kwargs"),
    [
        ("enable_wind=True wind_power=17 gravity=-3.7", WINDY),
        ("", {}),
        ("gravity=-1e-3", {"gravity": -0.001}),
    ],
)
def test_the_command_line_takes_python_literals(texts, env_kwargs):
    assert read_arguments(["--env-kwargs", *texts.split(), "--seed", "3"]).config.env_kwargs == env_kwargs


def test_json_gives_them_back_whatever_their_kind():
    given = {"size": [4, (5, np.int64(6))], "name": "maze", "part": {"a b": None}, "rate": np.float32(0.5)}
    config = Config(env_id="tests/Corridor-v0", env_kwargs=given)
    assert config.env_kwargs == {"size": (4, (5, 6)), "name": "maze", "part": {"a b": None}, "rate": 0.5}
    assert Config.from_json(config.to_json()) == config
    assert hash(Config.from_json(config.to_json())) == hash(config)
    given["size"].append(7)
    assert config.env_kwargs["size"] == (4, (5, 6))
    assert Config.from_json("{}").env_kwargs == {}


PLAIN = (
    "env_kwargs must be names with plain values (True, False, None, text, finite numbers, or lists and dicts of them)"
)


@pytest.mark.parametrize(
    ("env_id", "env_kwargs", "line"),
    [
        (
            "LunarLander-v3",
            {"wind": 1},
            "env_kwargs must be of gravity, enable_wind, wind_power, turbulence_power for Lun",
        ),
        ("LunarLander-v3", {"continuous": True}, "env_kwargs must be of gravity, enable_wind"),
        (
            "CartPole-v1",
            {"render_mode": "human"},
            "env_kwargs must be settings of the environment itself, got render_mode",
        ),
        ("CartPole-v1", {"env_id": "evil:Env-v0"}, "env_kwargs must be settings of the environment itself, got env_id"),
        ("CartPole-v1", {"a b": 1}, f"{PLAIN}, got {{'a b': 1}}"),
        ("CartPole-v1", {1: 1}, f"{PLAIN}, got {{1: 1}}"),
        ("CartPole-v1", {"size": float("nan")}, f"{PLAIN}, got {{'size': nan}}"),
        ("CartPole-v1", {"size": [2**63]}, f"{PLAIN}, got {{'size': [9223372036854775808]}}"),
        ("CartPole-v1", {"size": {1, 2}}, PLAIN),
        ("CartPole-v1", {"size": [[[[[[[[[1]]]]]]]]]}, PLAIN),
        ("CartPole-v1", ["size"], f"{PLAIN}, got ['size']"),
    ],
)
def test_what_no_run_can_have(env_id, env_kwargs, line):
    with pytest.raises(ValueError, match=".") as caught:
        Config(env_id=env_id, env_kwargs=env_kwargs)
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("--env-kwargs gravity", "env_kwargs must be key=value, such as gravity=-3.7, got 'gravity'"),
        ("--env-kwargs gravity=x", "env_kwargs must have a Python literal after gravity=, got 'x' (text has quotes"),
        ("--env-kwargs gravity=-1 gravity=-2", "env_kwargs must have each key once, got 'gravity' twice"),
        ("--env-kwargs gravity=-20", "gravity must be between -12 and 0, got -20"),
        ("--env-kwargs enable_wind=3", "enable_wind must be True or False, got 3"),
        (
            "--env-id tests/Corridor-v0 --env-kwargs width=3",
            "env_kwargs must be settings that 'tests/Corridor-v0' takes, got width=3 (Corridor.__init__() got an unex",
        ),
        (
            "--env-id tests/Corridor-v0 --env-kwargs obs_shape='x'",
            "env_kwargs must be settings that 'tests/Corridor-v0' takes, got obs_shape='x' (",
        ),
    ],
)
def test_a_refusal_has_the_environment_s_own_reason_and_leaves_nothing(in_tmp, capsys, arguments, line):
    assert train.main(arguments.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"fastlander train: error: {line}")
    assert err.count("\n") == 1
    assert os.listdir(in_tmp) == []


def test_a_refusal_of_gymnasium_s_lander_has_its_reason():
    with pytest.raises(
        ValueError, match=r"'LunarLander-v3' takes, got gravity=-20 \(gravity \(current value: -20\) must"
    ):
        make_vec_env(backend="sync", gravity=-20)


@pytest.fixture(scope="module")
def windy(tmp_path_factory):
    """The Result of a small windy run."""
    directory = tmp_path_factory.mktemp("windy") / "run"
    return Trainer(Config(**QUICK, env_kwargs=WINDY, output_dir=directory)).run()


def played_by_gymnasium(policy, seeds, **env_kwargs):
    """The episodes of these seeds on Gymnasium's own lander."""
    env, played = gym.make("LunarLander-v3", **env_kwargs), []
    for seed in seeds:
        obs, _ = env.reset(seed=int(seed))
        total = steps = 0
        over = cut = False
        while not over and not cut:
            obs, reward, over, cut, _ = env.step(int(policy(obs[None])[0]))
            total, steps = total + reward, steps + 1
        played.append((total, steps, reward, over))
    return Evaluation(*map(np.array, zip(*played, strict=True)), np.array(seeds))


def test_a_windy_run_is_judged_evaluated_and_flown_in_the_same_wind(windy):
    policy = windy.agent.q_net.greedy
    theirs = played_by_gymnasium(policy, windy.evaluation.seeds, **WINDY)
    assert np.array_equal(windy.evaluation.returns, theirs.returns)
    assert not np.array_equal(played_by_gymnasium(policy, theirs.seeds).returns, theirs.returns)

    _, evaluated = evaluate_run(windy.output_dir, episodes=2, seed=5)
    assert np.array_equal(evaluated.returns, played_by_gymnasium(policy, evaluated.seeds, **WINDY).returns)
    assert np.array_equal(evaluate_run(windy.output_dir, 2, 5, "sync")[1].returns, evaluated.returns)
    flight = Flight(windy.output_dir, 2, 5, "rgb_array")
    assert len(list(flight.frames())) == evaluated.playtimes.sum() + 2
    assert flight.returns == evaluated.returns.tolist()


def test_reports_and_replays_fly_in_that_wind(windy):
    landings = chosen_traces(windy.agent.q_net, windy.evaluation, env_kwargs=WINDY)
    assert landings["Best"].score == windy.evaluation.returns.max()
    with closing(open_lander("sync", env_kwargs=WINDY)) as env:
        twin = trace_flight(env, windy.agent.q_net.greedy, landings["Best"].seed)
    assert landings["Best"].to_json() == twin.to_json()
    page = (windy.output_dir / "report.html").read_text()
    assert "env_kwargs" in page
    assert twin.to_json()["poses"] in page
    assert replay(windy, 3).html == replay(windy.output_dir, 3).html
    assert replay(windy, 3).html != replay(windy.agent, 3).html


def test_every_record_of_a_run_has_them(windy):
    assert json.loads((windy.output_dir / CONFIG_FILE).read_text())["env_kwargs"] == WINDY
    assert load_model(windy.output_dir)[1].env_kwargs == WINDY
    assert windy.config.env_kwargs == WINDY


class Later(threading.Event):
    """An event that is set once it was asked 3 times."""

    asked = 0

    def is_set(self):
        self.asked += 1
        return self.asked > 3


def test_a_windy_run_that_is_resumed_ends_as_without_a_break(in_tmp, windy):
    config = Config(**QUICK, env_kwargs=WINDY, output_dir="run")
    assert 0 < Trainer(config).run(interrupted=Later()).timesteps < 300
    Trainer.resume("run").run()
    for name in ("episodes.csv", "evaluations.csv", "model.safetensors"):
        assert (in_tmp / "run" / name).read_bytes() == (windy.output_dir / name).read_bytes()


@pytest.mark.parametrize("other", [{}, {"gravity": -3.7}])
def test_a_run_with_other_ones_than_its_checkpoint_is_not_resumed(in_tmp, other):
    Trainer(Config(**QUICK, env_kwargs=WINDY, output_dir="run")).run()
    text = (in_tmp / "run" / CONFIG_FILE).read_text()
    record = {**json.loads(text), "env_kwargs": other}
    (in_tmp / "run" / CONFIG_FILE).write_text(json.dumps(record))
    with pytest.raises(ValueError, match=r"config.json must have the settings of its checkpoint, got env_kwargs"):
        Trainer.resume("run").run()
    with pytest.raises(ValueError, match=r"must be of the run whose config.json lies beside it, got env_kwargs"):
        load_model("run")


def test_they_can_change_the_size_of_the_observations(in_tmp):
    config = Config(**QUICK, env_id="tests/Corridor-v0", env_kwargs={"obs_shape": (6,)}, output_dir="run")
    assert Trainer(config).run().agent.q_net.sizes[0] == 6
    assert load_model("run")[0].sizes[0] == 6


def test_a_file_cannot_name_files_or_modules_unless_the_user_says_so(in_tmp):
    config = Config(**QUICK, env_id="tests/Corridor-v0", env_kwargs={"length": 3}, output_dir="run")
    q_net = Trainer(config).run().agent.q_net
    (in_tmp / "run" / CONFIG_FILE).unlink()
    for text in ("/etc/passwd", "evil:Thing-v0", "../x", "evil.module"):
        for value in (text, [[text]], {text: 1}):
            evil = Config(env_id="tests/Corridor-v0", env_kwargs={"length": value})
            save_model("run", q_net, evil)
            with pytest.raises(ValueError, match="must not name a file or a module that was not allowed, got "):
                load_model("run")
    with pytest.raises(ValueError, match="env_kwargs must be settings that 'tests/Corridor-v0' takes"):
        Trainer(Config(**QUICK, env_id="tests/Corridor-v0", env_kwargs={"nan_obs_at": 1, "map": "a/b"})).run()


MODULE = """
import gymnasium as gym
from tests.conftest import Corridor
gym.register("Own-v0", Corridor, kwargs={"length": 9}, max_episode_steps=50)
"""


def test_a_module_of_the_user_is_known_to_every_command(in_tmp):
    (in_tmp / "my_envs.py").write_text(MODULE)
    flags = (
        "--num-envs 2 --total-timesteps 100 --eval-episodes 2 --import my_envs --env-id Own-v0 --env-kwargs length=4"
    )
    path = os.pathsep.join([str(in_tmp), *sys.path])

    def run(command, *rest):
        program = [sys.executable, "-m", f"fastlander.{command}", *rest]
        return subprocess.run(
            program, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": path}
        )

    trained = run("train", *flags.split(), "--output-dir", "seeds", "--seeds", "1")
    assert trained.returncode == 0, trained.stderr
    playtimes = np.loadtxt("seeds/seed0/episodes.csv", delimiter=",", skiprows=1, usecols=2)
    assert 4 <= playtimes.min() < 9  # a corridor of 4, and not of the 9 that the module has
    evaluated = run("evaluate", "seeds/seed0", "--import", "my_envs", "--episodes", "2")
    assert evaluated.returncode == 0, evaluated.stderr
    assert run("train", "--resume", "seeds/seed0", "--import", "my_envs").returncode == 0
    unknown = run("evaluate", "seeds/seed0")
    assert unknown.returncode == 2
    assert "env_id must be an environment that Gymnasium can make, got 'Own-v0'" in unknown.stderr


def test_wind_blows_left_as_often_as_right():
    # What `Config.mirrors` says: the mirrored wind is the wind of another time.
    force = np.array([wind.py_func(k, 1.0) if hasattr(wind, "py_func") else wind(k, 1.0) for k in range(-9999, 10000)])
    assert np.array_equal(force, -force[::-1])
    assert np.abs(force[:-1100] + force[1100:]).max() < 0.01
