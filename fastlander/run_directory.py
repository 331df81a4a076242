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
        self.path = Path(config.output_dir) if config.output_dir is not None else _fresh_path(config)
        self._made: list[Path] = []
        try:
            for directory in reversed([self.path, *self.path.parents]):
                if not directory.exists():
                    directory.mkdir()
                    self._made.append(directory)
            if any(self.path.iterdir()):
                raise InputError(
                    f"output_dir must be a new or empty directory, got {str(self.path)!r}, which is in use"
                )
            # Mode x: of two runs that found the directory empty, one gets it.
            with open(self.path / CONFIG_FILE, "x") as file:
                file.write(config.to_json() + "\n")
            self._metrics = open(self.path / METRICS_FILE, "x", newline="")  # noqa: SIM115 (closed by __exit__)
        except OSError as error:
            self._remove_made()
            reason = error.strerror or type(error).__name__
            raise InputError(f"output_dir must be writable, got {str(self.path)!r} ({reason})") from None
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
        self._remove_made()

    def _remove_made(self) -> None:
        for directory in reversed(self._made):
            try:
                directory.rmdir()
            except OSError:  # somebody else has put something there since
                return


def _fresh_path(config: Config) -> Path:
    """runs/<env>-seed<seed>-<time>, with a number behind it where that exists."""
    env = config.env_id.rpartition(":")[2].replace("/", "-")
    name = f"{env}-seed{config.seed}-{time.strftime('%Y%m%d-%H%M%S')}"
    path, number = Path("runs") / name, 1
    while path.exists():
        number += 1
        path = Path("runs") / f"{name}-{number}"
    return path
