"""The directory of a sweep: what was asked for, a row for each seed of each trial that has ended, Optuna's journal."""

import contextlib
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple, Self

from filelock import FileLock

from fastlander.config import Config
from fastlander.environments import allow_imports
from fastlander.storage.files import (
    LOCK_FILE,
    RunFailed,
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
from fastlander.storage.reading import LARGEST_SETTINGS, parse_json, read_file, refuse_link
from fastlander.storage.seeds_directory import SeedRow, append_row, parse_seed, read_rows, seed_cells
from fastlander.storage.tables import table
from fastlander.sweeps.plan import Plan
from fastlander.validation import InputError, quoted

PLAN_FILE, TRIALS_FILE, JOURNAL_FILE = "sweep.json", "trials.csv", "journal.log"
BEST_FILE, PAGE_FILE = "best.toml", "sweep.html"
OPEN_RUNS, JUDGED = "runs", "judged"
"""Directories: of runs that have not ended, and of the seeds that judge."""
COLUMNS = ("trial", *SeedRow._fields)


class TrialRow(NamedTuple):
    """A seed of a trial that has ended: a row of trials.csv."""

    trial: int
    row: SeedRow


class SweepDirectory:
    """The files of a sweep. `create` or `reopen` makes it; it is a context manager, which holds the lock."""

    def __init__(self, path: Path, plan: Plan, made: list[Path] | None) -> None:
        self.path, self.plan = path, plan
        self.rows: dict[int, dict[int, SeedRow]] = {}
        """By trial and seed: those that have ended."""
        self._made = made
        self._table: BinaryIO | None = None
        self._lock = FileLock(path / LOCK_FILE)

    @classmethod
    def create(cls, plan: Plan) -> Self:
        """A directory for a sweep that begins.

        Raises:
            ValueError: it holds something already, or cannot be written. Nothing is left there then.
        """
        path = sweep_path(plan.config)
        self = cls(path, plan, make_empty_directory(path))
        try:
            take(self._lock, self.path)
            write_atomically(path / PLAN_FILE, plan.to_json().encode() + b"\n")
            self._begin_table()
        except BaseException as error:
            self.discard()
            raise unwritable_directory(path, error) from None if isinstance(error, OSError) else error
        return self

    @classmethod
    def reopen(cls, path: Path, imports: Sequence[str] = ()) -> Self:
        """The directory of a sweep that was broken off, locked. `begin` is to be called before a row is added.

        Args:
            path: of the directory.
            imports: modules that may be imported for the environment, as `allow_imports` says. They are imported.

        Raises:
            ValueError: it is no such directory, another process writes it, or a file in it was damaged. Nothing in it
                is changed then.
        """
        plan = read_plan(path)
        allow_imports(plan.config, imports, path / PLAN_FILE)
        self = cls(path, dataclasses.replace(plan, config=dataclasses.replace(plan.config, output_dir=str(path))), None)
        try:
            refuse_link(path / LOCK_FILE)
            for name in (OPEN_RUNS, JUDGED):
                refuse_link(path / name)
            take(self._lock, self.path)
        except OSError as error:
            raise unwritable_directory(path, error) from None
        try:
            last = plan.config.seed + plan.rounds[-1]
            for trial, row in read_rows(path / TRIALS_FILE, COLUMNS, _parse):
                if not plan.config.seed <= row.seed < last or trial < 0:
                    raise InputError(
                        f"{path / TRIALS_FILE} must have seeds from {plan.config.seed} to {last - 1}, got {row.seed}"
                    )
                self.rows.setdefault(trial, {})[row.seed] = row
        except BaseException:
            self.close()
            raise
        return self

    def begin(self) -> None:
        """Make a reopened directory ready for more rows. ValueError if it cannot be written."""
        try:
            clear_temporaries(self.path)
            self._begin_table()
        except OSError as error:
            raise unwritable_directory(self.path, error) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def run(self, trial: int, seed: int) -> Path:
        """Where a seed of a trial is trained. When it has ended, its row stays and its directory does not."""
        return self.path / OPEN_RUNS / f"trial{trial}-seed{seed}"

    def add(self, trial: int, row: SeedRow) -> None:
        """Note that a seed of a trial has ended, and remove its run. RunFailed if that cannot be written."""
        try:
            append_row(self._table, (trial, *seed_cells(row)))
        except OSError as error:
            why = reason(error)
            raise RunFailed(
                f"{self.path / TRIALS_FILE} could not be written ({why}); the seeds in it are kept"
            ) from None
        self.rows.setdefault(trial, {})[row.seed] = row
        remove(self.run(trial, row.seed))

    def discard(self) -> None:
        """Remove what this object wrote, as there is nothing to keep. What was reopened stays."""
        self.close()
        if self._made is not None:
            for name in (PLAN_FILE, TRIALS_FILE, JOURNAL_FILE, OPEN_RUNS):
                remove(self.path / name)
            remove_empty(self._made)

    def close(self) -> None:
        """Give the lock back."""
        if self._table is not None:
            with contextlib.suppress(OSError):
                self._table.close()
        unlock(self._lock)

    def _begin_table(self) -> None:
        rows = [(trial, *seed_cells(row)) for trial, seeds in self.rows.items() for row in seeds.values()]
        write_atomically(self.path / TRIALS_FILE, table(COLUMNS, rows))
        self._table = open_to_append(self.path / TRIALS_FILE)


def sweep_path(config: Config) -> Path:
    """Where the directory of a sweep is to be: `output_dir`, or else a path that nothing has yet."""
    return fresh_path(config.env_id, "sweep") if config.output_dir is None else Path(config.output_dir)


def read_plan(path: Path) -> Plan:
    """The plan in sweep.json. ValueError if there is none or it was damaged."""
    file = path / PLAN_FILE
    try:
        return Plan.from_record(parse_json(read_file(file, LARGEST_SETTINGS)))
    except (OSError, ValueError, TypeError) as error:
        why = quoted(error if isinstance(error, TypeError) else reason(error))
        raise InputError(f"{file} must be as the sweep wrote it, got another ({why})") from None


def _parse(cells: list[str]) -> TrialRow:
    return TrialRow(int(cells[0]), parse_seed(cells[1:]))
