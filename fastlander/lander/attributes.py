"""What `call` and `get_attr` can ask of each lander, under the names of Gymnasium's `LunarLander` and its wrappers."""

import copy
from collections.abc import Callable
from typing import Any

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec

from fastlander.lander.errors import NoSuchAttribute
from fastlander.lander.game import CHUNKS, FPS, HELIPAD_Y, W
from fastlander.lander.settings import NAMES, LanderSettings
from fastlander.physics.state import CRASHED, ELAPSED, SHAPING, TORQUE_INDEX, WIND_INDEX, State
from fastlander.validation import shown

METADATA = {"render_modes": ["human", "rgb_array"], "render_fps": FPS}
"""Those of one lander, as in Gymnasium. `rgb_array_list` is not among them there either."""

FROM_STATE: dict[str, Callable[[State, int], Any]] = {
    "_elapsed_steps": lambda state, i: int(state.i32[ELAPSED, i]),
    "game_over": lambda state, i: bool(state.i32[CRASHED, i]),
    "prev_shaping": lambda state, i: float(state.f64[SHAPING, i]),
    "wind_idx": lambda state, i: int(state.stream[WIND_INDEX, i].astype("int64")),
    "torque_idx": lambda state, i: int(state.stream[TORQUE_INDEX, i].astype("int64")),
}
"""Attributes that are read from the memory of lander i."""
CONSTANTS = {
    "helipad_x1": W / (CHUNKS - 1) * (CHUNKS // 2 - 1),
    "helipad_x2": W / (CHUNKS - 1) * (CHUNKS // 2 + 1),
    "helipad_y": HELIPAD_Y,
    "metadata": METADATA,
}
"""Attributes that are the same for every lander."""
OF_ENVIRONMENT = {
    "continuous": "continuous",
    "render_mode": "render_mode",
    "observation_space": "single_observation_space",
    "action_space": "single_action_space",
}
"""Attributes that the vector environment has for all its landers, there perhaps under another name."""
READABLE = (*NAMES, *OF_ENVIRONMENT, *CONSTANTS, *FROM_STATE, "np_random", "np_random_seed", "spec")
METHODS = ("render", "has_wrapper_attr", "get_wrapper_attr", "set_wrapper_attr")


def single_spec(settings: dict[str, Any]) -> EnvSpec:
    """The spec with which `gym.make` makes Gymnasium's own lander.

    Args:
        settings: arguments of Gymnasium's `LunarLander`, and `_max_episode_steps`.
    """
    spec = copy.deepcopy(gym.spec("LunarLander-v3"))
    spec.max_episode_steps = settings.pop("_max_episode_steps")
    spec.kwargs = settings
    return spec


def attribute(name: str, state: State, settings: LanderSettings) -> tuple[Any, ...]:
    """An attribute of each lander that its memory or its settings hold. AttributeError if there is no such one."""
    num_envs = len(settings.table)
    if name in NAMES:
        return settings.get(name)
    if name in FROM_STATE:
        return tuple(FROM_STATE[name](state, i) for i in range(num_envs))
    if name == "spec":
        rows = [dict(zip(NAMES, row, strict=True)) for row in zip(*map(settings.get, NAMES), strict=True)]
        return tuple(single_spec({**row, "continuous": settings.continuous}) for row in rows)
    if name in CONSTANTS:
        return (CONSTANTS[name],) * num_envs
    raise not_readable(name)


def not_readable(name: Any) -> NoSuchAttribute:
    """The error for an attribute or method that landers do not have."""
    known = ", ".join((*READABLE, *METHODS))
    return NoSuchAttribute(f"a native lander has {known}, got {shown(name)} (it is no object of Box2D's)")


def not_settable(name: Any) -> NoSuchAttribute:
    """The error for an attribute that cannot be set."""
    return NoSuchAttribute(f"set_attr must be given one of {', '.join(NAMES)}, got {shown(name)}")
