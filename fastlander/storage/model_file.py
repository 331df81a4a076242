"""A policy on disk: safetensors, with the settings of its run in the metadata. Nothing is ever unpickled."""

import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import safetensors.numpy

from fastlander.config import Config
from fastlander.environments import allow_imports, space_sizes
from fastlander.learner.parameters import Parameters, as_array
from fastlander.storage.files import CONFIG_FILE, MODEL_FILE, reason, write_atomically
from fastlander.storage.hub import model_files
from fastlander.storage.reading import LARGEST_MODEL, LARGEST_SETTINGS, first_difference, opened, parse_json, read_file
from fastlander.validation import InputError, quoted, shown
from fastlander.version import __version__

if TYPE_CHECKING:
    from fastlander.learner.q_network import QNetwork

LARGEST_HEADER = 10**6  # bytes
DIGEST = "sha256"
"""Key of the checksum in the metadata. Files of earlier versions have none."""


def save_model(directory: str | Path, network: "Parameters | QNetwork", config: Config) -> Path:
    """Write the network's state_dict (the lecture's keys) to model.safetensors in `directory`; its path.

    Equal weights and settings give equal bytes, wherever the file is and whatever the run showed and saved on its way.
    """
    path = Path(directory) / MODEL_FILE
    tensors = {name: as_array(tensor) for name, tensor in network.state_dict().items()}
    metadata = model_metadata(config)
    metadata[DIGEST] = _digest(metadata, tensors)
    write_atomically(path, _sorted_header(safetensors.numpy.save(tensors, metadata)))
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


def _digest(metadata: Mapping[str, str], tensors: Mapping[str, np.ndarray]) -> str:
    """The checksum of all that a model file says, but for this checksum itself."""
    others = {name: text for name, text in metadata.items() if name != DIGEST}
    shapes = {name: list(tensor.shape) for name, tensor in tensors.items()}
    digest = hashlib.sha256(json.dumps([others, shapes], sort_keys=True).encode())
    for _, tensor in sorted(tensors.items()):
        digest.update(tensor.tobytes())
    return digest.hexdigest()


def load_model(directory: str | Path, imports: Sequence[str] = ()) -> tuple["QNetwork", Config]:
    """`load_parameters`, as a network of torch."""
    from fastlander.learner.q_network import QNetwork  # here, as many commands need no torch

    network, config = load_parameters(directory, imports)
    return QNetwork.of(network), config


def load_parameters(directory: str | Path, imports: Sequence[str] = ()) -> tuple[Parameters, Config]:
    """The network in the model file of a run directory or on a hub, and the settings of its run.

    The settings `WITHOUT_EFFECT` on the result have their defaults, as the file does not hold them. Files of earlier
    versions do.

    Args:
        directory: of the run, or a model on a hub, as `hub.hub_id` reads it.
        imports: modules that may be imported for the run's environment, as `allow_imports` says. They are imported.

    Raises:
        HubFailed: the hub cannot be reached.
        ValueError: there is no model file, not one that this package wrote, one of another run than the config.json
            beside it, or one whose network does not fit the environment of its run; or the environment needs a module
            that is not in `imports`.
    """
    files = model_files(directory)
    path = files.name / MODEL_FILE
    metadata, tensors = _read(files.model, path, directory)
    if "config" not in metadata:
        raise InputError(f"{path} must be a model saved by fastlander, got one without its settings")
    try:
        config = Config.from_json(metadata["config"])
    except InputError as error:
        version = quoted(metadata.get("fastlander_version"))
        raise InputError(
            f"{path} must have settings that fastlander {__version__} knows, got those of {version} ({error})"
        ) from None
    sizes = _checked_sizes(path, tensors)
    if metadata.get(DIGEST) not in (None, _digest(metadata, tensors)) or metadata.keys() - _METADATA:
        raise InputError(f"{path} must be as it was written, got one that was altered: its checksum is another")
    if not all(np.isfinite(tensor).all() for tensor in tensors.values()):
        raise InputError(f"{path} must have weights that are finite numbers, got others")
    _check_run(path, files.config, config)
    allow_imports(config, imports, path)
    wanted = space_sizes(config)
    if (sizes[0], sizes[-1]) != wanted:
        raise InputError(
            f"{path} must have a network from {wanted[0]} observed numbers to {wanted[1]} action values, as "
            f"{config.env_id} has them, got one from {sizes[0]} to {sizes[-1]}"
        )
    network = Parameters.blank(sizes)
    for name, array in network.state_dict().items():
        array[...] = tensors[name]
    return network, config


