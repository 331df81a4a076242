"""`SB3VecEnv`: the native lander for Stable-Baselines3 (needs the extra fastlander[sb3])."""

import copy
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

    It gives the same as a `DummyVecEnv` of N `gym.make("LunarLander-v3")` with the same seeds: observations, rewards,
    dones, and infos with `terminal_observation` and `TimeLimit.truncated`.

    Args:
        num_envs: N, at least 1.
        **settings: for `LunarLanderVectorEnv`, such as `num_threads`, `continuous` or `enable_wind`.

    Raises:
        ValueError: a setting is out of range, or `autoreset_mode` is given, which Stable-Baselines3 prescribes.
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
        """Begin new episodes, with the seeds that `seed` was given, if any: obs float32[N, 8]."""
        obs, _ = self.env.reset(seed=self._seeds)
        self._reset_seeds()
        self._reset_options()
        return obs

    def step_async(self, actions: np.ndarray) -> None:
        """Keep the actions for `step_wait`: int[N], or float[N, 2] if continuous."""
        self._actions = actions

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        """Step every lander: (obs float32[N, 8], reward float32[N], done bool[N], N infos)."""
        obs, reward, terminated, truncated, info = self.env.step(self._actions)
        done = terminated | truncated
        infos: list[dict[str, Any]] = [{"TimeLimit.truncated": False} for _ in range(self.num_envs)]
        for i in np.flatnonzero(done):
            infos[i] = {
                "TimeLimit.truncated": bool(truncated[i] and not terminated[i]),
                "terminal_observation": info["final_obs"][i],
            }
        return obs, reward.astype(np.float32), done, infos

    def __copy__(self) -> "SB3VecEnv":
        # Landers of its own, as `copy.copy` of the environment inside gives them.
        return copy.deepcopy(self)

    def close(self) -> None:
        """Stop the environment's threads."""
        self.env.close()

    def get_images(self) -> Sequence[np.ndarray | None]:
        """A picture of each lander, uint8[400, 600, 3], or None for each if render_mode is not "rgb_array"."""
        return self.env.render() or [None] * self.num_envs

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """An attribute of the vector environment, once for each lander in `indices` (None: for all)."""
        return [getattr(self.env, attr_name)] * self._count(indices)

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """AttributeError: the landers are no objects that could have attributes."""
        raise AttributeError(f"landers take their settings when they are made, so {attr_name} cannot be set")

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        """AttributeError: the landers are no objects that could have methods."""
        raise AttributeError(f"landers have no methods of their own, so {method_name} cannot be called")

    def env_is_wrapped(self, wrapper_class: type[gym.Wrapper], indices: Any = None) -> list[bool]:
        """False for each lander in `indices` (None: for all), as none is wrapped."""
        return [False] * self._count(indices)

    def _count(self, indices: Any) -> int:
        return len(list(self._get_indices(indices)))
