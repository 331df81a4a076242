"""Unit 1 of Hugging Face's course: train, evaluate and package a lander: `python hugging_face_unit_1.py [TIMESTEPS]`.

Without an account, `OfflineHub` keeps what would be uploaded in the folder `hub`. With one: `huggingface-cli login`, and
give `package_to_hub` your own `repo_id` without the line that patches it.
"""

import shutil
import sys
import time
from unittest.mock import patch

import gymnasium as gym
from huggingface_hub import RepoUrl
from huggingface_sb3 import package_to_hub
from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor

from fastlander.sb3 import SB3VecEnv

timesteps = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000

# The course trains on make_vec_env("LunarLander-v2", n_envs=16).
env = VecMonitor(SB3VecEnv(num_envs=16))
model = PPO(
    "MlpPolicy", env, n_steps=1024, batch_size=64, n_epochs=4, gamma=0.999, gae_lambda=0.98, ent_coef=0.01,
    device="cpu", seed=0,
)  # fmt: skip
began = time.perf_counter()
model.learn(timesteps)
print(f"{model.num_timesteps:,} steps, {model.num_timesteps / (time.perf_counter() - began):,.0f} steps/s")

mean, deviation = evaluate_policy(model, Monitor(gym.make("LunarLander-v3")), n_eval_episodes=10)
print(f"mean return {mean:.2f} +- {deviation:.2f} over 10 episodes of Gymnasium's lander")


class OfflineHub:
    def __init__(self, token=None):
        pass

    def create_repo(self, repo_id, exist_ok):
        return RepoUrl(f"https://huggingface.co/{repo_id}")

    def upload_folder(self, repo_id, folder_path, commit_message):
        shutil.copytree(folder_path, f"hub/{repo_id}", dirs_exist_ok=True)


with patch("huggingface_sb3.push_to_hub.HfApi", OfflineHub):
    package_to_hub(
        model,
        model_name="ppo-LunarLander-v3",
        model_architecture="PPO",
        env_id="LunarLander-v3",
        eval_env=DummyVecEnv([lambda: Monitor(gym.make("LunarLander-v3", render_mode="rgb_array"))]),
        repo_id="you/ppo-LunarLander-v3",
        commit_message="A PPO of Stable-Baselines3, trained on the native lander",
    )
