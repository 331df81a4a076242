"""Judging a policy on 100 fresh episodes. A good one: most land within 300 steps, a few hover for a thousand."""

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.env_util import make_vec_env as make_sb3_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecMonitor

from fastlander import Config, Trainer, make_vec_env
from fastlander.evaluation import episodes
from fastlander.evaluation.episodes import evaluate, make_eval_env
from fastlander.learner.fused.policy import FusedPolicy
from fastlander.sb3 import SB3VecEnv

SEEDS = list(range(100))


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    directory = tmp_path_factory.mktemp("run") / "run"
    return Trainer(Config(seed=5, progress=False, output_dir=directory)).run()


class Predictor:
    """A policy as Stable-Baselines3 calls it."""

    def __init__(self, q_network):
        self.q_network = q_network

    def predict(self, obs, state=None, episode_start=None, deterministic=True):
        return self.q_network.greedy(obs), None


def judge_by_sb3(measure, result, env, name, peer=False):
    measure(
        lambda: evaluate_policy(Predictor(result.agent.q_net), env, n_eval_episodes=100),
        group="judge", name=name, items=100, unit="episodes", rounds=5, peer=peer,
    )  # fmt: skip


def test_stable_baselines3(measure, result):
    env = make_sb3_env("LunarLander-v3", n_envs=16, seed=0)
    judge_by_sb3(measure, result, env, "evaluate_policy of Stable-Baselines3, 16 of Gymnasium's landers", peer=True)


def test_stable_baselines3_on_the_native_lander(measure, result):
    judge_by_sb3(measure, result, VecMonitor(SB3VecEnv(16)), "evaluate_policy on SB3VecEnv, 16 landers")


def test_fastlander_on_gymnasium_s_lander(measure, result):
    env = make_vec_env(num_envs=16, backend="sync", autoreset_mode=AutoresetMode.DISABLED)
    measure(
        lambda: evaluate(result.agent.q_net.greedy, env, SEEDS),
        group="judge", name="evaluate, 16 of Gymnasium's landers", items=100, unit="episodes", rounds=5,
    )  # fmt: skip


@pytest.mark.parametrize("in_kernel", [True, False], ids=["kernel", "python"])
def test_fastlander(measure, monkeypatch, result, in_kernel):
    env, policy = make_eval_env(Config(), 100), FusedPolicy.of(result.agent.q_net).greedy
    if not in_kernel:
        monkeypatch.setattr(episodes, "_fused_flights", lambda policies, env: None)
    name = "evaluate, native landers" if in_kernel else "evaluate, native landers, its loop in Python"
    returns = measure(
        lambda: episodes.evaluate(policy, env, SEEDS), group="judge", name=name, items=100, unit="episodes", rounds=5
    )
    assert np.isfinite(returns.mean)
