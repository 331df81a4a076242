"""fastlander: a vectorized, high-throughput DQN trainer for Gymnasium's LunarLander.

`import fastlander` registers the native lander with Gymnasium. It imports no torch, numba or matplotlib: the module
behind a name is imported when the name is first used (PEP 562).
"""

import importlib
from typing import TYPE_CHECKING, Any

from fastlander.startup import begin_process, is_command

if is_command():
    begin_process()

from fastlander.lander.registration import register
from fastlander.version import __version__

# The module of each public name.
_HOME = {
    "Agent": "learner.agent",
    "Config": "config",
    "DQN": "learner.dqn",
    "LunarLanderEnv": "lander.env",
    "LunarLanderVectorEnv": "lander.vector_env",
    "Model": "storage.model",
    "QNetwork": "learner.q_network",
    "ReplayBuffer": "experience.replay_buffer",
    "Result": "training.result",
    "Trainer": "training.trainer",
    "load": "storage.model",
    "make_vec_env": "environments",
    "replay": "viewing.notebook",
    "show": "viewing.notebook",
}

__all__ = [
    "DQN",
    "Agent",
    "Config",
    "LunarLanderEnv",
    "LunarLanderVectorEnv",
    "Model",
    "QNetwork",
    "ReplayBuffer",
    "Result",
    "Trainer",
    "__version__",
    "load",
    "make_vec_env",
    "replay",
    "show",
]

if TYPE_CHECKING:
    from fastlander.config import Config
    from fastlander.environments import make_vec_env
    from fastlander.experience.replay_buffer import ReplayBuffer
    from fastlander.lander.env import LunarLanderEnv
    from fastlander.lander.vector_env import LunarLanderVectorEnv
    from fastlander.learner.agent import Agent
    from fastlander.learner.dqn import DQN
    from fastlander.learner.q_network import QNetwork
    from fastlander.storage.model import Model, load
    from fastlander.training.result import Result
    from fastlander.training.trainer import Trainer
    from fastlander.viewing.notebook import replay, show


register()


def __getattr__(name: str) -> Any:
    """A public name, from its module, which is imported now."""
    if name not in _HOME:
        raise AttributeError(f"module 'fastlander' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"fastlander.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
