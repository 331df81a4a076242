"""Compares the native lander with Gymnasium's: complete episodes on both, flown so that all of the physics is used."""

import importlib.metadata
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv

from fastlander.lander.env import LunarLanderEnv
from fastlander.lander.interface import MAX_EPISODE_STEPS
from fastlander.lander.vector_env import LunarLanderVectorEnv

PACKAGES = ("gymnasium", "box2d", "numpy", "numba", "llvmlite")

Pilot = Callable[[gym.Env, np.ndarray, int, np.random.Generator], Any]
"""(Gymnasium's environment, observation, seed of the episode, random generator of the episode) -> action."""


def random_pilot(env: gym.Env, obs: np.ndarray, seed: int, rng: np.random.Generator) -> Any:
    """Random actions. Where actions are continuous, some are out of bounds."""
    if env.unwrapped.continuous:
        return rng.uniform(-1.3, 1.3, 2).astype(np.float32)
    return int(rng.integers(4))


def heuristic_pilot(env: gym.Env, obs: np.ndarray, seed: int, rng: np.random.Generator) -> Any:
    """Gymnasium's `heuristic`, which lands."""
    from gymnasium.envs.box2d.lunar_lander import heuristic  # here, so that the module can be imported without Box2D

    return heuristic(env.unwrapped, obs)


def mixed_pilot(env: gym.Env, obs: np.ndarray, seed: int, rng: np.random.Generator) -> Any:
    """The heuristic with one random action in six: hard landings, hops, slides."""
    return (random_pilot if rng.random() < 1 / 6 else heuristic_pilot)(env, obs, seed, rng)


def engine_pilot(env: gym.Env, obs: np.ndarray, seed: int, rng: np.random.Generator) -> Any:
    """The same action in all steps, chosen by the seed: free fall, climbing out of sight, spinning."""
    return seed % 4


def ground_pilot(env: gym.Env, obs: np.ndarray, seed: int, rng: np.random.Generator) -> Any:
    """The heuristic in the air and random actions on the ground, so that the legs come and go."""
    return (random_pilot if obs[6] or obs[7] else heuristic_pilot)(env, obs, seed, rng)


class Group(NamedTuple):
    """One kind of episodes."""

    pilot: Pilot
    share: float  # episodes of this group for each episode of the group "random"
    env_kwargs: dict[str, Any]  # arguments of the environment


GROUPS = {
    "random": Group(random_pilot, 1, {}),
    "heuristic": Group(heuristic_pilot, 0.2, {}),
    "mixed": Group(mixed_pilot, 0.2, {}),
    "one engine": Group(engine_pilot, 0.1, {}),
    "legs on ground": Group(ground_pilot, 0.1, {}),
    "continuous": Group(random_pilot, 0.1, {"continuous": True}),
    "continuous heuristic": Group(heuristic_pilot, 0.05, {"continuous": True}),
    "wind": Group(mixed_pilot, 0.1, {"enable_wind": True}),
    "strong wind": Group(random_pilot, 0.1, {"enable_wind": True, "wind_power": 20.0, "turbulence_power": 2.0}),
    "gravity -3": Group(mixed_pilot, 0.05, {"gravity": -3.0}),
    "gravity -11.5": Group(mixed_pilot, 0.05, {"gravity": -11.5}),
}

SINGLE_GROUPS = ("random", "mixed", "continuous", "wind")
"""Groups that are also played by `LunarLanderEnv`, the lander of `gym.make`."""
SINGLE_SHARE = 0.05  # episodes of each of those for each episode of the group "random"


@dataclass
class Parity:
    """The result of a comparison."""

    episodes: int = 0
    steps: int = 0
    mismatches: int = 0  # episodes with a difference; each ends at the first step that differs
    first: str = ""  # seed and step of the first mismatch


def compare(group: Group, seeds: Sequence[int], num_envs: int, num_threads: int = 1) -> Parity:
    """Play one episode per seed on both landers, `num_envs` at a time, and compare every step's bytes."""
    native = LunarLanderVectorEnv(
        num_envs, autoreset_mode=AutoresetMode.DISABLED, num_threads=num_threads, **group.env_kwargs
    )
    return _compare(group, seeds, native)


def compare_single(group: Group, seeds: Sequence[int]) -> Parity:
    """`compare` for `LunarLanderEnv`, one episode after the other."""

    def make() -> gym.Env:
        return gym.wrappers.TimeLimit(LunarLanderEnv(**group.env_kwargs), MAX_EPISODE_STEPS)

    return _compare(group, seeds, SyncVectorEnv([make], autoreset_mode=AutoresetMode.DISABLED))


