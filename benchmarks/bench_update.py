"""One gradient step of double DQN with a soft target, batch 128; `DQN.learn` and Stable-Baselines3 sample too."""

import contextlib
import dataclasses

import gymnasium as gym
import pytest
import torch

from benchmarks.peers import ScriptedDQN
from fastlander import DQN, Config
from tests.twins import SlowDQN, filled_buffer, random_batch

BATCH = random_batch(128)
CONFIG = Config(batch_size=128, mirror_augmentation=False)
MIRROR = Config(batch_size=128)
PLAIN = dataclasses.replace(CONFIG, double_dqn=False, loss="mse", max_grad_norm=None, tau=1.0, target_update_freq=100)
"""The algorithm of CleanRL's dqn.py. Stable-Baselines3 has Huber loss and clipping besides."""


def test_plain_torch(measure):
    slow = SlowDQN(DQN(CONFIG))
    measure(lambda: slow.update(BATCH), group="update", name="plain torch, autograd", unit="updates", peer=True)


def test_dqn(measure):
    dqn = DQN(CONFIG)
    measure(lambda: dqn.update(BATCH), group="update", name="DQN.update", unit="updates")


def test_dqn_with_mirror(measure):
    dqn = DQN(MIRROR)
    measure(lambda: dqn.update(BATCH), group="update", name="DQN.update, mirror augmentation", unit="updates")


@pytest.mark.parametrize(
    ("config", "what"), [(CONFIG, ""), (MIRROR, ", mirror augmentation"), (PLAIN, ", as CleanRL's")]
)
def test_fused(measure, config, what):
    dqn, buffer = DQN(config), filled_buffer()
    measure(lambda: dqn.learn(buffer, 1), group="update", name=f"DQN.learn (fused, samples){what}", unit="updates")


def test_stable_baselines3(measure):
    sb3 = pytest.importorskip("stable_baselines3")
    model = sb3.DQN(
        "MlpPolicy", "LunarLander-v3", policy_kwargs={"net_arch": [128, 64, 32]}, learning_starts=0, device="cpu"
    )
    model.learn(500)
    torch.set_num_threads(1)
    measure(lambda: model.train(1, batch_size=128), group="update", name="Stable-Baselines3 DQN.train", unit="updates")


def test_cleanrl(measure):
    pytest.importorskip("stable_baselines3")
    with contextlib.closing(gym.make_vec("LunarLander-v3", num_envs=1, vectorization_mode="sync")) as env:
        dqn, obs = ScriptedDQN(env), env.reset(seed=0)[0]
        for _ in range(3000):
            action = env.action_space.sample()
            next_obs, reward, terminated, _, _ = env.step(action)
            dqn.add(obs, next_obs, action, reward, terminated)
            obs = next_obs
    measure(dqn.update, group="update", name="as in CleanRL's dqn.py", unit="updates")
