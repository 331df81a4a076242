"""The ids under which Gymnasium finds the native lander; registered by `import fastlander`."""

import gymnasium as gym

NATIVE_IDS = {"fastlander/LunarLander-v3": {}, "fastlander/LunarLanderContinuous-v3": {"continuous": True}}


def register() -> None:
    """`make_vec` is to give the native environment, `make` Gymnasium's own lander. Neither is imported yet."""
    for env_id, settings in NATIVE_IDS.items():
        if env_id not in gym.registry:
            gym.register(
                env_id,
                entry_point="gymnasium.envs.box2d:LunarLander",
                vector_entry_point="fastlander.lander.vector_env:LunarLanderVectorEnv",
                max_episode_steps=1000,
                reward_threshold=200,
                kwargs=settings,
            )
