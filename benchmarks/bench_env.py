"""Environment steps per second, random policy."""

import gymnasium as gym
import numpy as np
import pytest

from fastlander import make_vec_env

STEPS = 200  # vector steps in a round


def stepper(env, num_envs):
    actions = np.random.default_rng(0).integers(4, size=(STEPS, num_envs))
    env.reset(seed=0)

    def run():
        for action in actions:
            env.step(action)

    return run


def test_single(measure):
    env = gym.make("LunarLander-v3")
    actions = np.random.default_rng(0).integers(4, size=STEPS).tolist()
    env.reset(seed=0)

    def run():
        for action in actions:
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset()

    measure(run, group="env", name="Gymnasium, one lander", items=STEPS, unit="steps", peer=True, rounds=9)
    env.close()


@pytest.mark.parametrize("backend", ["sync", "async"])
def test_backends(measure, backend):
    env = make_vec_env(num_envs=16, backend=backend)
    run = stepper(env, 16)
    measure(run, group="env", name=f"make_vec_env, {backend}, 16 landers", items=16 * STEPS, unit="steps", rounds=5)
    env.close()


def test_envpool(measure):
    envpool = pytest.importorskip("envpool")
    env = envpool.make("LunarLander-v2", env_type="gymnasium", num_envs=16, num_threads=1)
    actions = np.random.default_rng(0).integers(4, size=(STEPS, 16)).astype(np.int32)
    env.reset()

    def run():
        for action in actions:
            env.step(action)

    measure(run, group="env", name="EnvPool (C++), 16 landers, 1 thread", items=16 * STEPS, unit="steps", rounds=5)
