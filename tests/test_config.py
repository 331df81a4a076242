import dataclasses
import itertools
import json
import pathlib
import re

import gymnasium as gym
import numpy as np
import pytest

from fastlander import Config
from fastlander.config import ADDED_LATER, LANDER_IDS, is_lander
from fastlander.presets import ENV_DEFAULTS


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"num_envs": 0}, "num_envs must be an integer of at least 1, got 0"),
        ({"num_envs": -3}, "num_envs must be an integer of at least 1, got -3"),
        ({"num_envs": 1.5}, "num_envs must be an integer of at least 1, got 1.5"),
        ({"num_envs": True}, "num_envs must be an integer of at least 1, got True"),
        ({"num_envs": "16"}, "num_envs must be an integer of at least 1, got '16'"),
        ({"batch_size": 40_000}, "batch_size must be at most buffer_size, got 40000 with buffer_size 30000"),
        ({"buffer_size": 1_000}, "learning_starts must be at most buffer_size, got 2000 with buffer_size 1000"),
        ({"gamma": 1.5}, "gamma must be a number of at least 0 and at most 1, got 1.5"),
        ({"gamma": float("nan")}, "gamma must be a number of at least 0 and at most 1, got nan"),
        ({"learning_rate": 0.0}, "learning_rate must be a number above 0, got 0.0"),
        ({"tau": 0}, "tau must be a number above 0 and at most 1, got 0"),
        ({"solved_score": float("inf")}, "solved_score must be a number that is finite or None, got inf"),
        ({"device": "tpu"}, "device must be one of auto, cpu, cuda, got 'tpu'"),
        ({"loss": "mae"}, "loss must be one of huber, mse, got 'mae'"),
        ({"seed": -1}, "seed must be an integer of at least 0 and at most 18446744073709551615, got -1"),
        ({"hidden_sizes": ()}, "hidden_sizes must be one or more numbers, each an integer of at least 1, got ()"),
        ({"hidden_sizes": (64, 0)}, "hidden_sizes must be one or more numbers, each an integer of at least 1"),
        ({"adam_betas": (0.9,)}, "adam_betas must be 2 numbers, each a number of at least 0 and below 1, got"),
        ({"adam_betas": (0.9, 1.0)}, "adam_betas must be 2 numbers, each a number of at least 0 and below 1, got"),
        (
            {"learning_rate_end": 0.1},
            "learning_rate_end must be at most learning_rate, got 0.1 with",
        ),
        ({"n_step": 30_001}, "n_step must be at most buffer_size, got 30001 with buffer_size 30000"),
        (
            {"env_id": "CartPole-v1", "mirror_acting": True, "candidates": 2},
            "mirror_acting must be off for env_id",
        ),
        (
            {"env_id": "CartPole-v1", "fuel_weight": 2},
            "fuel_weight must be 1 for env_id 'CartPole-v1', got 2.0 (it knows only LunarLander-v3)",
        ),
        (
            {"env_id": "CartPole-v1", "distance_weight": 0},
            "distance_weight must be 1 for env_id 'CartPole-v1', got 0.0",
        ),
        ({"distance_weight": -1}, "distance_weight must be a number of at least 0 and at most 100, got -1"),
        ({"candidates": -1}, "candidates must be an integer of at least 0, got -1"),
        ({"epsilon_end": 0.5, "epsilon_start": 0.1}, "epsilon_end must be at most epsilon_start, got 0.5"),
        ({"epsilon_zeta": 1.0}, "epsilon_zeta must be a number above 1 or None, got 1.0"),
        ({"env_id": "CartPole-v1", "mirror_augmentation": True}, "mirror_augmentation must be off for env_id 'Cart"),
    ],
)
def test_a_wrong_setting_gets_one_line_that_says_what_is_allowed(settings, line):
    with pytest.raises(ValueError, match=".") as caught:
        Config(**settings)
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


def test_numbers_of_other_kinds_are_taken_where_they_fit():
    config = Config(num_envs=np.int64(3), gamma=1, hidden_sizes=[16, 8], output_dir=pathlib.Path("a"))
    assert (config.num_envs, config.gamma, config.hidden_sizes, config.output_dir) == (3, 1.0, (16, 8), "a")
    assert type(config.num_envs) is int
    assert type(config.gamma) is float


def test_it_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().num_envs = 3


