"""`SB3VecEnv` beside Stable-Baselines3's own DummyVecEnv of Gymnasium's lander."""

import copy
import inspect
import pickle
import sys

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.wrappers import ClipReward, OrderEnforcing, PassiveEnvChecker, TimeLimit

pytest.importorskip("stable_baselines3")
from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor

from fastlander import LunarLanderVectorEnv
from fastlander.sb3 import SB3VecEnv


@pytest.mark.parametrize("limit", [None, 60])
def test_it_gives_what_dummy_vec_env_gives(limit):
    ours = SB3VecEnv(3, max_episode_steps=limit)
    theirs = DummyVecEnv([lambda: gym.make("LunarLander-v3", max_episode_steps=limit) for _ in range(3)])
    assert ours.observation_space == theirs.observation_space
    assert ours.action_space == theirs.action_space
    assert ours.seed(5) == theirs.seed(5)
    assert np.array_equal(ours.reset(), theirs.reset())
    rng, ended = np.random.default_rng(0), 0
    for _ in range(400):
        actions = rng.integers(4, size=3)
        obs, rewards, dones, infos = ours.step(actions)
        expected = theirs.step(actions)
        for a, b in zip((obs, rewards, dones), expected, strict=False):
            assert np.array_equal(a, b)
            assert a.dtype == b.dtype
        for info, expected_info in zip(infos, expected[3], strict=True):
            assert info.keys() == expected_info.keys()
            assert info["TimeLimit.truncated"] == expected_info["TimeLimit.truncated"]
            if "terminal_observation" in info:
                assert np.array_equal(info["terminal_observation"], expected_info["terminal_observation"])
        ended += dones.sum()
    assert ended > 3
    assert np.array_equal(ours.reset(), theirs.reset())  # unseeded: the streams go on


def test_ppo_learns_from_it_and_evaluate_policy_plays_on_it():
    env = VecMonitor(SB3VecEnv(8))
    model = PPO("MlpPolicy", env, n_steps=64, batch_size=256, n_epochs=1, seed=3, device="cpu")
    before = [parameter.detach().clone() for parameter in model.policy.parameters()]
    model.learn(2_048)
    assert model.num_timesteps == 2_048
    assert model.ep_info_buffer
    assert any((a != b).any() for a, b in zip(before, model.policy.parameters(), strict=True))
    returns, lengths = evaluate_policy(model, VecMonitor(SB3VecEnv(4)), n_eval_episodes=9, return_episode_rewards=True)
    assert len(returns) == len(lengths) == 9
    assert all(np.isfinite(returns))


def test_the_episodes_it_evaluates_are_those_of_dummy_vec_env():
    class Idle:
        def predict(self, obs, state=None, episode_start=None, deterministic=True):
            return np.zeros(len(obs), int), None

    both = []
    for env in (SB3VecEnv(2), DummyVecEnv([lambda: gym.make("LunarLander-v3")] * 2)):
        env.seed(11)
        both.append(evaluate_policy(Idle(), VecMonitor(env), n_eval_episodes=6, return_episode_rewards=True))
    assert both[0][1] == both[1][1]
    assert both[0][0] == pytest.approx(both[1][0])


@pytest.fixture
def both():
    """SB3VecEnv and DummyVecEnv of three landers, both reset with seed 5."""
    ours = SB3VecEnv(3, render_mode="rgb_array")
    theirs = DummyVecEnv([lambda: gym.make("LunarLander-v3", render_mode="rgb_array") for _ in range(3)])
    for env in (ours, theirs):
        env.seed(5)
        env.reset()
    return ours, theirs


