"""`python -m fastlander.export DIR`: the policy of a finished run as ONNX, checked with onnxruntime."""

import contextlib
import logging
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fastlander.storage.files import check_new, writing
from fastlander.validation import InputError

PROG = "fastlander export"
ONNX_FILE = "model.onnx"
CHECKED_ROWS = 1000
TOLERANCE = 1e-4  # of the largest value


def export_onnx(directory: str | Path, output: str | Path | None = None) -> Path:
    """Write the policy of a run as ONNX: obs float32[batch, obs_size] -> values float32[batch, num_actions]; its path.

    The file is loaded into onnxruntime and compared with torch on random observations before it gets its name.

    Args:
        directory: of the run.
        output: file to make; None is `model.onnx` in `directory`.

    Raises:
        ValueError: no such policy, an output that exists or cannot be written, or the extra fastlander[onnx] missing.
    """
    from fastlander.storage.files import write_atomically  # here, as --help does not wait for torch
    from fastlander.storage.model_file import load_model  # here, as --help does not wait for torch

    q_network, config = load_model(directory)
    path = check_new(Path(directory) / ONNX_FILE if output is None else Path(output))
    try:
        import onnxruntime
        import onnxscript  # noqa: F401 (what torch.onnx needs)
    except ImportError:
        raise InputError("export needs three packages more: pip install 'fastlander[onnx]'") from None
    import torch

    plain = q_network[:]  # torch's exporter wants modules it knows
    obs = torch.randn(CHECKED_ROWS, q_network.sizes[0], generator=torch.Generator().manual_seed(0))
    with _quiet():
        program = torch.onnx.export(
            plain, (obs[:2],), dynamo=True, input_names=["obs"], output_names=["values"],
            dynamic_shapes=({0: torch.export.Dim("batch")},), verbose=False,
        )  # fmt: skip
    program.model.metadata_props["config"] = config.to_json()
    content = program.model_proto.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (values,) = session.run(None, {"obs": obs.numpy()})
    with torch.no_grad():
        expected = plain(obs).numpy()
    worst = np.abs(values - expected).max() / np.abs(expected).max()
    if not worst <= TOLERANCE:
        raise RuntimeError(f"onnxruntime's values differ from torch's by {worst:.1e} of the largest")
    with writing(path):
        write_atomically(path, content)
    return path


@contextlib.contextmanager
def _quiet():
    """Without what torch's exporter says about operators that no network of ours has."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line to a file; exit status 0, or 2 for bad input."""
    from fastlander.arguments import Directory, exit_status, parse

    def command(directory: Directory, output: str | None = None) -> int:
        """Write the policy of a finished run as ONNX, checked with onnxruntime (needs the extra fastlander[onnx]).

        Args:
            directory: Run directory, with a model.safetensors.
            output: File to make; None is model.onnx in the directory.
        """
        print(f"Saved in {export_onnx(directory, output)}")
        return 0

    return exit_status(PROG, lambda: parse(command, argv, PROG, {}))


if __name__ == "__main__":
    sys.exit(main())
