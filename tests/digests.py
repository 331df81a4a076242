"""Digests of what this package computes, to compare two machines: `python -m tests.digests [--shipped]`.

It prints one line of JSON for each thing that was computed, and before them what computed it. Two machines agree if all
lines but the first are the same. `python -m tests.emulate_arm` compares this machine with an emulated one so.
With --shipped nothing may be compiled: the kernels must have come with the package, and the exit status is 1 if one did
not. It takes some seconds where kernels are compiled, and some minutes under an emulator.
"""

import hashlib
import json
import pathlib
import platform
import sys
import tempfile

import gymnasium
import llvmlite
import numba
import numpy as np
import torch
from numba.core import event

from fastlander import DQN, Agent, Config, LunarLanderVectorEnv, Trainer
from fastlander.kernels.jit import KERNELS
from fastlander.kernels.shipped import usable_level
from tests.twins import filled_buffer

STEPS, UPDATES = 300, 100
SIZES = (1, 2, 3, 4, 7, 8, 16, 17, 33, 64)
LANDERS = {
    **{f"{count} landers": {"num_envs": count} for count in SIZES},
    "wind": {"num_envs": 16, "enable_wind": True},
    "strong wind, one lander": {"num_envs": 1, "enable_wind": True, "wind_power": 20.0, "turbulence_power": 2.0},
    "continuous": {"num_envs": 16, "continuous": True},
    "continuous, wind, 64 landers": {"num_envs": 64, "continuous": True, "enable_wind": True},
    "gravity": {"num_envs": 16, "gravity": -4.0},
    "same step": {"num_envs": 16, "autoreset_mode": "SameStep"},
    "short episodes": {"num_envs": 16, "max_episode_steps": 50},
    "two threads": {"num_envs": 33, "num_threads": 2},
    "two threads, continuous, wind": {"num_envs": 64, "num_threads": 2, "continuous": True, "enable_wind": True},
}
SINGLE = {"plain": {}, "wind": {"enable_wind": True}, "continuous": {"continuous": True}, "gravity": {"gravity": -4.0}}
LEARNERS = {
    "best": Config.preset("best"),
    "lecture": Config.preset("lecture"),
    "three steps, plain network": Config(n_step=3, mirror_augmentation=False, double_dqn=False, hidden_sizes=(50, 20)),
}
RUNS = {
    "best": {"num_envs": 16, "total_timesteps": 3000},
    # An update for each step, and each waits for a thread: under an emulator that is slow.
    "lecture, with wind": {
        "preset": "lecture",
        "num_envs": 4,
        "total_timesteps": 1000,
        "learning_starts": 500,
        "env_kwargs": {"enable_wind": True},
    },
}


class Compiling(event.Listener):
    """Counts what Numba compiles in this process. It says nothing of machine code that it loads."""

    def __init__(self):
        self.begun = []

    def on_start(self, compiling):
        self.begun.append(str(compiling.data))

    def on_end(self, compiling):
        pass


def digest(*parts):
    """SHA-256 of arrays, numbers and bytes, in order."""
    found = hashlib.sha256()
    for part in parts:
        found.update(part if isinstance(part, bytes) else np.ascontiguousarray(part).tobytes())
    return found.hexdigest()


def state_bytes(state):
    """The parts of what `get_state` gives, by name."""
    for name, value in sorted(state.items()):
        yield name.encode()
        yield (
            value.numpy() if isinstance(value, torch.Tensor) else str(value).encode() if np.ndim(value) == 0 else value
        )


def landers(settings):
    """Random actions for `STEPS` steps: all that each step gave, and the landers' memory at the end."""
    env = LunarLanderVectorEnv(**settings)
    rng, found = np.random.default_rng(3), [env.reset(seed=11)[0]]
    for _ in range(STEPS):
        n = env.num_envs
        actions = rng.uniform(-1, 1, (n, 2)).astype(np.float32) if env.continuous else rng.integers(4, size=n)
        found += env.step(actions)[:4]
    found += state_bytes(env.get_state())
    env.close()
    return digest(*found)


