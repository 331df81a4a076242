"""fastlander: a vectorized, high-throughput DQN trainer for Gymnasium's LunarLander.

Names are loaded when first used (PEP 562): `import fastlander` alone pulls in no torch, numba or matplotlib;
it registers the native lander with Gymnasium.
"""

import importlib
from typing import TYPE_CHECKING, Any

from fastlander.lander.registration import register
from fastlander.version import __version__

_HOME = {
    "Agent": "learner.agent",
    "Config": "config",
    "DQN": "learner.dqn",
    "LunarLanderVectorEnv": "lander.vector_env",
    "QNetwork": "learner.q_network",
    "ReplayBuffer": "experience.replay_buffer",
    "Result": "training.result",
    "Trainer": "training.trainer",
    "make_vec_env": "environments",
    "replay": "viewing.notebook",
    "show": "viewing.notebook",
}

__all__ = [
    "DQN",
    "Agent",
    "Config",
    "LunarLanderVectorEnv",
    "QNetwork",
    "ReplayBuffer",
    "Result",
    "Trainer",
    "__version__",
    "make_vec_env",
    "replay",
    "show",
]

if TYPE_CHECKING:
    from fastlander.config import Config
    from fastlander.environments import make_vec_env
    from fastlander.experience.replay_buffer import ReplayBuffer
    from fastlander.lander.vector_env import LunarLanderVectorEnv
    from fastlander.learner.agent import Agent
    from fastlander.learner.dqn import DQN
    from fastlander.learner.q_network import QNetwork
    from fastlander.training.result import Result
    from fastlander.training.trainer import Trainer
    from fastlander.viewing.notebook import replay, show


register()


def __getattr__(name: str) -> Any:
    """Import the module that holds `name`, once."""
    if name not in _HOME:
        raise AttributeError(f"module 'fastlander' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"fastlander.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
