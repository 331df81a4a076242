"""Steps per second of processor time when other libraries step 32 landers: native ones, and Gymnasium's one by one.

`python -m benchmarks.clients` measures those libraries that are installed. What it measures is what each library needs
for a step of a rollout with random actions, its own work included, and no learning.
"""

import importlib.util
import os
import runpy
import statistics
import time
from pathlib import Path

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers import RecordEpisodeStatistics
from gymnasium.wrappers.vector import RecordEpisodeStatistics as RecordAll

import fastlander  # noqa: F401 - registers the native lander

N, STEPS, ROUNDS = 32, 200, 7
SINGLES = [lambda: gym.make("LunarLander-v3")] * N
EXAMPLES = Path(__file__).parent.parent / "docs" / "examples"
ACTIONS = np.random.default_rng(0).integers(4, size=(STEPS, N))


def vector_env(native, singles=SINGLES):
    if native:
        return gym.make_vec("fastlander/LunarLander-v3", num_envs=N, autoreset_mode=AutoresetMode.SAME_STEP)
    return gym.vector.SyncVectorEnv(singles, autoreset_mode=AutoresetMode.SAME_STEP)


def stepper(env, convert=lambda action: action):
    """A function that steps an environment STEPS times with the same actions."""
    env.reset()
    converted = [convert(action) for action in ACTIONS]

    def run():
        for action in converted:
            env.step(action)

    return run


def cleanrl(native):
    """What a script of CleanRL steps: environments that record returns."""
    return stepper(
        RecordAll(vector_env(True))
        if native
        else vector_env(False, [lambda: RecordEpisodeStatistics(gym.make("LunarLander-v3"))] * N)
    )


def stable_baselines3(native):
    from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor

    from fastlander.sb3 import SB3VecEnv

    return stepper(VecMonitor(SB3VecEnv(N) if native else DummyVecEnv(SINGLES)))


def torchrl(native):
    from torchrl.envs import GymWrapper

    env = GymWrapper(vector_env(native))
    return lambda: env.rollout(STEPS, break_when_any_done=False)


def skrl(native):
    import torch
    from skrl.envs.wrappers.torch import wrap_env

    return stepper(wrap_env(vector_env(native)), lambda action: torch.from_numpy(action[:, None]))


def tianshou(native):
    from tianshou.algorithm.random import MARLRandomDiscreteMaskedOffPolicyAlgorithm as Random
    from tianshou.data import Collector
    from tianshou.env import DummyVectorEnv

    adapter = runpy.run_path(str(EXAMPLES / "tianshou_dqn.py"))["NativeVectorEnv"]
    env = adapter(N) if native else DummyVectorEnv(SINGLES)
    collector = Collector(Random(action_space=env.action_space[0]).policy, env)
    collector.reset()
    return lambda: collector.collect(n_step=N * STEPS, random=True)


def ray(native):
    from ray.rllib.algorithms.ppo import PPOConfig
    from ray.rllib.env.single_agent_env_runner import SingleAgentEnvRunner

    mode, env_id = ("vector_entry_point", "fastlander/LunarLander-v3") if native else ("sync", "LunarLander-v3")
    config = PPOConfig().environment(env_id)
    config.env_runners(num_env_runners=0, num_envs_per_env_runner=N, gym_env_vectorize_mode=mode)
    runner = SingleAgentEnvRunner(config=config)
    return lambda: runner.sample(num_timesteps=N * STEPS, random_actions=True)


def main() -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    print("| rollout | native, steps/s | one by one, steps/s | ratio |\n|---|---|---|---|")
    for measure in (cleanrl, stable_baselines3, torchrl, skrl, ray, tianshou):
        if measure is not cleanrl and not importlib.util.find_spec(measure.__name__):
            continue
        both = measure(True), measure(False)
        rates: list[list[float]] = [[], []]
        for _ in range(ROUNDS):
            for run, column in zip(both, rates, strict=True):
                began = time.process_time()
                run()
                column.append(N * STEPS / (time.process_time() - began))
        ratio = statistics.median(a / b for a, b in zip(*rates, strict=True))
        ours, theirs = map(statistics.median, rates)
        print(f"| {measure.__name__} | {ours:,.0f} | {theirs:,.0f} | {ratio:.1f} |", flush=True)


if __name__ == "__main__":
    main()
