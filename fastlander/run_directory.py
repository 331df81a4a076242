"""The directory a run leaves: config.json, metrics.csv, model.safetensors. Never one that something else is in."""

import csv
import time
from pathlib import Path
from typing import Self

from fastlander.checkpoint import MODEL_FILE, save_model
from fastlander.config import Config
from fastlander.metrics import MetricsRow
from fastlander.q_network import QNetwork
from fastlander.validation import InputError

CONFIG_FILE, METRICS_FILE = "config.json", "metrics.csv"


class RunDirectory:
    """Files of one run, whole at every moment: settings first, a line of metrics at a time, the model in one step.

    Raises:
        ValueError: the directory holds something already, or cannot be written.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.path = (
            Path(config.output_dir) if config.output_dir is not None else fresh_path(config, f"seed{config.seed}")
        )
        self._made = make_empty_directory(self.path)
        try:
            # Mode x: of two runs that found the directory empty, one gets it.
            with open(self.path / CONFIG_FILE, "x") as file:
                file.write(config.to_json() + "\n")
            self._metrics = open(self.path / METRICS_FILE, "x", newline="")  # noqa: SIM115 (closed by __exit__)
        except OSError as error:
            remove_empty(self._made)
            raise _unwritable(self.path, error) from None
        self._writer = csv.writer(self._metrics)
        self._writer.writerow(MetricsRow._fields)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._metrics.close()

    def log(self, row: MetricsRow) -> None:
        """Append a row to metrics.csv, at once on disk."""
        self._writer.writerow("" if value is None else value for value in row)
        self._metrics.flush()

    def save_model(self, q_network: QNetwork) -> Path:
        """Write model.safetensors, replacing an earlier one in one step."""
        return save_model(self.path, q_network, self.config)

    def discard(self) -> None:
        """Take back everything this run wrote: it failed before there was anything to keep."""
        self._metrics.close()
        for name in (CONFIG_FILE, METRICS_FILE, MODEL_FILE):
            (self.path / name).unlink(missing_ok=True)
        remove_empty(self._made)


def make_empty_directory(path: Path) -> list[Path]:
    """Make a directory unless there is an empty one: the directories made. ValueError if it is in use or unwritable."""
    made: list[Path] = []
    try:
        for directory in reversed([path, *path.parents]):
            if not directory.exists():
                directory.mkdir()
                made.append(directory)
        if any(path.iterdir()):
            raise InputError(f"output_dir must be a new or empty directory, got {str(path)!r}, which is in use")
    except OSError as error:
        remove_empty(made)
        raise _unwritable(path, error) from None
    return made


def remove_empty(made: list[Path]) -> None:
    """Take directories away again, the innermost first, as far as nobody has put anything there since."""
    for directory in reversed(made):
        try:
            directory.rmdir()
        except OSError:
            return


def _unwritable(path: Path, error: OSError) -> InputError:
    return InputError(f"output_dir must be writable, got {str(path)!r} ({error.strerror or type(error).__name__})")


def fresh_path(config: Config, which: str) -> Path:
    """runs/<env>-<which>-<time>, with a number behind it where that exists."""
    env = config.env_id.rpartition(":")[2].replace("/", "-")
    name = f"{env}-{which}-{time.strftime('%Y%m%d-%H%M%S')}"
    path, number = Path("runs") / name, 1
    while path.exists():
        number += 1
        path = Path("runs") / f"{name}-{number}"
    return path
