"""The arguments and results of `LunarLanderVectorEnv` in Gymnasium's forms: spaces, modes, seeds, masks, infos."""

import contextlib
import math
import numbers
import operator
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec
from gymnasium.spaces.utils import is_space_dtype_shape_equiv
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_differing_spaces, batch_space

from fastlander.lander.errors import WrongSeed, WrongSeedType, WrongSetting, WrongType
from fastlander.lander.variant import Variant
from fastlander.validation import InputError, StepLimit, check, shown

MAX_EPISODE_STEPS = 1000
BUSY = (
    "an environment is used by one thread at a time: another one is in step, reset or the like, or was when this "
    "process was forked"
)
"""What a thread is told that calls a method while another thread is in one."""
NO_LIMIT = 2**31 - 2  # as many steps as the int32 row ELAPSED can count
SEED_DIGITS = 1000  # of a seed: saved states hold seeds as text, and long text takes long to read


@contextlib.contextmanager
def alone(free: threading.Lock) -> Iterator[None]:
    """The body of the `with` is the only one that works on an environment. RuntimeError if another one does."""
    if not free.acquire(False):
        raise RuntimeError(BUSY)
    try:
        yield
    finally:
        free.release()


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
    """A Variant of these arguments, with Gymnasium's warnings. ValueError if one is out of range or of another type."""
    continuous, enable_wind = _flag("continuous", continuous), _flag("enable_wind", enable_wind)
    gravity = _real("gravity", gravity)
    if not -12.0 < gravity < 0.0:
        raise WrongSetting(f"gravity must be between -12 and 0, got {gravity}")
    if not -12.0 < np.float32(gravity) < 0.0:
        raise WrongSetting(f"gravity must be between -12 and 0 as float32, got {gravity!r}")
    wind_power, turbulence_power = _finite("wind_power", wind_power), _finite("turbulence_power", turbulence_power)
    for name, power, high in (("wind_power", wind_power, 20.0), ("turbulence_power", turbulence_power, 2.0)):
        if not 0.0 <= power <= high:
            gym.logger.warn(f"{name} value is recommended to be between 0.0 and {high}, (current value: {power})")
    limit = MAX_EPISODE_STEPS if max_episode_steps is None else max_episode_steps
    limit = NO_LIMIT if limit == -1 else check("max_episode_steps", StepLimit, limit)
    return Variant(continuous, np.float32(gravity), enable_wind, wind_power, turbulence_power, limit)


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool | np.bool_) and not (isinstance(value, numbers.Integral) and value in (0, 1)):
        raise WrongType(f"{name} must be True or False, got {shown(value)}")
    return bool(value)


def _real(name: str, value: Any) -> float:
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        raise WrongType(f"{name} must be a number, got {shown(value)}")
    with contextlib.suppress(OverflowError):  # of an integer that no float can hold
        return float(value)
    raise WrongSetting(f"{name} must be a finite number, got {shown(value)}")


def _finite(name: str, value: Any) -> float:
    number = _real(name, value)
    if not math.isfinite(number):
        raise WrongSetting(f"{name} must be a finite number, got {number}")
    return number


def checked_mask(name: str, mask: Any, num_envs: int) -> np.ndarray:
    """The mask, if it is bool[num_envs] and has a True. The error is otherwise of SyncVectorEnv's kind and words.

    Raises:
        TypeError: the mask is no array of bools. It is a ValueError too.
        ValueError: the mask has another shape, or no True.
    """
    if not isinstance(mask, np.ndarray):
        raise WrongType(f"`{name}` must be a numpy array, got {type(mask)}")
    if mask.shape != (num_envs,):
        raise InputError(f"`{name}` must have shape `({num_envs},)`, got {mask.shape}")
    if mask.dtype != np.bool_:
        raise WrongType(f"`{name}` must have `dtype=np.bool_`, got {mask.dtype}")
    if not mask.any():
        raise InputError(f"`{name}` must contain a boolean array with at least one True value, got reset_mask={mask}")
    return mask


def vector_spaces(mode: Any, single: gym.Space, num_envs: int) -> tuple[gym.Space, gym.Space]:
    """(observation_space, single_observation_space) of N landers by SyncVectorEnv's `observation_mode`.

    Args:
        mode: "same", "different" (which is the same for landers), or a tuple of these two spaces.
        single: the space of one lander.
        num_envs: N.

    Raises:
        ValueError: another mode, or spaces of another shape or type.
    """
    if mode == "same":
        return batch_space(single, num_envs), single
    if mode == "different":
        return batch_differing_spaces([single] * num_envs), single
    if not isinstance(mode, tuple) or len(mode) != 2:
        raise InputError(
            "Invalid `observation_mode`, expected: 'same' or 'different' or tuple of single and batch observation "
            f"space, actual got {mode}"
        )
    if not all(isinstance(space, gym.Space) for space in mode):
        raise WrongType(f"observation_mode must be two spaces, got {shown(mode)}")
    if not is_space_dtype_shape_equiv(mode[0], batch_space(single, num_envs)) or not is_space_dtype_shape_equiv(
        mode[1], single
    ):
        raise InputError(f"observation_mode must be spaces of the landers' shape and dtype, got {mode[0]}, {mode[1]}")
    return mode


def plain_spec(spec: EnvSpec | None) -> EnvSpec | None:
    """A spec whose arguments go to JSON and back: a mode as its value, NumPy's numbers as Python's."""
    for name, value in {} if spec is None else spec.kwargs.items():
        if isinstance(value, AutoresetMode):
            spec.kwargs[name] = value.value
        elif isinstance(value, np.generic):
            spec.kwargs[name] = value.item()
    return spec


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
        raise WrongSeedType(f"seed must be a natural number, got {seed!r}") from None
    if number < 0:
        raise WrongSeed(f"seed must be a natural number, got {number}")
    if number >= _TOO_LARGE:
        raise InputError(
            f"seed must be a natural number of at most {SEED_DIGITS} digits, got one of {number.bit_length()} bits"
        )
    return number
