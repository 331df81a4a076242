"""`load`: the policy of a run directory or of a model on a hub, ready to act."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fastlander.config import Config
from fastlander.learner.q_network import QNetwork
from fastlander.storage.model_file import load_model
from fastlander.validation import InputError, check_path


@dataclass(frozen=True)
class Model:
    """A policy that was saved, and the settings it was trained with."""

    q_net: QNetwork
    """An ordinary torch.nn.Sequential, from observations to one value per action."""
    config: Config
    """Settings of the run. Those that did not change its result have their defaults."""

    def act(self, obs: Any) -> Any:
        """The greedy action of an observation, or of several.

        Args:
            obs: numbers, [obs_size] or [N, obs_size].

        Returns:
            int, or int64[N] for several observations.

        Raises:
            ValueError: the observations have another shape.
        """
        inputs, width = np.asarray(obs, np.float32), self.q_net.sizes[0]
        if inputs.ndim not in (1, 2) or inputs.shape[-1] != width:
            raise InputError(f"obs must be numbers of shape [{width}] or [N, {width}], got {list(inputs.shape)}")
        actions = self.q_net.greedy(np.atleast_2d(inputs))
        return actions if inputs.ndim == 2 else int(actions[0])


def load(directory: str | Path, *, imports: Sequence[str] = ()) -> Model:
    """The policy of a run directory, of a folder that `fastlander card` wrote, or of a model on a hub.

    Only a safetensors file and a JSON file are read, and no more is believed than is checked: nothing is ever
    unpickled, and no code of a model is run.

    Args:
        directory: a directory with a model.safetensors, or "owner/name" of a model on a hub, or "owner/name@revision"
            (extra fastlander[hub]). A directory comes first; "hf://owner/name" always means the hub.
        imports: modules that may be imported, where the run's environment is "module:id". They are imported.

    Raises:
        ValueError: there is no such model, it is damaged or does not fit its environment; its environment needs a
            module that is not in `imports`; or huggingface_hub is missing.
        RuntimeError: the hub cannot be reached.
    """
    return Model(*load_model(check_path("directory", directory), imports))
