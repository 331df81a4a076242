"""The ids under which Gymnasium finds the native lander. `import fastlander` registers them."""

import gymnasium as gym

NATIVE_IDS = {"fastlander/LunarLander-v3": {}, "fastlander/LunarLanderContinuous-v3": {"continuous": True}}


def register() -> None:
    """Register the ids: `make_vec` gives the native environment, `make` the single one. Nothing is imported yet."""
    for env_id, env_kwargs in NATIVE_IDS.items():
        if env_id not in gym.registry:
            gym.register(
                env_id,
                entry_point="fastlander.lander.env:LunarLanderEnv",
                vector_entry_point="fastlander.lander.vector_env:LunarLanderVectorEnv",
                max_episode_steps=1000,
                reward_threshold=200,
                kwargs=env_kwargs,
            )
