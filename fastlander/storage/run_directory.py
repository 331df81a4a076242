"""The directory of a run: its files are made, continued, locked against a second run, and removed if it fails early."""

import contextlib
import csv
import hashlib
import io
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Self

from filelock import FileLock

from fastlander.config import Config
from fastlander.evaluation.evaluation import Judgement
from fastlander.evaluation.scores import Scores
from fastlander.learner.parameters import Parameters
from fastlander.storage.checkpoint import checkpoints, save_checkpoint
from fastlander.storage.files import (
    CHECKPOINT_DIRECTORY,
    CONFIG_FILE,
    EPISODES_FILE,
    EVALUATIONS_FILE,
    LOCK_FILE,
    METRICS_FILE,
    MODEL_FILE,
    REPORT_FILE,
    RUN_FILES,
    SETTINGS_FILE,
    TENSORBOARD_DIRECTORY,
    RunFailed,
    check_own_files,
    clear_temporaries,
    fresh_path,
    make_empty_directory,
    open_to_append,
    reason,
    remove,
    remove_empty,
    take,
    unlock,
    unwritable_directory,
    write_atomically,
)
from fastlander.storage.model_file import save_model
from fastlander.storage.saved_run import HEADER, beginning, restored_rows
from fastlander.storage.tables import EPISODE_COLUMNS, EVALUATION_COLUMNS, MetricsRow, evaluation_rows, table
from fastlander.validation import InputError

LARGEST_SHARE = 0.03
"""Share of the time that checkpoints may take. After one that took long the next waits longer."""


class NotWritten(RunFailed):
    """A file of the run could not be written, because the disk is full or gone."""


