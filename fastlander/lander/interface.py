"""The arguments and results of `LunarLanderVectorEnv` in Gymnasium's forms: spaces, modes, seeds, masks, infos."""

import operator
from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode

from fastlander.lander.variant import Variant
from fastlander.validation import InputError, StepLimit, check

MAX_EPISODE_STEPS = 1000
BUSY = (
    "an environment is used by one thread at a time: another one is in step, reset or the like, or was when this "
    "process was forked"
)
"""What a thread is told that calls a method while another thread is in one."""
_NO_LIMIT = 2**31 - 2  # as many steps as the int32 row ELAPSED can count
SEED_DIGITS = 1000  # of a seed: saved states hold seeds as text, and long text takes long to read


def checked_autoreset_mode(mode: AutoresetMode | str) -> AutoresetMode:
    """The mode from itself or from its value. ValueError if there is no such mode."""
    try:
        return AutoresetMode(mode)
    except ValueError:
        allowed = ", ".join(m.value for m in AutoresetMode)
        raise InputError(f"autoreset_mode must be one of {allowed}, got {mode!r}") from None


def checked_variant(
    continuous: bool,
    gravity: float,
    enable_wind: bool,
    wind_power: float,
    turbulence_power: float,
    max_episode_steps: int | None,
) -> Variant:
    """A Variant of these arguments, with Gymnasium's warnings. ValueError if one is out of range."""
    if not -12.0 < gravity < 0.0:
        raise InputError(f"gravity must be between -12 and 0, got {gravity}")
    for name, power, high in (("wind_power", wind_power, 20.0), ("turbulence_power", turbulence_power, 2.0)):
        if not np.isfinite(power):
            raise InputError(f"{name} must be a finite number, got {power}")
        if not 0.0 <= power <= high:
            gym.logger.warn(f"{name} value is recommended to be between 0.0 and {high}, (current value: {power})")
    limit = MAX_EPISODE_STEPS if max_episode_steps is None else max_episode_steps
    limit = _NO_LIMIT if limit == -1 else check("max_episode_steps", StepLimit, limit)
    return Variant(bool(continuous), np.float32(gravity), bool(enable_wind), wind_power, turbulence_power, limit)


def checked_mask(name: str, mask: Any, num_envs: int) -> np.ndarray:
    """The mask, if it is bool[num_envs] and has a True. ValueError otherwise."""
    if not isinstance(mask, np.ndarray) or mask.shape != (num_envs,) or mask.dtype != np.bool_:
        got = f"{mask.dtype}{list(mask.shape)}" if isinstance(mask, np.ndarray) else type(mask).__name__
        raise InputError(f"{name} must be a bool[{num_envs}] array, got {got}")
    if not mask.any():
        raise InputError(f"{name} must have a True, got none")
    return mask


def observation_space() -> gym.spaces.Box:
    """LunarLander's observations: position, velocity, angle, angular velocity, leg contacts."""
    high = np.array([2.5, 2.5, 10.0, 10.0, 2 * np.pi, 10.0, 1.0, 1.0], np.float32)
    low = -high
    low[6:] = -0.0
    return gym.spaces.Box(low, high)


def action_space(continuous: bool) -> gym.spaces.Space:
    """LunarLander's actions: float32[2], main and side engine, if continuous; otherwise one of four choices."""
    return gym.spaces.Box(-1, +1, (2,), dtype=np.float32) if continuous else gym.spaces.Discrete(4)


def seed_list(seed: int | Sequence[int | None] | None, num_envs: int) -> list[int | None]:
    """One seed per lander from the argument of `reset`: seed + i for a number, seed[i] for a sequence.

    ValueError if it is neither, or a sequence of another length.
    """
    if seed is None:
        return [None] * num_envs
    if isinstance(seed, Sequence | np.ndarray):
        if len(seed) != num_envs:
            raise InputError(f"seed must be one number or {num_envs} of them, got {len(seed)}")
        return [None if s is None else natural(s) for s in seed]
    first = natural(seed)
    return [first + i for i in range(num_envs)]


def final_infos(obs: np.ndarray, ended: np.ndarray) -> dict[str, Any]:
    """The infos of a step in mode SAME_STEP in which episodes ended, as SyncVectorEnv gives them."""
    final = np.full(len(ended), None, dtype=object)
    for i in np.flatnonzero(ended):
        final[i] = obs[i].copy()
    return {"final_obs": final, "_final_obs": ended.copy(), "final_info": {}, "_final_info": ended.copy()}


_TOO_LARGE = 10**SEED_DIGITS


def natural(seed: Any) -> int:
    """A seed as a Python int. ValueError if it is no natural number, or too large for a saved state."""
    try:
        number = operator.index(seed)
    except TypeError:
        raise InputError(f"seed must be a natural number, got {seed!r}") from None
    if number < 0:
        raise InputError(f"seed must be a natural number, got {number}")
    if number >= _TOO_LARGE:
        raise InputError(
            f"seed must be a natural number of at most {SEED_DIGITS} digits, got one of {number.bit_length()} bits"
        )
    return number