def test_json_gives_the_same_config_back():
    config = Config.preset("lecture", num_envs=4, output_dir="somewhere")
    assert Config.from_json(config.to_json()) == config


def test_some_settings_have_no_effect_on_the_result():
    config = Config(num_envs=4, hidden_sizes=(8,), output_dir="x", progress=False, tensorboard=True, seed=3)
    settings = config.result_settings()
    names = {field.name for field in dataclasses.fields(Config)}
    # What earlier versions had not is left out where it is not set, so that equal runs leave equal files.
    without = {"output_dir", "progress", "tensorboard", "checkpoint_interval", "epsilon_zeta", "env_kwargs"}
    without |= {"fuel_weight", "distance_weight"}
    assert names - settings.keys() == without
    lecture = Config.preset("lecture").result_settings()
    assert names - lecture.keys() == without | {"solved_landings", "judged_average"}
    assert Config(epsilon_zeta=2).result_settings()["epsilon_zeta"] == 2.0
    assert settings["hidden_sizes"] == [8]
    # The lander's own limit of training episodes is spelled out, as earlier versions have it in their files.
    assert settings["max_episode_steps"] == 500
    expected = Config(num_envs=4, hidden_sizes=(8,), seed=3, max_episode_steps=500, solved_landings=0.97)
    assert Config.from_json(json.dumps(settings)) == expected
    assert Config(env_id="MountainCar-v0").result_settings()["max_episode_steps"] is None


def test_a_record_of_an_earlier_version_keeps_that_version_s_rules():
    record = json.loads(Config(num_envs=4).to_json())
    for name in ADDED_LATER:
        del record[name]
    config = Config.from_json(json.dumps(record))
    assert config == Config(num_envs=4, solved_landings=0.0, judged_average=0)
    assert config.required_landings == 0


def test_landings_are_asked_for_where_something_lands():
    assert Config().required_landings == Config(env_id="fastlander/LunarLander-v3").required_landings == 0.97
    assert Config(solved_landings=0.5).required_landings == 0.5
    assert Config(env_id="CartPole-v1").required_landings == Config(solved_by="training").required_landings == 0
    assert Config(env_id="CartPole-v1", solved_landings=0).required_landings == 0
    with pytest.raises(ValueError, match=r"solved_landings must be 0 or None for env_id 'CartPole-v1', got 0.5"):
        Config(env_id="CartPole-v1", solved_landings=0.5)
    with pytest.raises(ValueError, match="solved_landings must be"):
        Config(solved_landings=1.5)


@pytest.mark.parametrize(
    ("env_id", "yes"),
    [
        ("LunarLander-v3", True),
        ("fastlander/LunarLander-v3", True),
        ("fastlander:fastlander/LunarLander-v3", True),
        ("fastlander/LunarLanderContinuous-v3", False),
        ("CartPole-v1", False),
    ],
)
def test_the_ids_of_the_lander(env_id, yes):
    assert is_lander(env_id) == yes
    assert Config(env_id=env_id).is_lander == yes
    assert Config(env_id=env_id).mirrors == yes


@pytest.mark.parametrize("text", ["", "[]", '{"nmu_envs": 3}', '{"num_envs": 0}'])
def test_a_record_of_something_else_is_refused(text):
    with pytest.raises(ValueError, match=r"must be|no setting"):
        Config.from_json(text)


def test_the_finest_preset_is_best_with_more_of_it():
    best, finest = (dataclasses.asdict(Config.preset(name)) for name in ("best", "finest"))
    assert {name for name in best if best[name] != finest[name]} == {"total_timesteps", "buffer_size", "eval_episodes"}
    assert all(finest[name] >= best[name] for name in ("total_timesteps", "buffer_size", "eval_episodes"))
    assert (best["fuel_weight"], best["distance_weight"]) == (3, 5)


def test_the_lecture_preset_has_the_lecture_s_numbers():
    lecture = Config.preset("lecture")
    assert (lecture.buffer_size, lecture.batch_size, lecture.learning_rate) == (5_000, 64, 1e-4)
    assert (lecture.learning_starts, lecture.train_freq, lecture.loss) == (5_000, 1, "mse")
    assert not lecture.separate_target
    assert not lecture.double_dqn
    assert (lecture.epsilon_start, lecture.epsilon_decay, lecture.epsilon_end) == (1.0, 0.995, 0.0)
    assert (lecture.max_episode_steps, lecture.max_episodes, lecture.solved_by) == (None, 2_000, "training")
    assert lecture.result_settings()["max_episode_steps"] == 500
    assert (lecture.n_step, lecture.gamma, lecture.reward_scale, lecture.max_grad_norm) == (1, 0.99, 1.0, None)
    assert not lecture.mirrors


