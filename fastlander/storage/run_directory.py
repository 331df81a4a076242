"""The directory of a run: its files are made, continued, locked against a second run, and removed if it fails early."""

import contextlib
import csv
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self, TextIO

from filelock import FileLock, Timeout

from fastlander.config import Config
from fastlander.evaluation.evaluation import Judgement
from fastlander.evaluation.scores import Scores
from fastlander.learner.q_network import QNetwork
from fastlander.storage.checkpoint import checkpoints, load_checkpoint, save_checkpoint
from fastlander.storage.files import (
    CHECKPOINT_DIRECTORY,
    CONFIG_FILE,
    EPISODES_FILE,
    EVALUATIONS_FILE,
    LOCK_FILE,
    METRICS_FILE,
    MODEL_FILE,
    REPORT_FILE,
    TENSORBOARD_DIRECTORY,
    fresh_path,
    make_empty_directory,
    remove_empty,
    unwritable_directory,
    write_atomically,
)
from fastlander.storage.model_file import save_model
from fastlander.storage.tables import EPISODE_COLUMNS, EVALUATION_COLUMNS, MetricsRow, evaluation_rows, table
from fastlander.validation import InputError
from fastlander.version import __version__

LARGEST_SHARE = 0.03
"""Share of the time that checkpoints may take. After one that took long the next waits longer."""


class RunFailed(RuntimeError):
    """A run could not go on. The message says why, and what was kept."""


class NotWritten(RunFailed):
    """A file of the run could not be written, because the disk is full or gone."""


class RunDirectory:
    """The files of one run. `create` or `reopen` makes it; it is a context manager, which holds the lock.

    Each file is whole at every moment: metrics.csv grows by whole lines, the others are replaced in one step.
    """

    def __init__(self, path: Path, config: Config, made: list[Path] | None, lock: FileLock, metrics: TextIO) -> None:
        self.path, self.config = path, config
        self._made, self._lock, self._metrics = made, lock, metrics
        self._writer = csv.writer(metrics)
        self._events = event_writer()(path / TENSORBOARD_DIRECTORY) if config.tensorboard else None
        self._saved_at, self._pause = time.monotonic(), config.checkpoint_interval or 0.0

    @classmethod
    def create(cls, config: Config) -> Self:
        """A directory for a run that begins. ValueError if it holds something already, or cannot be written."""
        directory = config.output_dir
        path = fresh_path(config.env_id, f"seed{config.seed}") if directory is None else Path(directory)
        made = make_empty_directory(path)
        try:
            # Mode x fails if the file is there: of two runs that find the directory empty at once, one gets it.
            with open(path / CONFIG_FILE, "x") as file:
                file.write(config.to_json() + "\n")
            (path / CHECKPOINT_DIRECTORY).mkdir()
            lock = _locked(path)
            metrics = open(path / METRICS_FILE, "x", newline="")  # noqa: SIM115 (closed by __exit__)
        except OSError as error:
            remove_empty(made)
            raise unwritable_directory(path, error) from None
        run = cls(path, config, made, lock, metrics)
        run._begin_metrics()
        return run

    @classmethod
    def reopen(cls, path: Path, config: Config) -> tuple[Self, dict[str, Any] | None]:
        """The directory of a run that stopped early, and the newest state that the run saved, None if it saved none.

        Rows of metrics.csv that are later than that state are cut off, as the run will write them again.

        Raises:
            ValueError: another run writes it, it cannot be written, or the checkpoint cannot be used.
        """
        try:
            (path / CHECKPOINT_DIRECTORY).mkdir(exist_ok=True)
            lock = _locked(path)
            try:
                state = _newest_state(path / CHECKPOINT_DIRECTORY)
                if state is not None:
                    _check_settings(config, state["config"], path)
                metrics = open(path / METRICS_FILE, "a+", newline="")  # noqa: SIM115 (closed by __exit__)
                metrics.truncate(state["metrics_bytes"] if state is not None else 0)
                metrics.seek(0, os.SEEK_END)
            except BaseException:
                _unlock(lock)
                raise
        except OSError as error:
            raise unwritable_directory(path, error) from None
        run = cls(path, config, None, lock, metrics)
        if state is None:
            run._begin_metrics()
            return run, None
        return run, {name: value for name, value in state.items() if name not in ("config", "metrics_bytes")}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        with contextlib.suppress(OSError):  # of a row that did not fit on the disk: `log` has reported it
            self._metrics.close()
        if self._events is not None:
            with contextlib.suppress(OSError):
                self._events.close()
        _unlock(self._lock)

    def log(self, row: MetricsRow) -> None:
        """Append a row to metrics.csv, and to TensorBoard's event files if there are any. NotWritten if that fails."""
        with self._writing(METRICS_FILE):
            self._writer.writerow("" if value is None else value for value in row)
            self._metrics.flush()  # at once, so that a run that is killed leaves every row
        if self._events is not None:
            with self._writing(TENSORBOARD_DIRECTORY):
                for name, value in row._asdict().items():
                    if value is not None and name != "timesteps":
                        self._events.add_scalar(name, value, row.timesteps)

    def checkpoint_due(self) -> bool:
        """Whether it is time for a checkpoint."""
        return self._pause > 0 and time.monotonic() - self._saved_at >= self._pause

    def save_checkpoint(self, timesteps: int, state: dict[str, Any]) -> None:
        """Write a checkpoint of this state. OSError if that fails; the earlier checkpoints stay."""
        began = time.monotonic()
        try:
            record = {**state, "config": self.config.result_settings(), "metrics_bytes": self._metrics.tell()}
            save_checkpoint(self.path / CHECKPOINT_DIRECTORY, timesteps, record)
        finally:
            self._saved_at = time.monotonic()
            if self._pause:
                self._pause = max(self.config.checkpoint_interval, (self._saved_at - began) / LARGEST_SHARE)

    def save_model(self, q_network: QNetwork) -> Path:
        """Write model.safetensors in place of an earlier one; its path. NotWritten if that fails."""
        with self._writing(MODEL_FILE):
            return save_model(self.path, q_network, self.config)

    def save_episodes(self, scores: Scores, judgements: Sequence[Judgement], kept: int | None) -> None:
        """Write episodes.csv, and evaluations.csv if there are judgements, in place of earlier ones.

        Args:
            scores: the finished training episodes.
            judgements: of greedy policies, in order.
            kept: index of the judgement whose policy is in model.safetensors; None if there is none.
        """
        self._replace(EPISODES_FILE, table(EPISODE_COLUMNS, zip(*scores.get_state().values(), strict=True)))
        if judgements:
            self._replace(EVALUATIONS_FILE, table(EVALUATION_COLUMNS, evaluation_rows(judgements, kept)))

    def save_report(self, page: str) -> None:
        """Write report.html, given its HTML, in place of an earlier one. NotWritten if that fails."""
        self._replace(REPORT_FILE, page.encode())

    def _replace(self, name: str, content: bytes) -> None:
        with self._writing(name):
            write_atomically(self.path / name, content)

    @contextlib.contextmanager
    def _writing(self, name: str) -> Iterator[None]:
        """Turn an OSError into a NotWritten that names the file, the reason and the last good checkpoint."""
        try:
            yield
        except OSError as error:
            line = f"{self.path / name} could not be written ({error.strerror or error})"
            saved = checkpoints(self.path / CHECKPOINT_DIRECTORY)
            if saved:
                line += f"; {saved[-1]} is the last good checkpoint, which --resume goes on from"
            raise NotWritten(line) from None

    def discard(self) -> None:
        """Remove everything this run wrote, as it failed before there was anything to keep. A reopened run stays."""
        self._metrics.close()
        _unlock(self._lock)
        if self._made is None:
            return
        if self._events is not None:
            self._events.close()
            shutil.rmtree(self.path / TENSORBOARD_DIRECTORY, ignore_errors=True)
        for name in (CONFIG_FILE, METRICS_FILE, MODEL_FILE):
            (self.path / name).unlink(missing_ok=True)
        shutil.rmtree(self.path / CHECKPOINT_DIRECTORY, ignore_errors=True)
        remove_empty(self._made)

    def _begin_metrics(self) -> None:
        self._writer.writerow(MetricsRow._fields)
        self._metrics.flush()


