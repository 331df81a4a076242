"""`SB3VecEnv` beside Stable-Baselines3's own DummyVecEnv of Gymnasium's lander."""

import copy
import pickle
import sys

import gymnasium as gym
import numpy as np
import pytest

pytest.importorskip("stable_baselines3")
from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy
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


def test_what_it_can_and_cannot_be_asked():
    env = SB3VecEnv(3, continuous=True, render_mode="rgb_array")
    assert env.action_space.shape == (2,)
    assert env.get_attr("render_mode", [0, 2]) == ["rgb_array"] * 2
    assert env.env_is_wrapped(gym.Wrapper) == [False] * 3
    env.reset()
    assert [image.shape for image in env.get_images()] == [(400, 600, 3)] * 3
    with pytest.raises(AttributeError, match="gravity cannot be set"):
        env.set_attr("gravity", -5)
    with pytest.raises(AttributeError, match="fly cannot be called"):
        env.env_method("fly")
    with pytest.raises(ValueError, match="autoreset_mode must be left out"):
        SB3VecEnv(3, autoreset_mode="NextStep")
    with pytest.raises(ValueError, match="num_envs must be an integer of at least 1, got 0"):
        SB3VecEnv(0)


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
