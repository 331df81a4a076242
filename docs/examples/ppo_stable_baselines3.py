"""Stable-Baselines3's PPO on the native lander: `python ppo_stable_baselines3.py [TIMESTEPS]`.

RL Zoo trains 1,000,000 steps with these settings. The default of 100,000 is over in less than a minute.
"""

import sys

from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecMonitor

from fastlander.sb3 import SB3VecEnv

timesteps = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
env = VecMonitor(SB3VecEnv(num_envs=16))
model = PPO(
    "MlpPolicy", env, n_steps=1024, batch_size=64, n_epochs=4, gamma=0.999, gae_lambda=0.98, ent_coef=0.01,
    device="cpu", seed=0, verbose=1,
)  # fmt: skip
model.learn(timesteps)
mean, deviation = evaluate_policy(model, VecMonitor(SB3VecEnv(num_envs=16)), n_eval_episodes=100)
print(f"mean return {mean:.1f} +- {deviation:.1f} over 100 episodes")