def event_writer() -> type:
    """TensorBoard's class that writes event files. ValueError if it is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise InputError("tensorboard needs a package more: pip install 'fastlander[tensorboard]'") from None
    return SummaryWriter


def read_config(path: Path) -> Config:
    """The settings of the run in a directory. ValueError if there is no run, or one with settings unknown here."""
    try:
        text = (path / CONFIG_FILE).read_text()
    except (OSError, UnicodeDecodeError):
        raise InputError(f"resume must be a run directory with a {CONFIG_FILE}, got {str(path)!r}") from None
    try:
        return Config.from_json(text)
    except InputError as error:
        line = f"{path / CONFIG_FILE} must have settings that fastlander {__version__} knows, got others ({error})"
        raise InputError(line) from None


def _newest_state(directory: Path) -> dict[str, Any] | None:
    """The state in the newest checkpoint, None if there is no checkpoint. ValueError if the newest cannot be used."""
    saved = checkpoints(directory)
    if not saved:
        return None
    try:
        return load_checkpoint(saved[-1])
    except InputError as error:
        if len(saved) == 1:
            raise
        raise InputError(f"{error}; without {saved[-1].name} the run goes on from {saved[-2].name}") from None


def _locked(path: Path) -> FileLock:
    """The lock of a run directory, taken. ValueError if another run has it."""
    lock = FileLock(path / CHECKPOINT_DIRECTORY / LOCK_FILE)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise InputError(f"output_dir must not be written by two runs, got {str(path)!r}, which is in use") from None
    return lock


def _unlock(lock: FileLock) -> None:
    """Give the lock back, if it is held, and remove its file."""
    if lock.is_locked:
        lock.release()
        Path(lock.lock_file).unlink(missing_ok=True)


def _check_settings(config: Config, saved: dict[str, Any], path: Path) -> None:
    """ValueError if a checkpoint was made with settings other than those of config.json that decide the result.

    Args:
        config: from config.json.
        saved: `Config.result_settings` in the checkpoint.
        path: of the run directory.
    """
    for name, value in config.result_settings().items():
        if name not in saved or saved[name] != value:
            raise InputError(
                f"{path / CONFIG_FILE} must have the settings of its checkpoint, got {name} {value!r} instead of "
                f"{saved.get(name)!r}"
            )
