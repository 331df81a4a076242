"""fastlander: a vectorized, high-throughput DQN trainer for Gymnasium's LunarLander.

Names are loaded when first used (PEP 562): `import fastlander` alone pulls in no torch, numba or matplotlib.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "Agent": "agent",
    "Config": "config",
    "DQN": "dqn",
    "QNetwork": "q_network",
    "ReplayBuffer": "replay_buffer",
    "Result": "trainer",
    "Trainer": "trainer",
    "make_vec_env": "vector_env",
    "show": "render",
}

__all__ = [
    "DQN",
    "Agent",
    "Config",
    "QNetwork",
    "ReplayBuffer",
    "Result",
    "Trainer",
    "__version__",
    "make_vec_env",
    "show",
]

if TYPE_CHECKING:
    from fastlander.agent import Agent
    from fastlander.config import Config
    from fastlander.dqn import DQN
    from fastlander.q_network import QNetwork
    from fastlander.render import show
    from fastlander.replay_buffer import ReplayBuffer
    from fastlander.trainer import Result, Trainer
    from fastlander.vector_env import make_vec_env


def __getattr__(name: str) -> Any:
    """Import the module that holds `name`, once."""
    if name not in _HOME:
        raise AttributeError(f"module 'fastlander' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"fastlander.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