def test_every_public_name_of_dummy_vec_env_is_there_and_takes_the_same_arguments(both):
    ours, theirs = both
    for env in both:
        env.step(np.array([0, 2, 1]))
    names = [name for name in dir(theirs) if not name.startswith("_")]
    assert len(names) > 25
    for name in names:
        mine, other = getattr(ours, name), getattr(theirs, name)
        if callable(other):
            assert list(inspect.signature(mine).parameters) == list(inspect.signature(other).parameters), name
        elif name in ("buf_obs", "envs", "unwrapped"):
            assert type(mine) is type(other) or name == "unwrapped"
        else:
            assert np.array_equal(mine, other), name
    assert ours.unwrapped is ours
    assert list(ours.buf_obs) == list(theirs.buf_obs) == [None]
    assert np.array_equal(ours.buf_obs[None], theirs.buf_obs[None])


def test_attributes_of_single_landers_are_those_of_dummy_vec_env(both):
    ours, theirs = both
    for _ in range(5):
        for env in both:
            env.step(np.array([0, 2, 1]))
    same = "gravity enable_wind wind_power continuous render_mode metadata observation_space action_space game_over "
    for name in (same + "prev_shaping helipad_x1 helipad_y _max_episode_steps _elapsed_steps np_random_seed").split():
        assert ours.get_attr(name) == theirs.get_attr(name), name
        for indices in (1, [0, 2], -1, range(2), []):
            assert ours.get_attr(name, indices) == theirs.get_attr(name, indices), (name, indices)
        assert ours.has_attr(name)
        assert [getattr(lander, name) for lander in ours.envs] == theirs.get_attr(name)
    for env in both:
        assert not env.has_attr("fuel")
        with pytest.raises(AttributeError):
            env.get_attr("fuel", 0)
        with pytest.raises(IndexError):
            env.get_attr("gravity", 3)
        with pytest.raises(AttributeError):
            env.env_method("fly")
        env.set_attr("note", "first", indices=[0, 2])
        assert env.get_attr("note", [0, 2]) == ["first"] * 2
        with pytest.raises(AttributeError):
            env.get_attr("note")
    for wrapper in (gym.Wrapper, TimeLimit, OrderEnforcing, PassiveEnvChecker, ClipReward, Monitor):
        for indices in (None, 1, [0, 2]):
            assert ours.env_is_wrapped(wrapper, indices) == theirs.env_is_wrapped(wrapper, indices)
    assert not any(SB3VecEnv(2, max_episode_steps=-1).env_is_wrapped(TimeLimit))


def test_methods_of_single_landers_give_what_those_of_dummy_vec_env_give(both):
    ours, theirs = both
    assert ours.env_method("has_wrapper_attr", "gravity") == theirs.env_method("has_wrapper_attr", "gravity")
    assert ours.env_method("has_wrapper_attr", "fuel") == theirs.env_method("has_wrapper_attr", "fuel")
    assert ours.env_method("get_wrapper_attr", "gravity") == theirs.env_method("get_wrapper_attr", "gravity")
    assert ours.env_method("set_wrapper_attr", "fuel", 1, force=False) == [False] * 3
    for env in both:
        env.step(np.array([0, 2, 1]))
    for seed in (9, None):
        for a, b in zip(*(env.env_method("reset", indices=[1], seed=seed) for env in both), strict=True):
            assert np.array_equal(a[0], b[0])
            assert a[1] == b[1] == {}
    ours_next, theirs_next = (env.step(np.array([1, 1, 1])) for env in both)
    assert np.array_equal(ours_next[0], theirs_next[0])
    assert ours.env_method("render", indices=[2])[0].shape == (400, 600, 3)
    assert np.array_equal(ours.envs[1].render(), ours.get_images()[1])
    with pytest.raises(AttributeError, match="a native lander has .* got 'step'"):
        ours.env_method("step", 0)