def _compare(group: Group, seeds: Sequence[int], native: VectorEnv) -> Parity:
    """Play one episode per seed on these native landers and as many of Gymnasium's, and compare every step's bytes."""
    result, num_envs = Parity(), native.num_envs
    singles = [gym.make("LunarLander-v3", **group.env_kwargs) for _ in range(num_envs)]
    waiting = list(seeds)[::-1]
    playing: list[int | None] = [None] * num_envs
    obs = np.zeros((num_envs, 8), np.float32)
    rngs = [np.random.default_rng(0)] * num_envs
    steps = np.zeros(num_envs, int)

    def begin(which: np.ndarray) -> None:
        episode_seeds = [waiting.pop() if ends and waiting else None for ends in which]
        native_obs, _ = native.reset(
            seed=[0 if ends and s is None else s for ends, s in zip(which, episode_seeds, strict=True)],
            options={"reset_mask": which},
        )
        for i in np.flatnonzero(which):
            playing[i], steps[i] = episode_seeds[i], 0
            if playing[i] is not None:
                rngs[i] = np.random.default_rng(playing[i])
                obs[i] = singles[i].reset(seed=playing[i])[0]
                result.episodes += 1
                note(i, obs[i].tobytes() == native_obs[i].tobytes())

    def note(i: int, same: bool) -> None:
        if not same:
            result.mismatches += 1
            result.first = result.first or f"seed {playing[i]}, step {steps[i]}"
            playing[i] = None

    idle = [0.0, 0.0] if group.env_kwargs.get("continuous") else 0
    begin(np.ones(num_envs, bool))
    while any(seed is not None for seed in playing):
        actions = [idle if s is None else group.pilot(singles[i], obs[i], s, rngs[i]) for i, s in enumerate(playing)]
        native_obs, reward, terminated, truncated, _ = native.step(np.asarray(actions))
        ended = terminated | truncated
        for i in range(num_envs):
            if playing[i] is None:
                continue
            obs[i], r, over, cut, _ = singles[i].step(actions[i])
            steps[i] += 1
            result.steps += 1
            same = obs[i].tobytes() == native_obs[i].tobytes() and np.float64(r).tobytes() == reward[i].tobytes()
            note(i, bool(same and over == terminated[i] and cut == truncated[i]))
            if playing[i] is None:
                ended[i] = True
        if ended.any():
            begin(ended)
    native.close()
    for env in singles:
        env.close()
    return result


def box2d_is_contracted() -> bool:
    """Whether this machine's Box2D was compiled with fused multiply-adds, as gcc and clang do on Arm by default.

    Then a * b + c is rounded once, where Box2D on x86-64 and the native lander round twice. `b2Vec2::LengthSquared`,
    which is x * x + y * y, shows it. Both compilers fuse an expression of that form where they fuse any.
    """
    from Box2D import b2Vec2

    vectors = np.random.default_rng(0).uniform(-10, 10, (1000, 2)).astype(np.float32)
    return any(np.float32(b2Vec2(float(x), float(y)).lengthSquared) != x * x + y * y for x, y in vectors)


def causes_of_difference() -> str:
    """What is known to make Gymnasium's lander another one on this machine: lines to print below a difference."""
    lines = []
    if box2d_is_contracted():
        lines.append(
            "Cause: the Box2D of this machine was compiled with fused multiply-adds, which round once where x86-64\n"
            "rounds twice. So Gymnasium's lander is another one here than on x86-64. fastlander's is not: it is the\n"
            "lander of the published numbers. To compare with that one, compile Box2D without them:\n"
            "  CFLAGS=-ffp-contract=off CXXFLAGS=-ffp-contract=off pip install .    (in the source of Box2D 2.3.10)"
        )
    if platform.system() != "Linux" or platform.libc_ver()[0] != "glibc":
        lines.append(
            "Possible cause: the sine and cosine of this machine's C library, with which Box2D turns bodies. Those of\n"
            "fastlander have the results of glibc at all floats, and another library's may differ in the last bit."
        )
    return "\n".join(lines)


def environment() -> str:
    """The versions of the packages, of Python and of the C library, in two lines."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    libc = " ".join(platform.libc_ver()) or "unknown C library"
    return f"{versions}\nPython {platform.python_version()}, {libc}, {platform.machine()}, {platform.system()}"
