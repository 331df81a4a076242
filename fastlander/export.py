"""`python -m fastlander.export DIR`: write the policy of a finished run as ONNX, checked with onnxruntime."""

import contextlib
import logging
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fastlander.storage.files import ONNX_FILE, check_new, write_output
from fastlander.storage.hub import output_directory
from fastlander.terminal import FAILED, exit_status, print_lines
from fastlander.validation import InputError, check_path

if TYPE_CHECKING:
    import torch

PROG = "fastlander export"
CHECKED_ROWS = 1000  # random observations that onnxruntime and torch are compared on
TOLERANCE = 1e-4  # largest difference allowed, as a share of the largest value


class ValuesDiffer(RuntimeError):
    """The exported policy does not compute what the policy of the run does."""


def export_onnx(directory: str | Path, output: str | Path | None = None, *, imports: Sequence[str] = ()) -> Path:
    """Write the policy of a run as ONNX, from obs float32[batch, obs_size] to values float32[batch, num_actions].

    The file's path is returned. Before anything is written, onnxruntime and torch are compared on random observations.

    Args:
        directory: run directory, with a model.safetensors, or a model on a hub.
        output: new file to make. None is `model.onnx` in `directory`, or here for a model on a hub.
        imports: modules that may be imported, where the run's environment is "module:id". They are imported.

    Raises:
        ValueError: the directory has no model, or one that does not fit its environment; the environment needs a module
            that is not in `imports`; the output exists or cannot be written; or the extra fastlander[onnx] is missing.
        ValuesDiffer: onnxruntime's values differ from torch's.
    """
    from fastlander.storage.model_file import load_model, model_metadata  # here, so that --help does not wait for torch

    directory = check_path("directory", directory)
    q_network, config = load_model(directory, imports)
    default = output_directory(directory) / ONNX_FILE
    path = check_new(default if output is None else check_path("output", output))
    check_packages()
    import onnxruntime
    import torch

    plain = q_network[:]  # a torch.nn.Sequential: torch's exporter takes only modules that it knows
    obs = torch.randn(CHECKED_ROWS, q_network.sizes[0], generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = plain(obs).numpy()
    if not np.isfinite(expected).all():
        raise InputError(f"{directory} must have a network of finite action values, got too large ones")
    content = _converted(plain, obs, model_metadata(config))
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (values,) = session.run(None, {"obs": obs.numpy()})
    worst = np.abs(values - expected).max() / np.abs(expected).max()
    if not worst <= TOLERANCE:
        raise ValuesDiffer(f"onnxruntime's values differ from torch's by {worst:.1e} of the largest")
    write_output(path, content)
    return path


def check_packages() -> None:
    """ValueError if the packages that write and check ONNX are not installed."""
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401 (torch.onnx needs it)
    except ImportError:
        raise InputError("ONNX needs three packages more: pip install 'fastlander[onnx]'") from None


def _converted(plain: "torch.nn.Sequential", obs: "torch.Tensor", metadata: dict[str, str]) -> bytes:
    """The network as the bytes of an ONNX file, for any number of observations like `obs`."""
    import torch

    with _quiet():
        program = torch.onnx.export(
            plain, (obs[:2],), dynamo=True, input_names=["obs"], output_names=["values"],
            dynamic_shapes=({0: torch.export.Dim("batch")},), verbose=False,
        )  # fmt: skip
    for node in program.model.graph:
        node.metadata_props.clear()  # where torch calls it from: paths of this machine
    program.model.metadata_props.update(metadata)
    return program.model_proto.SerializeToString()


@contextlib.contextmanager
def _quiet():
    """Silence torch's exporter, which warns of operators that no QNetwork has."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def main(argv: Sequence[str] | None = None) -> int:
    """Write the ONNX file; exit status as of `exit_status`, and 1 if it does not compute what the policy does."""
    from fastlander.arguments import Directory, Imports, parse

    def command(directory: Directory, output: str | None = None, imports: Imports = ()) -> int:
        """Write the policy of a finished run as ONNX, checked with onnxruntime (needs the extra fastlander[onnx]).

        Args:
            directory: Run directory, with a model.safetensors, or a model on a hub (owner/name).
            output: New file to make. None is model.onnx in the run directory.
            imports: Python module that the run's environment may import, and so run. May be given several times.
        """
        try:
            path = export_onnx(directory, output, imports=imports)
        except ValuesDiffer as error:
            print_lines(f"{PROG}: {error}", sys.stderr)
            return FAILED
        print_lines(f"Saved in {path}")
        return 0

    return exit_status(PROG, lambda: parse(command, argv, PROG, {}))


if __name__ == "__main__":
    sys.exit(main())