def test_unknown_preset_and_setting():
    with pytest.raises(ValueError, match="preset must be one of default, best, finest, lecture, got 'worst'"):
        Config.preset("worst")
    with pytest.raises(ValueError, match="no setting named 'num_env'"):
        Config.preset("lecture", num_env=4)


@pytest.mark.parametrize("env_id", ENV_DEFAULTS)
def test_an_environment_has_defaults_of_its_own(env_id):
    own = Config.preset(env_id=env_id)
    assert own == Config(env_id=env_id, **ENV_DEFAULTS[env_id])
    assert all(getattr(Config(), name) != value for name, value in ENV_DEFAULTS[env_id].items())  # no idle entry
    assert Config.preset("default", env_id=env_id, gamma=0.5) == dataclasses.replace(own, gamma=0.5)
    assert Config.from_json(own.to_json()) == own
    assert gym.spec(env_id).reward_threshold is not None
    for name in ("best", "lecture"):
        line = f"preset must be default for env_id {env_id!r}, got {name!r} (which is for LunarLander-v3)"
        with pytest.raises(ValueError, match=re.escape(line)):
            Config.preset(name, env_id=env_id)


def test_the_lander_and_unknown_environments_keep_the_lander_s_defaults():
    assert Config.preset() == Config()
    for env_id in (*LANDER_IDS, "tests/Corridor-v0"):
        assert Config.preset(env_id=env_id) == Config(env_id=env_id)
        best = Config.preset("best", env_id=env_id)
        assert (best.n_step, best.mirror_acting) == (8, env_id in LANDER_IDS)
    # A Config, and so the record of a run, is what it says: no other environment's defaults come in.
    assert Config(env_id="MountainCar-v0").epsilon_zeta is None
    earlier = Config(env_id="MountainCar-v0", judged_average=0, solved_landings=0.0)
    assert Config.from_json('{"env_id": "MountainCar-v0"}') == earlier
    with pytest.raises(ValueError, match="env_id must be"):
        Config.preset(env_id=["CartPole-v1"])


@pytest.mark.parametrize(
    ("config", "line"),
    [
        (Config.preset(env_id="CartPole-v1", seed=3, output_dir="x"), "CartPole-v1 with its own defaults"),
        (
            Config.preset(env_id="CartPole-v1", gamma=0.5, hidden_sizes=(8,)),
            "CartPole-v1 with its own defaults, but hidden_sizes (8,), gamma 0.5",
        ),
        (
            Config(env_id="CartPole-v1", gamma=0.5),
            "CartPole-v1 with the defaults of LunarLander-v3, but gamma 0.5 "
            "(Config.preset(env_id='CartPole-v1') has its own)",
        ),
        (Config(env_id="tests/Corridor-v0"), "tests/Corridor-v0 with the defaults of LunarLander-v3"),
    ],
)
def test_a_line_says_whose_defaults_the_settings_are(config, line):
    assert config.origin() == line


def test_lunar_lander_v2_becomes_v3_with_one_warning():
    with pytest.warns(UserWarning, match="LunarLander-v2 is no longer in Gymnasium: using LunarLander-v3") as caught:
        config = Config(env_id="LunarLander-v2")
    assert config.env_id == "LunarLander-v3"
    assert len(caught) == 1
    assert caught[0].filename == __file__


def test_mirroring_is_for_the_lander_alone():
    assert Config().mirrors
    assert not Config(env_id="CartPole-v1").mirrors
    assert not Config(mirror_augmentation=False).mirrors


def test_every_setting_is_documented():
    import ast
    import inspect

    import fastlander.config

    tree = ast.parse(inspect.getsource(fastlander.config))
    body = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Config").body
    for node, following in itertools.pairwise(body):
        if isinstance(node, ast.AnnAssign):
            assert isinstance(following, ast.Expr), f"{node.target.id} has no docstring"
            assert isinstance(following.value.value, str)
