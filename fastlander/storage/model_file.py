"""A policy on disk: safetensors, with the settings of its run in the metadata. Nothing is ever unpickled."""

import json
from pathlib import Path

import safetensors
import safetensors.torch

from fastlander.config import Config
from fastlander.learner.q_network import QNetwork
from fastlander.storage.files import MODEL_FILE, write_atomically
from fastlander.validation import InputError
from fastlander.version import __version__


def save_model(directory: str | Path, q_network: QNetwork, config: Config) -> Path:
    """Write the network's state_dict (the lecture's keys) to model.safetensors in `directory`; its path.

    Equal weights and settings give equal bytes, wherever the file is and whatever the run showed and saved on its way.
    """
    path = Path(directory) / MODEL_FILE
    # Views of one flat tensor would be saved as shared memory: each is written as a tensor of its own.
    tensors = {name: tensor.detach().cpu().clone() for name, tensor in q_network.state_dict().items()}
    write_atomically(path, _sorted_header(safetensors.torch.save(tensors, model_metadata(config))))
    return path


def model_metadata(config: Config) -> dict[str, str]:
    """What a model file says about its run: the settings that decide its result (JSON), env id and version."""
    settings = json.dumps(config.result_settings(), indent=2)
    return {"config": settings, "env_id": config.env_id, "fastlander_version": __version__}


def _sorted_header(content: bytes) -> bytes:
    """The same safetensors file with the keys of its header sorted; the library writes them in random order."""
    length = int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8 : 8 + length]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + content[8 + length :]


def load_model(directory: str | Path) -> tuple[QNetwork, Config]:
    """The network in the model file of a run directory, and the settings of its run.

    The settings `WITHOUT_EFFECT` on the result have their defaults, as the file does not hold them. Files of earlier
    versions do.

    Raises:
        ValueError: there is no model file, or not one that this package wrote.
    """
    path = Path(directory) / MODEL_FILE
    if not path.is_file():
        raise InputError(f"directory must be a run directory with a {MODEL_FILE}, got {str(directory)!r}")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dict)
    except (safetensors.SafetensorError, OSError) as error:
        raise InputError(f"{path} must be a safetensors file, got one that cannot be read ({error})") from None
    if "config" not in metadata:
        raise InputError(f"{path} must be a model saved by fastlander, got one without its settings")
    try:
        config = Config.from_json(metadata["config"])
    except InputError as error:
        version = metadata.get("fastlander_version")
        raise InputError(
            f"{path} must have settings that fastlander {__version__} knows, got those of {version} ({error})"
        ) from None
    try:
        weights = [tensor for name, tensor in sorted(tensors.items(), key=_layer_number) if name.endswith("weight")]
        q_network = QNetwork.blank([weights[0].shape[1], *(len(weight) for weight in weights)])
        q_network.load_state_dict(tensors)
    except (IndexError, RuntimeError, TypeError, ValueError):
        raise InputError(f"{path} must hold the layers of a QNetwork, got other tensors") from None
    return q_network, config


def _layer_number(item: tuple[str, object]) -> int:
    """The number that a key such as "2.weight" begins with."""
    return int(item[0].partition(".")[0])
