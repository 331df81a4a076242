"""`SB3VecEnv`: the native lander as Stable-Baselines3 takes environments (needs the extra fastlander[sb3])."""

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode

from fastlander.lander.vector_env import LunarLanderVectorEnv
from fastlander.validation import InputError

try:
    from stable_baselines3.common.vec_env import VecEnv
except ImportError as error:
    raise ImportError("fastlander.sb3 needs Stable-Baselines3: pip install 'fastlander[sb3]'") from error


class SB3VecEnv(VecEnv):
    """N LunarLander-v3 environments for Stable-Baselines3's algorithms, `evaluate_policy` and `VecMonitor`.

    What a `DummyVecEnv` of N `gym.make("LunarLander-v3")` gives, this gives: observations, rewards, dones and infos
    with `terminal_observation` and `TimeLimit.truncated`, seed for seed.

    Args:
        num_envs: N, at least 1.
        **settings: of `LunarLanderVectorEnv`, such as `num_threads`, `continuous` or `enable_wind`.

    Raises:
        ValueError: a setting out of range, or an `autoreset_mode`, which Stable-Baselines3 prescribes.
    """

    def __init__(self, num_envs: int = 1, **settings: Any) -> None:
        if "autoreset_mode" in settings:
            raise InputError(
                "autoreset_mode must be left out: Stable-Baselines3 resets in the step that ends an episode"
            )
        self.env = LunarLanderVectorEnv(num_envs, autoreset_mode=AutoresetMode.SAME_STEP, **settings)
        self._actions: np.ndarray | None = None
        super().__init__(num_envs, self.env.single_observation_space, self.env.single_action_space)

    def reset(self) -> np.ndarray:
        """New episodes with the seeds given by `seed`, if any: float32[N, 8]."""
        obs, _ = self.env.reset(seed=self._seeds)
        self._reset_seeds()
        self._reset_options()
        return obs

    def step_async(self, actions: np.ndarray) -> None:
        """Take note of the actions, int[N] or float[N, 2]."""
        self._actions = actions

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        """Step: (obs float32[N, 8], reward float32[N], done bool[N], a dict per environment)."""
        obs, reward, terminated, truncated, info = self.env.step(self._actions)
        done = terminated | truncated
        infos: list[dict[str, Any]] = [{"TimeLimit.truncated": False} for _ in range(self.num_envs)]
        for i in np.flatnonzero(done):
            infos[i] = {
                "TimeLimit.truncated": bool(truncated[i] and not terminated[i]),
                "terminal_observation": info["final_obs"][i],
            }
        return obs, reward.astype(np.float32), done, infos

    def close(self) -> None:
        """Stop the environment's threads."""
        self.env.close()

    def get_images(self) -> Sequence[np.ndarray | None]:
        """uint8[400, 600, 3] of each lander, where render_mode is "rgb_array"."""
        return self.env.render() or [None] * self.num_envs

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """An attribute of the vector environment, once per lander asked for."""
        return [getattr(self.env, attr_name)] * self._count(indices)

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Refused: the landers are no objects of their own."""
        raise AttributeError(f"landers are settled when they are made, so {attr_name} cannot be set")

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        """Refused: the landers are no objects of their own."""
        raise AttributeError(f"landers have no methods of their own, so {method_name} cannot be called")

    def env_is_wrapped(self, wrapper_class: type[gym.Wrapper], indices: Any = None) -> list[bool]:
        """No lander is wrapped."""
        return [False] * self._count(indices)

    def _count(self, indices: Any) -> int:
        return len(list(self._get_indices(indices)))