_METADATA = {"config", "env_id", "fastlander_version", DIGEST, "format"}
"""Keys that the metadata may have. Other programs add the last one when they write such a file again."""


def _read(file_path: Path, path: Path, directory: str | Path) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """The metadata and the tensors of a model file. ValueError, which names it `path`, if it cannot be read or is none.

    file_path: where it is.
    """
    try:
        with opened(file_path, LARGEST_MODEL) as (file, size):
            start = file.read(8)
            length = int.from_bytes(start, "little")
            if len(start) < 8 or length > min(LARGEST_HEADER, size - 8):
                raise ValueError("its header is longer than itself" if length > size - 8 else "its header is too long")
            header = file.read(length)
            parsed = parse_json(header)
            declared = max((_end(tensor) for name, tensor in parsed.items() if name != "__metadata__"), default=0)
            if declared != size - 8 - length:
                raise ValueError("it was truncated or extended: its header says another size")
            content = start + header + file.read(size)
        return dict(parsed.get("__metadata__") or {}), safetensors.numpy.load(content)
    except FileNotFoundError:
        raise InputError(f"directory must be a run directory with a {MODEL_FILE}, got {str(directory)!r}") from None
    except OSError as error:
        raise InputError(f"{path} must be a safetensors file, got one that cannot be read ({reason(error)})") from None
    except Exception as error:  # whatever the library raises for foreign bytes, the bytes are to blame
        raise InputError(f"{path} must be a safetensors file, got one that cannot be read ({quoted(error)})") from None


def _check_run(path: Path, beside_path: Path | None, config: Config) -> None:
    """ValueError if the config.json beside a model file is of another run. One that is missing or damaged says nothing.

    Args:
        path: of the model file.
        beside_path: of the config.json.
        config: in the model file.
    """
    if beside_path is None:
        return
    try:
        beside = Config.from_json(read_file(beside_path, LARGEST_SETTINGS).decode())
    except (OSError, ValueError):
        return
    found = difference(beside.result_settings(), config.result_settings())
    if found:
        raise InputError(f"{path} must be of the run whose {CONFIG_FILE} lies beside it, got {found}")


def difference(wanted: Mapping[str, Any], got: Mapping[str, Any]) -> str | None:
    """The first setting of `wanted` that `got` has not or has otherwise, in words; None if there is none."""
    name = first_difference(wanted, got)
    return None if name is None else f"{name} {shown(got.get(name))} instead of {shown(wanted.get(name))}"


def _end(tensor: dict[str, Any]) -> int:
    """Where the bytes of a tensor end, by the header."""
    return int(tensor["data_offsets"][1])


def _checked_sizes(path: Path, tensors: Mapping[str, np.ndarray]) -> list[int]:
    """The `QNetwork.sizes` of a network with these tensors. ValueError if no network has them."""
    numbers = range(0, 2 * (len(tensors) // 2), 2)
    names = [f"{number}.{part}" for number in numbers for part in ("weight", "bias")]
    if not names or tensors.keys() != set(names):
        raise _refused(path, ", ".join(sorted(tensors)) or "none")
    for name in names:
        if tensors[name].dtype != np.float32 or tensors[name].ndim != 2 - name.endswith("bias"):
            raise _refused(path, f"{name} {tensors[name].dtype}{list(tensors[name].shape)}")
    weights, biases = ([tensors[f"{number}.{part}"] for number in numbers] for part in ("weight", "bias"))
    sizes = [weights[0].shape[1], *(len(weight) for weight in weights)]
    chained = all(before.shape[0] == weight.shape[1] for before, weight in itertools.pairwise(weights))
    if 0 in sizes or not chained or [len(bias) for bias in biases] != sizes[1:]:
        shapes = ", ".join(f"{name} {list(tensors[name].shape)}" for name in names)
        raise _refused(path, f"layers that do not follow from each other: {shapes}")
    return sizes


def _refused(path: Path, got: str) -> InputError:
    return InputError(f"{path} must hold the layers of a QNetwork, got other tensors ({quoted(got)})")