def single(settings):
    """The lander of `gym.make`, episode after episode."""
    env = gymnasium.make("fastlander/LunarLander-v3", **settings)
    rng, found = np.random.default_rng(5), [env.reset(seed=7)[0]]
    for _ in range(STEPS):
        action = rng.uniform(-1, 1, 2).astype(np.float32) if settings.get("continuous") else int(rng.integers(4))
        obs, *others = env.step(action)
        found += [obs, np.array(others[:3], np.float64)]
        if others[1] or others[2]:
            found.append(env.reset()[0])
    return digest(*found, *state_bytes(env.unwrapped.get_state()))


def learner(config):
    """Fused updates, and actions before and after them."""
    dqn, buffer = DQN(config, processors=1), filled_buffer()
    obs = np.random.default_rng(9).standard_normal((64, 8), dtype=np.float32)
    first = dqn.act(obs, 0.1)
    dqn.learn(buffer, UPDATES)
    found = digest(first, dqn.act(obs, 0.1), *state_bytes(dqn.get_state()))
    dqn.close()
    return found


def lecture():
    """`Agent` in the lecture's loop."""
    env = gymnasium.make("fastlander/LunarLander-v3")
    agent, found = Agent(env, seed=1), []
    agent.buffer_size = 80
    agent.current_state, _ = env.reset(seed=1)
    for _ in range(STEPS):
        agent.act()
        agent.next_state, agent.reward, agent.terminated, truncated, _ = env.step(agent.action)
        agent.save_experience()
        agent.learn()
        found += [np.int64(agent.action), agent.next_state, np.float64(agent.reward)]
        agent.current_state = env.reset()[0] if agent.terminated or truncated else agent.next_state
    return digest(*found)


def run(settings):
    """A training run: its weights and what happened in it."""
    settings = {"eval_episodes": 5, "progress": False, **settings}
    with tempfile.TemporaryDirectory() as folder:
        directory = pathlib.Path(folder, "run")
        preset = settings.pop("preset", "best")
        Trainer(Config.preset(preset, output_dir=str(directory), **settings)).run()
        for name in ("model.safetensors", "episodes.csv", "evaluations.csv"):
            yield name, digest((directory / name).read_bytes())


def everything():
    """Name and digest of each thing, one after the other."""
    for name, settings in LANDERS.items():
        yield f"landers: {name}", landers(settings)
    for name, settings in SINGLE.items():
        yield f"gym.make: {name}", single(settings)
    for name, config in LEARNERS.items():
        yield f"{UPDATES} updates: {name}", learner(config)
    yield "the lecture's loop", lecture()
    for name, settings in RUNS.items():
        for file, found in run(settings):
            yield f"training run: {name}: {file}", found


def main(arguments):
    """Print what computes, then everything. Exit status 1 if something was compiled that should not have been."""
    compiling = Compiling()
    event.register("numba:compile", compiling)
    event.register("numba:run_pass", compiling)
    versions = {module.__name__: module.__version__ for module in (numba, llvmlite, np, torch, gymnasium)}
    where = {"machine": platform.machine(), "python": platform.python_version(), "kernels": usable_level()}
    print(json.dumps(where | versions), flush=True)
    for name, found in everything():
        print(json.dumps([name, found]), flush=True)
    if arguments != ["--shipped"]:
        return 0
    overloads = sum(len(kernel.overloads) for kernel in KERNELS)
    misses = sum(sum(kernel.stats.cache_misses.values()) for kernel in KERNELS)
    hits = sum(sum(kernel.stats.cache_hits.values()) for kernel in KERNELS)
    print(f"kernels loaded: {hits} of {overloads}; compiled: {misses}, begun: {len(compiling.begun)}", file=sys.stderr)
    return 0 if usable_level() and hits == overloads and not misses and not compiling.begun else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
