"""`python -m fastlander.export DIR`: write the policy of a finished run as ONNX, checked with onnxruntime."""

import contextlib
import logging
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fastlander.storage.files import ONNX_FILE, check_new, write_output
from fastlander.terminal import exit_status, print_lines
from fastlander.validation import InputError, check_path

PROG = "fastlander export"
CHECKED_ROWS = 1000  # random observations that onnxruntime and torch are compared on
TOLERANCE = 1e-4  # largest difference allowed, as a share of the largest value


def export_onnx(directory: str | Path, output: str | Path | None = None, *, imports: Sequence[str] = ()) -> Path:
    """Write the policy of a run as ONNX, from obs float32[batch, obs_size] to values float32[batch, num_actions].

    The file's path is returned. Before anything is written, onnxruntime and torch are compared on random observations.

    Args:
        directory: run directory, with a model.safetensors.
        output: new file to make. None is `model.onnx` in `directory`.
        imports: modules that may be imported, where the run's environment is "module:id". They are imported.

    Raises:
        ValueError: the directory has no model, or one that does not fit its environment; the environment needs a module
            that is not in `imports`; the output exists or cannot be written; or the extra fastlander[onnx] is missing.
        RuntimeError: onnxruntime's values differ from torch's.
    """
    from fastlander.storage.model_file import load_model, model_metadata  # here, so that --help does not wait for torch

    directory = check_path("directory", directory)
    q_network, config = load_model(directory, imports)
    path = check_new(directory / ONNX_FILE if output is None else check_path("output", output))
    try:
        import onnxruntime
        import onnxscript  # noqa: F401 (torch.onnx needs it)
    except ImportError:
        raise InputError("export needs three packages more: pip install 'fastlander[onnx]'") from None
    import torch

    plain = q_network[:]  # a torch.nn.Sequential: torch's exporter takes only modules that it knows
    obs = torch.randn(CHECKED_ROWS, q_network.sizes[0], generator=torch.Generator().manual_seed(0))
    with _quiet():
        program = torch.onnx.export(
            plain, (obs[:2],), dynamo=True, input_names=["obs"], output_names=["values"],
            dynamic_shapes=({0: torch.export.Dim("batch")},), verbose=False,
        )  # fmt: skip
    for node in program.model.graph:
        node.metadata_props.clear()  # where torch calls it from: paths of this machine
    program.model.metadata_props.update(model_metadata(config))
    content = program.model_proto.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (values,) = session.run(None, {"obs": obs.numpy()})
    with torch.no_grad():
        expected = plain(obs).numpy()
    worst = np.abs(values - expected).max() / np.abs(expected).max()
    if not worst <= TOLERANCE:
        raise RuntimeError(f"onnxruntime's values differ from torch's by {worst:.1e} of the largest")
    write_output(path, content)
    return path


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
    """Write the ONNX file; exit status as of `exit_status`."""
    from fastlander.arguments import Directory, Imports, parse

    def command(directory: Directory, output: str | None = None, imports: Imports = ()) -> int:
        """Write the policy of a finished run as ONNX, checked with onnxruntime (needs the extra fastlander[onnx]).

        Args:
            directory: Run directory, with a model.safetensors.
            output: New file to make. None is model.onnx in the run directory.
            imports: Python module that the run's environment may import, and so run. May be given several times.
        """
        print_lines(f"Saved in {export_onnx(directory, output, imports=imports)}")
        return 0

    return exit_status(PROG, lambda: parse(command, argv, PROG, {}))


if __name__ == "__main__":
    sys.exit(main())
