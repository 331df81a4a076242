"""Steps per second of whole training loops."""

import gymnasium as gym
import pytest

from fastlander import Agent, Config, Trainer
from tests.twins import LectureAgent

GROUP_LOOP, GROUP_VECTOR = "the lecture's loop", "16 landers, learning"


NATIVE = "fastlander:fastlander/LunarLander-v3"


def loop(kind, steps, env_id="LunarLander-v3"):
    """`steps` steps of the lecture's loop with a full buffer: act, step, save, learn."""
    env = gym.make(env_id)
    agent = kind(env)
    agent.eps = 0.5
    agent.current_state, _ = env.reset(seed=0)
    for _ in range(agent.buffer_size):
        agent.action = env.action_space.sample()
        agent.next_state, agent.reward, agent.terminated, cut, _ = env.step(agent.action)
        agent.save_experience()
        agent.current_state = env.reset()[0] if agent.terminated or cut else agent.next_state

    def run():
        for _ in range(steps):
            agent.act()
            agent.next_state, agent.reward, agent.terminated, cut, _ = env.step(agent.action)
            agent.save_experience()
            agent.learn()
            agent.current_state = env.reset()[0] if agent.terminated or cut else agent.next_state

    return run


@pytest.mark.parametrize(
    ("kind", "env_id", "name"),
    [
        (LectureAgent, "LunarLander-v3", "the lecture's agent"),
        (Agent, "LunarLander-v3", "fastlander.Agent"),
        (Agent, NATIVE, "fastlander.Agent, on fastlander's lander"),
    ],
)
def test_the_lecture_s_loop(measure, kind, env_id, name):
    run = loop(kind, 200, env_id)
    measure(run, group=GROUP_LOOP, name=name, items=200, unit="steps", peer=kind is LectureAgent, rounds=5)


def test_the_lecture_again(measure):
    run = loop(LectureAgent, 200)
    measure(run, group=GROUP_VECTOR, name="the lecture's loop", items=200, unit="steps", peer=True, rounds=5)


@pytest.mark.parametrize("backend", ["native", "sync", "async"])
def test_trainer(measure, tmp_path, backend):
    steps, runs = 20_000, iter(range(100))

    def run():
        config = Config(
            num_envs=16,
            backend=backend,
            train_freq=32,
            total_timesteps=steps,
            solved_by="training",  # so that no judging is in the time
            progress=False,
            output_dir=tmp_path / str(next(runs)),
        )
        Trainer(config).run()

    name = f"Trainer, {backend}, an update per 32 steps"
    measure(run, group=GROUP_VECTOR, name=name, items=steps, unit="steps", rounds=5)


def test_stable_baselines3(measure):
    sb3 = pytest.importorskip("stable_baselines3")
    from stable_baselines3.common.env_util import make_vec_env

    steps = 10_000
    model = sb3.DQN(
        "MlpPolicy",
        make_vec_env("LunarLander-v3", n_envs=16),
        policy_kwargs={"net_arch": [128, 64, 32]},
        batch_size=128,
        learning_starts=2_000,
        train_freq=2,  # vector steps: an update per 32 transitions
        device="cpu",
    )
    name = "Stable-Baselines3, sync, an update per 32 steps"
    measure(lambda: model.learn(steps), group=GROUP_VECTOR, name=name, items=steps, unit="steps", rounds=3)
