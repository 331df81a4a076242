"""RLlib's PPO on the native vector environment: `python rllib_ppo.py [TIMESTEPS]`."""

import sys
import time

from ray.rllib.algorithms.ppo import PPOConfig

import fastlander  # noqa: F401 - registers fastlander/LunarLander-v3

timesteps = int(sys.argv[1]) if len(sys.argv) > 1 else 30_000
config = (
    PPOConfig()
    .environment("fastlander/LunarLander-v3")
    .env_runners(
        num_env_runners=0, num_envs_per_env_runner=32, gym_env_vectorize_mode="vector_entry_point",
        rollout_fragment_length=128,
    )
    .training(train_batch_size=4_096, minibatch_size=512, num_epochs=4, gamma=0.999, lr=5e-4)
    .debugging(seed=0)
)  # fmt: skip
algorithm = config.build_algo()
began, steps, result = time.perf_counter(), 0, {}
while steps < timesteps:
    result = algorithm.train()
    steps = int(result["num_env_steps_sampled_lifetime"])
rate = steps / (time.perf_counter() - began)
print(f"mean return of the last 100 episodes {result['env_runners']['episode_return_mean']:.1f}")
print(f"{steps:,} steps, {rate:,.0f} steps/s")
algorithm.stop()