def test_pictures_are_tiled_as_those_of_dummy_vec_env(both):
    ours, theirs = both
    assert ours.render().shape == theirs.render("rgb_array").shape == (800, 1200, 3)
    difference = np.abs(ours.render().astype(int) - theirs.render()) > 0
    assert difference.mean() < 0.01  # the engines' particles are not drawn
    blind = SB3VecEnv(2), DummyVecEnv([lambda: gym.make("LunarLander-v3")] * 2)
    for env in blind:
        env.reset()
        with pytest.warns(UserWarning, match="render"):
            assert env.render() is None
        with pytest.warns(UserWarning, match="None"):
            assert env.get_images() == [None] * 2
        with pytest.warns(UserWarning, match="render mode"):
            assert env.render("human") is None


def test_settings_are_set_on_the_landers_themselves():
    env = SB3VecEnv(3)
    env.set_attr("gravity", -5.0, indices=[0, 2])
    env.set_attr("gravity", -3.0, indices=1)
    env.envs[1].wind_power = 7
    assert env.get_attr("gravity") == [-5.0, -3.0, -5.0]
    assert env.env.get_attr("wind_power") == (15.0, 7.0, 15.0)
    env.seed(4)
    obs = env.reset()
    for i, gravity in enumerate((-5.0, -3.0, -5.0)):
        lander = gym.make("LunarLander-v3", gravity=gravity)
        first, _ = lander.reset(seed=4 + i)
        assert np.array_equal(obs[i], first)
    with pytest.raises(ValueError, match="gravity must be between -12 and 0"):
        env.set_attr("gravity", 3.0)
    for name in ("game_over", "render", "unwrapped"):
        with pytest.raises(AttributeError, match=f"got '{name}'"):
            env.set_attr(name, 1)
    assert env.get_attr("gravity") == [-5.0, -3.0, -5.0]
    twin = pickle.loads(pickle.dumps(env))
    twin.set_attr("gravity", -1.0, indices=0)
    assert twin.envs[0].gravity == -1.0
    assert env.envs[0].gravity == -5.0


def test_what_it_refuses():
    assert SB3VecEnv(3, continuous=True).action_space.shape == (2,)
    with pytest.raises(ValueError, match="autoreset_mode must be left out"):
        SB3VecEnv(3, autoreset_mode="NextStep")
    with pytest.raises(ValueError, match="num_envs must be an integer of at least 1, got 0"):
        SB3VecEnv(0)
    with pytest.raises(ValueError, match="reset must be called for all landers"):
        SB3VecEnv(2).env_method("reset", indices=0)


def test_seeds_are_drawn_and_used_once_as_by_dummy_vec_env(both):
    seeds = []
    for env in both:
        np.random.seed(3)
        seeds.append(env.seed())
    assert seeds[0] == seeds[1]
    for env in both:
        env.set_options({"anything": 1})
    assert np.array_equal(*(env.reset() for env in both))
    for env in both:
        assert env._seeds == [None] * 3
        assert env._options == [{}] * 3
        assert env.reset_infos == [{}] * 3
    assert np.array_equal(*(env.reset() for env in both))


@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
def test_a_copy_goes_on_as_its_original_would(way):
    env = SB3VecEnv(3, enable_wind=True, num_threads=2)
    env.seed(3)
    env.reset()
    rng = np.random.default_rng(0)
    for _ in range(60):
        env.step(rng.integers(4, size=3))
    twin = way(env)
    for _ in range(100):
        actions = rng.integers(4, size=3)
        assert all(np.array_equal(a, b) for a, b in zip(env.step(actions)[:3], twin.step(actions)[:3], strict=True))
    twin.env.set_state(env.env.get_state())
    with pytest.raises(ValueError, match="the state must be of autoreset_mode SameStep, got one of NextStep"):
        twin.env.set_state(LunarLanderVectorEnv(3, enable_wind=True).get_state())


def test_without_stable_baselines3_it_says_what_to_install(monkeypatch):
    monkeypatch.delitem(sys.modules, "fastlander.sb3")
    monkeypatch.setitem(sys.modules, "stable_baselines3.common.vec_env", None)
    with pytest.raises(ImportError, match=r"pip install 'fastlander\[sb3\]'"):
        import fastlander.sb3  # noqa: F401