class RunDirectory:
    """The files of one run. `create` or `reopen` makes it; it is a context manager, which holds the lock.

    Each file is whole at every moment: metrics.csv grows by whole lines, the others are replaced in one step.
    """

    def __init__(self, path: Path, config: Config, made: list[Path] | None, lock: FileLock, rows: bytes) -> None:
        self.path, self.config = path, config
        self._made, self._lock = made, lock
        self._kept = False  # whether this run has written anything that is worth keeping
        write_atomically(path / METRICS_FILE, rows)
        self._metrics: BinaryIO = open_to_append(path / METRICS_FILE)
        self._digest = hashlib.sha256(rows)  # of metrics.csv
        self._events = event_writer()(path / TENSORBOARD_DIRECTORY) if config.tensorboard else None
        self._saved_at, self._pause = time.monotonic(), config.checkpoint_interval or 0.0

    @classmethod
    def create(cls, config: Config) -> Self:
        """A directory for a run that begins.

        Raises:
            ValueError: it holds something already, or cannot be written. Nothing is left there then.
        """
        directory = config.output_dir
        path = fresh_path(config.env_id, f"seed{config.seed}") if directory is None else Path(directory)
        made = make_empty_directory(path)
        with contextlib.ExitStack() as undo:
            undo.callback(remove_empty, made)
            try:
                # This fails if it is there: of two runs that find the directory empty at once, one gets it.
                (path / CHECKPOINT_DIRECTORY).mkdir()
                undo.callback(remove_run_files, path)
                lock = _locked(path)
                undo.callback(unlock, lock)
                write_atomically(path / CHECKPOINT_DIRECTORY / SETTINGS_FILE, beginning(config))
                write_atomically(path / CONFIG_FILE, config.to_json().encode() + b"\n")
                run = cls(path, config, made, lock, HEADER)
            except OSError as error:
                raise unwritable_directory(path, error) from None
            undo.pop_all()
        return run

    @classmethod
    def reopen(cls, path: Path, config: Config, restore: Callable[[dict[str, Any]], None]) -> Self:
        """The directory of a run that stopped early. Nothing in it is changed if it is refused.

        Rows of metrics.csv that are later than the newest checkpoint are cut off, as the run will write them again.

        Args:
            path: of the directory.
            config: from its config.json.
            restore: takes the newest state that the run saved, and raises ValueError if it is not of such a run. It is
                not called if the run saved none, and so begins again.

        Raises:
            ValueError: another run writes it, it cannot be written, a file in it is a link, or a file that the run
                depends on was damaged.
        """
        check_own_files(path)
        inner = path / CHECKPOINT_DIRECTORY
        with contextlib.ExitStack() as undo:
            try:
                if not inner.is_dir():
                    inner.mkdir()
                    undo.callback(remove_empty, [inner])
                lock = _locked(path)
                undo.callback(unlock, lock)
                rows = restored_rows(path, config, restore)
                clear_temporaries(path, RUN_FILES)
                clear_temporaries(inner)
                run = cls(path, config, None, lock, rows)
            except OSError as error:
                raise unwritable_directory(path, error) from None
            undo.pop_all()
        return run

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        if kind is not None and not self._kept:
            self.discard()
        self._close()

    def _close(self) -> None:
        """Close the files and give the lock back. What does not fit on the disk was reported when it was written."""
        with contextlib.suppress(OSError):
            self._metrics.close()
        if self._events is not None:
            with contextlib.suppress(OSError):
                self._events.close()
        unlock(self._lock)

    def log(self, row: MetricsRow) -> None:
        """Append a row to metrics.csv, and to TensorBoard's event files if there are any. NotWritten if that fails."""
        text = io.StringIO(newline="")
        csv.writer(text).writerow("" if value is None else value for value in row)
        line = text.getvalue().encode()
        with self._writing(METRICS_FILE):
            self._metrics.write(line)
            self._metrics.flush()  # at once, so that a run that is killed leaves every row
        self._digest.update(line)
        self._kept = True
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
            # The checkpoint counts on these rows, so a power cut must not take them and leave the checkpoint.
            os.fsync(self._metrics.fileno())
            record = {**state, "config": self.config.result_settings()}
            record |= {"metrics_bytes": self._metrics.tell(), "metrics_sha256": self._digest.hexdigest()}
            save_checkpoint(self.path / CHECKPOINT_DIRECTORY, timesteps, record)
            (self.path / CHECKPOINT_DIRECTORY / SETTINGS_FILE).unlink(missing_ok=True)  # every checkpoint has them
            self._kept = True
        finally:
            self._saved_at = time.monotonic()
            if self._pause:
                self._pause = max(self.config.checkpoint_interval, (self._saved_at - began) / LARGEST_SHARE)

    def last_checkpoint(self) -> Path | None:
        """The path of the newest checkpoint; None if there is none."""
        saved = checkpoints(self.path / CHECKPOINT_DIRECTORY)
        return saved[-1] if saved else None

    def save_model(self, network: Parameters) -> Path:
        """Write model.safetensors in place of an earlier one; its path. NotWritten if that fails."""
        with self._writing(MODEL_FILE):
            path = save_model(self.path, network, self.config)
        self._kept = True
        return path

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
            line = f"{self.path / name} could not be written ({reason(error)})"
            saved = self.last_checkpoint()
            if saved is not None:
                line += f"; {saved} is the last good checkpoint, which --resume goes on from"
            raise NotWritten(line) from None

    def discard(self) -> None:
        """Remove everything this run wrote, as it failed before there was anything to keep. A reopened run stays."""
        self._close()
        if self._made is not None:
            remove_run_files(self.path)
            remove_empty(self._made)


def event_writer() -> type:
    """TensorBoard's class that writes event files. ValueError if it is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise InputError("tensorboard needs a package more: pip install 'fastlander[tensorboard]'") from None
    return SummaryWriter


def _locked(path: Path) -> FileLock:
    """The lock of a run directory, taken. ValueError if another run has it."""
    lock = FileLock(path / CHECKPOINT_DIRECTORY / LOCK_FILE)
    take(lock, path)
    return lock


def remove_run_files(path: Path) -> None:
    """Remove every file that a run can have in its directory."""
    for name in (*RUN_FILES, CHECKPOINT_DIRECTORY, TENSORBOARD_DIRECTORY):
        remove(path / name)
