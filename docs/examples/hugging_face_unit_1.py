"""Unit 1 of Hugging Face's course: train, evaluate and package a lander: `python hugging_face_unit_1.py [TIMESTEPS]`.

It needs no account: what would be uploaded is kept in the folder `hub` instead. To upload it, log in with
`hf auth login`, give `package_to_hub` your own `repo_id`, and leave out `HfApi` and `upload_folder`.
`film` is there because huggingface_sb3 3.0 makes no video with Stable-Baselines3 2.9.
"""

import shutil
import sys
import time
from unittest.mock import Mock, patch

import gymnasium as gym
from huggingface_sb3 import package_to_hub
from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor, VecVideoRecorder

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


def keep(repo_id, folder_path, **_):
    shutil.copytree(folder_path, f"hub/{repo_id}", dirs_exist_ok=True)


def film(model, eval_env, video_length, is_deterministic, local_path):
    video = VecVideoRecorder(eval_env, str(local_path), lambda step: step == 0, video_length, name_prefix="film")
    obs = video.reset()
    for _ in range(video_length):
        obs, *_ = video.step(model.predict(obs, deterministic=is_deterministic)[0])
    video.close()
    next(local_path.glob("film*.mp4")).rename(local_path / "replay.mp4")


with patch.multiple("huggingface_sb3.push_to_hub", HfApi=Mock(), upload_folder=keep, _generate_replay=film):
    package_to_hub(
        model,
        model_name="ppo-LunarLander-v3",
        model_architecture="PPO",
        env_id="LunarLander-v3",
        eval_env=DummyVecEnv([lambda: Monitor(gym.make("LunarLander-v3", render_mode="rgb_array"))]),
        repo_id="you/ppo-LunarLander-v3",
        commit_message="A PPO of Stable-Baselines3, trained on the native lander",
        video_length=300,
    )
