"""Steps per second including learning, one update of 128 per 32 transitions, from 16 to 4,096 landers."""

import contextlib

import gymnasium as gym
import numpy as np
import pytest

from benchmarks.peers import ScriptedDQN
from fastlander import Config
from fastlander.environments import make_vec_env
from fastlander.learner.torch_threads import one_torch_thread
from fastlander.training import trainer
from fastlander.training.run_state import Run

SIZES = [16, 64, 256, 1024, 4096]
PER_UPDATE = 32
BUFFER = {"buffer_size": 100_000, "learning_starts": 2_000}


def group(num_envs):
    return f"{num_envs:,} landers, learning"


def vector_steps(num_envs, transitions):
    return max(2, -(-transitions // num_envs))


@pytest.mark.parametrize("num_envs", SIZES)
@pytest.mark.parametrize("in_kernel", [True, False], ids=["kernel", "python"])
def test_trainer(measure, monkeypatch, num_envs, in_kernel):
    settings = {"batch_size": 128, "train_freq": 32, "solved_by": "never", "progress": False}
    config = Config(num_envs=num_envs, **settings, **BUFFER)
    transitions = vector_steps(num_envs, 40_000) * num_envs
    if not in_kernel:
        monkeypatch.setattr(trainer, "fused_steps", lambda run: None)
    with contextlib.closing(make_vec_env(num_envs=num_envs, max_episode_steps=500)) as env, one_torch_thread():
        run = Run(config, env)
        run.at_once = trainer.MANY
        loop = trainer.steps(run)

        def work():
            end = run.timesteps + transitions
            while run.timesteps < end:
                next(loop)

        while len(run.buffer) < 4_000:
            next(loop)
        name = "fastlander" if in_kernel else "fastlander, its loop in Python"
        measure(work, group=group(num_envs), name=name, items=transitions, unit="steps", rounds=5)
        loop.close()
        run.close()


def scripted(measure, env, num_envs, name, peer=False):
    """The loop of CleanRL's dqn.py around a vector environment, with as many updates per transition as the others."""
    dqn = ScriptedDQN(env, num_envs, buffer_size=BUFFER["buffer_size"])
    count = vector_steps(num_envs, 4_096)
    state = {"obs": env.reset()[0], "steps": 0}

    def step():
        obs = state["obs"]
        action = dqn.act(obs, 0.1)
        next_obs, reward, terminated, _, _ = env.step(action)
        dqn.add(obs, next_obs, action, reward, terminated)
        before, state["steps"] = state["steps"], state["steps"] + num_envs
        if state["steps"] > BUFFER["learning_starts"]:
            for _ in range(state["steps"] // PER_UPDATE - before // PER_UPDATE):
                dqn.update()
        state["obs"] = next_obs

    def work():
        for _ in range(count):
            step()

    while state["steps"] < 4_000:
        step()
    measure(work, group=group(num_envs), name=name, items=count * num_envs, unit="steps", peer=peer, rounds=5)


@pytest.mark.parametrize("num_envs", SIZES)
def test_cleanrl(measure, num_envs):
    pytest.importorskip("stable_baselines3")
    with contextlib.closing(gym.make_vec("LunarLander-v3", num_envs=num_envs, vectorization_mode="sync")) as env:
        scripted(measure, env, num_envs, "as in CleanRL's dqn.py, Gymnasium sync")


class WithSpaces:
    """An EnvPool environment under the names that Gymnasium's vector environments have."""

    def __init__(self, env):
        self.env = env
        self.single_observation_space, self.single_action_space = env.observation_space, env.action_space

    def reset(self):
        return self.env.reset()

    def step(self, action):
        return self.env.step(action.astype(np.int32))


@pytest.mark.parametrize("num_envs", SIZES)
def test_envpool(measure, num_envs):
    pytest.importorskip("stable_baselines3")
    envpool = pytest.importorskip("envpool")
    env = WithSpaces(envpool.make_gymnasium("LunarLander-v3", num_envs=num_envs, num_threads=1))
    scripted(measure, env, num_envs, "torch fed by EnvPool, one thread", peer=True)


@pytest.mark.parametrize("num_envs", SIZES)
def test_stable_baselines3(measure, num_envs):
    sb3 = pytest.importorskip("stable_baselines3")
    from stable_baselines3.common.env_util import make_vec_env as make_sb3

    per_round = vector_steps(num_envs, 4_096) * num_envs
    model = sb3.DQN(
        "MlpPolicy",
        make_sb3("LunarLander-v3", n_envs=num_envs),
        policy_kwargs={"net_arch": [128, 64, 32]},
        batch_size=128,
        buffer_size=BUFFER["buffer_size"],
        learning_starts=BUFFER["learning_starts"],
        train_freq=max(1, PER_UPDATE // num_envs),  # vector steps
        gradient_steps=max(1, num_envs // PER_UPDATE),
        device="cpu",
    )
    model.learn(max(4_096, num_envs))

    def work():
        model.learn(per_round, reset_num_timesteps=False)

    measure(work, group=group(num_envs), name="Stable-Baselines3", items=per_round, unit="steps", rounds=5)
    model.env.close()
