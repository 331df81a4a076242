"""Environment steps per second through `step()`: random policy and one thread unless said otherwise."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.box2d.lunar_lander import heuristic

from fastlander import LunarLanderVectorEnv, make_vec_env

WARM_UP = 300  # vector steps, after which episodes are at every age


def make_envpool(num_envs):
    envpool = pytest.importorskip("envpool")
    return envpool.make("LunarLander-v3", env_type="gymnasium", num_envs=num_envs, num_threads=1)


def stepper(env, num_envs, steps, dtype=np.int64):
    """A function that makes `steps` vector steps of random actions, different ones in each round."""
    actions = np.random.default_rng(0).integers(4, size=(997, num_envs)).astype(dtype)
    env.reset()
    for action in actions[:WARM_UP]:
        env.step(action)
    at = 0

    def run():
        nonlocal at
        for _ in range(steps):
            env.step(actions[at % 997])
            at += 1

    return run


def land(obs):
    """Gymnasium's heuristic for N landers: float32[N, 8] -> int64[N]."""
    x, y, vx, vy, angle, spin = obs[:, :6].T
    legs = (obs[:, 6] + obs[:, 7]) > 0
    target = np.clip(x * 0.5 + vx * 1.0, -0.4, 0.4)
    turn = np.where(legs, 0.0, (target - angle) * 0.5 - spin * 1.0)
    hover = np.where(legs, -vy * 0.5, (0.55 * np.abs(x) - y) * 0.5 - vy * 0.5)
    side = np.where(turn < -0.05, 3, np.where(turn > 0.05, 1, 0))
    return np.where((hover > np.abs(turn)) & (hover > 0.05), 2, side)


def lander(env, steps, dtype=np.int64):
    """A function that makes `steps` vector steps of the heuristic policy; the policy's time counts too."""
    obs = env.reset()[0]
    for _ in range(2 * WARM_UP):
        obs = env.step(land(obs).astype(dtype))[0]
    last = obs

    def run():
        nonlocal last
        for _ in range(steps):
            last = env.step(land(last).astype(dtype))[0]

    return run


def single(env_id, continuous, lands):
    """A function that makes 4,000 steps of `gym.make`'s environment and what it costs to begin its episodes anew.

    The policy is random, or Gymnasium's heuristic, whose time then counts too.
    """
    env, rng = gym.make(env_id, continuous=continuous), np.random.default_rng(0)
    random = (
        list(rng.uniform(-1, 1, (4000, 2)).astype(np.float32)) if continuous else rng.integers(4, size=4000).tolist()
    )
    obs = env.reset(seed=0)[0]

    def run():
        nonlocal obs
        for action in random:
            if lands:
                action = heuristic(env.unwrapped, obs)
            obs, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                obs = env.reset()[0]

    return run


@pytest.mark.parametrize("group", ["one lander", "one lander, continuous", "one lander that lands"])
@pytest.mark.parametrize("env_id", ["LunarLander-v3", "fastlander/LunarLander-v3"])
def test_one_lander(measure, env_id, group):
    run = single(env_id, "continuous" in group, "lands" in group)
    name, peer = f"gym.make({env_id!r})", "/" not in env_id
    measure(run, group=group, name=name, items=4000, unit="steps", peer=peer, rounds=9)


def test_vector_environment_of_one(measure):
    run = stepper(LunarLanderVectorEnv(1), 1, 4000)
    measure(run, group="one lander", name="native, N = 1", items=4000, unit="steps", rounds=9)


@pytest.mark.parametrize("num_envs", [16, 256, 1024])
def test_envpool(measure, num_envs):
    steps = 12_000 // num_envs
    run = stepper(make_envpool(num_envs), num_envs, steps, np.int32)
    name, items = f"EnvPool (C++), N = {num_envs}", steps * num_envs
    measure(run, group=f"{num_envs} landers", name=name, items=items, unit="steps", peer=True, rounds=9)


@pytest.mark.parametrize(("num_envs", "num_threads"), [(16, 1), (256, 1), (1024, 1), (1024, 2)])
def test_native(measure, num_envs, num_threads):
    steps = 120_000 // num_envs
    env = LunarLanderVectorEnv(num_envs, num_threads=num_threads)
    run = stepper(env, num_envs, steps)
    name = f"native, N = {num_envs}" + f", {num_threads} threads" * (num_threads > 1)
    measure(run, group=f"{num_envs} landers", name=name, items=steps * num_envs, unit="steps", rounds=9)
    env.close()


@pytest.mark.parametrize("backend", ["sync", "async"])
def test_gymnasium_s_backends(measure, backend):
    env = make_vec_env(num_envs=16, backend=backend)
    run = stepper(env, 16, 200)
    measure(run, group="16 landers", name=f"Gymnasium {backend}, N = 16", items=3200, unit="steps", rounds=5)
    env.close()


def test_heuristic_policy_envpool(measure):
    run = lander(make_envpool(256), 50, np.int32)
    group = "256 landers that land"
    measure(run, group=group, name="EnvPool (C++), N = 256", items=12_800, unit="steps", peer=True, rounds=9)


def test_heuristic_policy_native(measure):
    run = lander(LunarLanderVectorEnv(256), 400)
    measure(run, group="256 landers that land", name="native, N = 256", items=102_400, unit="steps", rounds=9)
