"""RL Baselines3 Zoo on the native lander: `python rl_zoo.py [OPTIONS of rl_zoo3.train]`.

This file is also the zoo's file of settings. With single landers, the zoo needs no program:
`python -m rl_zoo3.train --algo ppo --env fastlander/LunarLander-v3 --gym-packages fastlander --conf-file rl_zoo.py`.
"""

import sys

hyperparams = {
    "fastlander/LunarLander-v3": {
        "n_envs": 16, "n_timesteps": 1e6, "policy": "MlpPolicy", "n_steps": 1024, "batch_size": 64, "n_epochs": 4,
        "gamma": 0.999, "gae_lambda": 0.98, "ent_coef": 0.01,
    },
}  # fmt: skip


def native(make_env, n_envs, seed, env_kwargs, monitor_dir, **_):
    """What the zoo makes of its environments, in the place of Stable-Baselines3's `make_vec_env`."""
    env = SB3VecEnv(n_envs, **(env_kwargs or {}))
    env.seed(seed)
    return VecMonitor(env, monitor_dir and f"{monitor_dir}/0")


if __name__ == "__main__":
    import rl_zoo3.exp_manager
    from rl_zoo3.train import train
    from stable_baselines3.common.vec_env import VecMonitor

    from fastlander.sb3 import SB3VecEnv

    rl_zoo3.exp_manager.make_vec_env = native
    lander = ["--env", "fastlander/LunarLander-v3", "--gym-packages", "fastlander", "--conf-file", __file__]
    sys.argv = [sys.argv[0], "--algo", "ppo", *lander, "--n-timesteps", "50000", *sys.argv[1:]]
    train()
