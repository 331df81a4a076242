"""What goes into `LunarLanderVectorEnv` and comes out of it, as Gymnasium words it: spaces, modes, seeds, infos."""

import operator
from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode

from fastlander.validation import InputError


def checked_autoreset_mode(mode: AutoresetMode | str) -> AutoresetMode:
    """The mode, by its name too. ValueError if there is none such."""
    try:
        return AutoresetMode(mode)
    except ValueError:
        allowed = ", ".join(m.value for m in AutoresetMode)
        raise InputError(f"autoreset_mode must be one of {allowed}, got {mode!r}") from None


def observation_space() -> gym.spaces.Box:
    """LunarLander's: position, velocity, angle, angular velocity, leg contacts."""
    high = np.array([2.5, 2.5, 10.0, 10.0, 2 * np.pi, 10.0, 1.0, 1.0], np.float32)
    low = -high
    low[6:] = -0.0
    return gym.spaces.Box(low, high)


def action_space(continuous: bool) -> gym.spaces.Space:
    """LunarLander's: main and side engine, or one of four choices."""
    return gym.spaces.Box(-1, +1, (2,), dtype=np.float32) if continuous else gym.spaces.Discrete(4)


def seed_list(seed: int | Sequence[int | None] | None, num_envs: int) -> list[int | None]:
    """One seed per lander from what `reset` takes: seed + i for a number. ValueError if it is no such thing."""
    if seed is None:
        return [None] * num_envs
    if isinstance(seed, Sequence | np.ndarray):
        if len(seed) != num_envs:
            raise InputError(f"seed must be one number or {num_envs} of them, got {len(seed)}")
        return [None if s is None else natural(s) for s in seed]
    first = natural(seed)
    return [first + i for i in range(num_envs)]


def final_infos(obs: np.ndarray, ended: np.ndarray) -> dict[str, Any]:
    """What SAME_STEP says of the episodes that ended in this step, as SyncVectorEnv words it."""
    final = np.full(len(ended), None, dtype=object)
    for i in np.flatnonzero(ended):
        final[i] = obs[i].copy()
    return {"final_obs": final, "_final_obs": ended.copy(), "final_info": {}, "_final_info": ended.copy()}


def natural(seed: Any) -> int:
    """A seed as a Python int. ValueError if it is no natural number."""
    try:
        number = operator.index(seed)
    except TypeError:
        raise InputError(f"seed must be a natural number, got {seed!r}") from None
    if number < 0:
        raise InputError(f"seed must be a natural number, got {number}")
    return number
