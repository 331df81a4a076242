"""`SB3VecEnv`: the native lander for Stable-Baselines3 (needs the extra fastlander[sb3])."""

import copy
import warnings
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers import OrderEnforcing, PassiveEnvChecker, TimeLimit

from fastlander.lander.attributes import READABLE, not_settable
from fastlander.lander.interface import NO_LIMIT
from fastlander.lander.settings import NAMES
from fastlander.lander.vector_env import LunarLanderVectorEnv
from fastlander.validation import InputError

try:
    from stable_baselines3.common.vec_env import VecEnv
except ImportError as error:
    raise ImportError("fastlander.sb3 needs Stable-Baselines3: pip install 'fastlander[sb3]'") from error


class OneLander:
    """One of the landers of an `SB3VecEnv`, in the place of an environment of `DummyVecEnv.envs`.

    It reads as Gymnasium's lander does (`fastlander.lander.attributes.READABLE`). It takes the settings that
    `LunarLanderVectorEnv.set_attr` takes, and any attribute that a lander does not have. It cannot be stepped alone.
    """

    def __init__(self, env: LunarLanderVectorEnv, index: int) -> None:
        vars(self).update(_env=env, _index=index)

    def __getattr__(self, name: str) -> Any:
        # Special methods are looked up here by copy and pickle, before there is an environment.
        if name.startswith("__"):
            raise AttributeError(name)
        return self._env.get_attr(name)[self._index]

    def __setattr__(self, name: str, value: Any) -> None:
        if name in NAMES:
            values = list(self._env.get_attr(name))
            values[self._index] = value
            self._env.set_attr(name, values)
        elif name in READABLE or hasattr(type(self), name):
            raise not_settable(name)
        else:
            vars(self)[name] = value

    @property
    def unwrapped(self) -> "OneLander":
        """Itself."""
        return self

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin a new episode of this lander alone: (obs float32[8], {}). ValueError before the first reset of all."""
        seeds: list[int | None] = [None] * self._env.num_envs
        seeds[self._index] = seed
        mask = np.arange(self._env.num_envs) == self._index
        obs, _ = self._env.reset(seed=seeds, options={"reset_mask": mask})
        return obs[self._index], {}

    def render(self) -> Any:
        """What Gymnasium's `render` gives. With "rgb_array_list", pictures of the other landers are then gone too."""
        return self._env.call("render")[self._index]

    def has_wrapper_attr(self, name: str) -> bool:
        """If the lander has this attribute or method."""
        return hasattr(self, name)

    def get_wrapper_attr(self, name: str) -> Any:
        """An attribute or method. AttributeError if there is no such one."""
        return getattr(self, name)

    def set_wrapper_attr(self, name: str, value: Any, *, force: bool = True) -> bool:
        """Set an attribute: True. False if the lander does not have it and `force` is False."""
        if not force and not hasattr(self, name):
            return False
        setattr(self, name, value)
        return True


