"""The directory of a sweep: what was asked for, a row for each seed of each trial that has ended, Optuna's journal."""

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, Self

from fastlander.config import Config
from fastlander.environments import allow_imports
from fastlander.storage.files import (
    LOCK_FILE,
    RunFailed,
    clear_temporaries,
    fresh_path,
    reason,
    remove,
    take,
    unwritable_directory,
)
from fastlander.storage.reading import LARGEST_SETTINGS, parse_json, read_file, refuse_link
from fastlander.storage.seeds_directory import SeedRow, parse_seed, seed_cells
from fastlander.storage.table_directory import TableDirectory, read_rows
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


class SweepDirectory(TableDirectory):
    """The files of a sweep. `create` or `reopen` makes it; it is a context manager, which holds the lock."""

    settings_file, table_file, columns, others = PLAN_FILE, TRIALS_FILE, COLUMNS, (JOURNAL_FILE, OPEN_RUNS)

    def __init__(self, path: Path, plan: Plan, make: bool = False) -> None:
        super().__init__(path, make)
        self.plan = plan
        self.rows: dict[int, dict[int, SeedRow]] = {}
        """By trial and seed: those that have ended."""

    @classmethod
    def create(cls, plan: Plan) -> Self:
        """A directory for a sweep that begins.

        Raises:
            ValueError: it holds something already, or cannot be written. Nothing is left there then.
        """
        self = cls(sweep_path(plan.config), plan, make=True)
        self._begin(plan.to_json())
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
        self = cls(path, dataclasses.replace(plan, config=dataclasses.replace(plan.config, output_dir=str(path))))
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

    def run(self, trial: int, seed: int) -> Path:
        """Where a seed of a trial is trained. When it has ended, its row stays and its directory does not."""
        return self.path / OPEN_RUNS / f"trial{trial}-seed{seed}"

    def add(self, trial: int, row: SeedRow) -> None:
        """Note that a seed of a trial has ended, and remove its run. RunFailed if that cannot be written."""
        try:
            self._append((trial, *seed_cells(row)))
        except OSError as error:
            why = reason(error)
            raise RunFailed(
                f"{self.path / TRIALS_FILE} could not be written ({why}); the seeds in it are kept"
            ) from None
        self.rows.setdefault(trial, {})[row.seed] = row
        remove(self.run(trial, row.seed))

    def _cells(self) -> Iterable[Sequence[object]]:
        return [(trial, *seed_cells(row)) for trial, seeds in self.rows.items() for row in seeds.values()]


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