class SB3VecEnv(VecEnv):
    """N LunarLander-v3 environments for Stable-Baselines3's algorithms, `evaluate_policy` and `VecMonitor`.

    It gives the same as a `DummyVecEnv` of N `gym.make("LunarLander-v3")` with the same seeds: observations, rewards,
    dones, and infos with `terminal_observation` and `TimeLimit.truncated`. It has the same attributes and methods. Two
    things differ. `set_attr` of a setting, such as gravity, acts on the lander itself, where `DummyVecEnv` sets an
    attribute of its outermost wrapper. A single lander cannot be stepped alone.

    Args:
        num_envs: N, at least 1.
        **settings: for `LunarLanderVectorEnv`, such as `num_threads`, `continuous` or `enable_wind`.

    Raises:
        ValueError: a setting is out of range, or `autoreset_mode` is given, which Stable-Baselines3 prescribes.
    """

    actions: np.ndarray

    def __init__(self, num_envs: int = 1, **settings: Any) -> None:
        if "autoreset_mode" in settings:
            raise InputError(
                "autoreset_mode must be left out: Stable-Baselines3 resets in the step that ends an episode"
            )
        self.env = LunarLanderVectorEnv(num_envs, autoreset_mode=AutoresetMode.SAME_STEP, **settings)
        self.envs = [OneLander(self.env, i) for i in range(self.env.num_envs)]
        super().__init__(self.env.num_envs, self.env.single_observation_space, self.env.single_action_space)
        self.metadata = self.env.get_attr("metadata")[0]
        self.keys = [None]
        obs = np.zeros(self.env.observation_space.shape, np.float32)
        self._keep(obs, np.zeros(num_envs, np.float32), np.zeros(num_envs, bool), [{} for _ in range(num_envs)])

    def reset(self) -> np.ndarray:
        """Begin new episodes, with the seeds that `seed` was given, if any: obs float32[N, 8]."""
        obs, _ = self.env.reset(seed=self._seeds)
        self._reset_seeds()
        self._reset_options()
        self.buf_obs[None] = obs
        return obs

    def step_async(self, actions: np.ndarray) -> None:
        """Keep the actions for `step_wait`: int[N], or float[N, 2] if continuous."""
        self.actions = actions

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        """Step every lander: (obs float32[N, 8], reward float32[N], done bool[N], N infos)."""
        obs, reward, terminated, truncated, info = self.env.step(self.actions)
        done = terminated | truncated
        infos: list[dict[str, Any]] = [{"TimeLimit.truncated": False} for _ in range(self.num_envs)]
        for i in np.flatnonzero(done):
            infos[i] = {
                "TimeLimit.truncated": bool(truncated[i] and not terminated[i]),
                "terminal_observation": info["final_obs"][i],
            }
        self._keep(obs, reward.astype(np.float32), done, infos)
        return obs, self.buf_rews, done, infos

    def _keep(self, obs: np.ndarray, reward: np.ndarray, done: np.ndarray, infos: list[dict[str, Any]]) -> None:
        """Keep the last results under the names that `DummyVecEnv` has for them."""
        self.buf_obs = OrderedDict([(None, obs)])
        self.buf_rews, self.buf_dones, self.buf_infos = reward, done, infos

    def __copy__(self) -> "SB3VecEnv":
        # Landers of its own, as `copy.copy` of the environment inside gives them.
        return copy.deepcopy(self)

    def close(self) -> None:
        """Stop the environment's threads."""
        self.env.close()

    def get_images(self) -> Sequence[np.ndarray | None]:
        """A picture of each lander, uint8[400, 600, 3], or None for each if render_mode is not "rgb_array"."""
        if self.render_mode != "rgb_array":
            warnings.warn(f"get_images needs render_mode 'rgb_array', got {self.render_mode!r}", stacklevel=2)
            return [None] * self.num_envs
        return list(self.env.call("render"))

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """An attribute or method of each lander in `indices` (None: of all). AttributeError if there is no such one."""
        if attr_name in READABLE:
            values = self.env.get_attr(attr_name)
            return [values[i] for i in self._get_indices(indices)]
        return [getattr(lander, attr_name) for lander in self._landers(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Give each lander in `indices` (None: all) this value of a setting, or an attribute that landers do not have.

        Raises:
            AttributeError: landers have this attribute, and it cannot be set.
            ValueError: the value is out of range. Nothing changes then.
        """
        if attr_name in NAMES:
            values = list(self.env.get_attr(attr_name))
            for i in self._get_indices(indices):
                values[i] = value
            self.env.set_attr(attr_name, values)
            return
        for lander in self._landers(indices):
            setattr(lander, attr_name, value)

    def env_method(self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any) -> list[Any]:
        """What a method gives for each lander in `indices` (None: for all), such as `render` or `reset`.

        Raises:
            AttributeError: landers have no such method.
        """
        if method_name == "render":
            frames = self.env.call("render", *method_args, **method_kwargs)
            return [frames[i] for i in self._get_indices(indices)]
        return [getattr(lander, method_name)(*method_args, **method_kwargs) for lander in self._landers(indices)]

    def env_is_wrapped(self, wrapper_class: type[gym.Wrapper], indices: Any = None) -> list[bool]:
        """For each lander in `indices` (None: for all): does it do the work of this wrapper, as one of `gym.make` does.

        It counts its steps as `TimeLimit`, if episodes have a limit, and checks calls as `OrderEnforcing` and
        `PassiveEnvChecker`.
        """
        limits = self.get_attr("_max_episode_steps", indices)
        wrapped = issubclass(OrderEnforcing, wrapper_class) or issubclass(PassiveEnvChecker, wrapper_class)
        return [wrapped or (limit < NO_LIMIT and issubclass(TimeLimit, wrapper_class)) for limit in limits]

    def _landers(self, indices: Any) -> list[OneLander]:
        return [self.envs[i] for i in self._get_indices(indices)]
