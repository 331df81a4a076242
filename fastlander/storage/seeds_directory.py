"""The directory of several seeds: what was asked for, a row for each seed that has ended, a run directory for each."""

import contextlib
import csv
import dataclasses
import io
import json
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple, Self, TypeVar

from filelock import FileLock

from fastlander.config import Config
from fastlander.environments import allow_imports
from fastlander.storage.files import (
    CONFIG_FILE,
    LOCK_FILE,
    MODEL_FILE,
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
from fastlander.storage.reading import LARGEST_SETTINGS, first_difference, parse_json, read_file, refuse_link
from fastlander.storage.tables import LARGEST_INTEGER, LARGEST_TABLE, table, table_lines
from fastlander.validation import Count, InputError, Seed, check, quoted

SEEDS_FILE, SETTINGS_FILE = "seeds.csv", "seeds.json"
Row = TypeVar("Row")


class SeedRow(NamedTuple):
    """A seed that has ended: a row of seeds.csv."""

    seed: int
    solved: bool
    timesteps: int
    updates: int
    seconds: float  # wall clock of training and judging
    eval_mean: float | None  # mean greedy return of the policy that was kept; None if it was not judged


class SeedsDirectory:
    """The files of several seeds. `create` or `reopen` makes it; it is a context manager, which holds the lock.

    seeds.json holds the settings. seeds.csv gets a row when a seed has ended, so that a seed with a row is done.
    """

    def __init__(self, path: Path, config: Config, count: int, compact: bool, made: list[Path] | None) -> None:
        self.path, self.config, self.compact = path, config, compact
        self.seeds = range(config.seed, config.seed + count)
        self.rows: dict[int, SeedRow] = {}
        """By seed: those that have ended."""
        self._made = made
        self._table: BinaryIO | None = None
        self._lock = FileLock(path / LOCK_FILE)

    @classmethod
    def create(cls, config: Config, count: int, compact: bool) -> Self:
        """A directory for seeds that begin.

        Raises:
            ValueError: it holds something already, or cannot be written. Nothing is left there then.
        """
        path = seeds_path(config, count)
        self = cls(path, config, count, compact, make_empty_directory(path))
        try:
            take(self._lock, self.path)
            own = dataclasses.asdict(dataclasses.replace(config, output_dir=None))
            record = {"seeds": count, "compact": compact, "config": own}
            write_atomically(path / SETTINGS_FILE, json.dumps(record, indent=2).encode() + b"\n")
            self._begin_table()
        except BaseException as error:
            self.discard()
            raise unwritable_directory(path, error) from None if isinstance(error, OSError) else error
        return self

    @classmethod
    def reopen(cls, path: Path, imports: Sequence[str] = ()) -> Self:
        """The directory of seeds of which some may be missing. Nothing in it is changed if it is refused.

        Args:
            path: of the directory.
            imports: modules that may be imported for the environment, as `allow_imports` says. They are imported.

        Raises:
            ValueError: it is no such directory, another process writes it, a file in it was damaged, or a run in it
                has other settings.
        """
        allow_imports(_read_settings(path)[0], imports, path / SETTINGS_FILE)
        self = cls.read(path)
        try:
            refuse_link(path / LOCK_FILE)
            take(self._lock, self.path)
            clear_temporaries(path)
            self._begin_table()
        except OSError as error:
            self._close()
            raise unwritable_directory(path, error) from None
        return self

    @classmethod
    def read(cls, path: Path) -> Self:
        """The directory of seeds, to be read only: nothing is locked, and another process may be writing it.

        Raises:
            ValueError: it is no such directory, a file in it was damaged, or a run in it has other settings.
        """
        self = cls(path, *_read_settings(path), None)
        rows = {row.seed: row for row in read_rows(path / SEEDS_FILE, SeedRow._fields, parse_seed)}
        self.rows = {seed: row for seed, row in rows.items() if (self.run(seed) / MODEL_FILE).exists()}
        others = sorted(set(rows) - set(self.seeds))
        if others:
            wanted = f"from {self.seeds[0]} to {self.seeds[-1]}"
            raise InputError(f"{path / SEEDS_FILE} must have seeds {wanted}, got {others[0]}")
        for seed in self.seeds:
            self._check_run(seed)
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._close()

    def run(self, seed: int) -> Path:
        """The run directory of a seed."""
        return self.path / f"seed{seed}"

    def config_of(self, seed: int) -> Config:
        """The settings of a seed."""
        return dataclasses.replace(self.config, seed=seed, output_dir=str(self.run(seed)), progress=False)

    def add(self, row: SeedRow) -> None:
        """Note that a seed has ended. RunFailed if that cannot be written."""
        self.rows[row.seed] = row
        try:
            append_row(self._table, seed_cells(row))
        except OSError as error:
            raise self._not_written(error) from None

    def finish(self) -> None:
        """Put the rows in the order of the seeds. RunFailed if that cannot be written."""
        self.rows = {seed: self.rows[seed] for seed in self.seeds if seed in self.rows}
        try:
            write_atomically(self.path / SEEDS_FILE, table(SeedRow._fields, map(seed_cells, self.rows.values())))
        except OSError as error:
            raise self._not_written(error) from None

    def discard(self) -> None:
        """Remove what this object wrote, as there is nothing to keep. What was reopened stays."""
        self._close()
        if self._made is not None:
            for name in (SEEDS_FILE, SETTINGS_FILE):
                remove(self.path / name)
            remove_empty(self._made)

    def _close(self) -> None:
        if self._table is not None:
            with contextlib.suppress(OSError):
                self._table.close()
        unlock(self._lock)

    def _begin_table(self) -> None:
        write_atomically(self.path / SEEDS_FILE, table(SeedRow._fields, map(seed_cells, self.rows.values())))
        self._table = open_to_append(self.path / SEEDS_FILE)

    def _check_run(self, seed: int) -> None:
        """ValueError if the run directory of a seed has other settings than this directory."""
        file = self.run(seed) / CONFIG_FILE
        try:
            refuse_link(self.run(seed))
            found = Config.from_json(read_file(file, LARGEST_SETTINGS).decode())
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            raise InputError(f"{file} must be as the run left it, got another ({quoted(reason(error))})") from None
        got = found.result_settings()
        name = first_difference(got, self.config_of(seed).result_settings())
        if name is not None:
            raise InputError(f"{file} must have the settings of {SETTINGS_FILE}, got {name} {got.get(name)!r}")

    def _not_written(self, error: OSError) -> RunFailed:
        return RunFailed(f"{self.path / SEEDS_FILE} could not be written ({reason(error)}); the seeds in it are done")


def seeds_path(config: Config, count: int) -> Path:
    """Where the directory of these seeds is to be: `output_dir`, or else a path that nothing has yet."""
    if config.output_dir is not None:
        return Path(config.output_dir)
    return fresh_path(config.env_id, f"seeds{config.seed}-{config.seed + count - 1}")


def is_seeds_directory(path: Path) -> bool:
    """Whether this is the directory of several seeds, and not that of a run."""
    return os.path.lexists(path / SETTINGS_FILE)


def seed_cells(row: SeedRow) -> tuple[object, ...]:
    """The cells of a row of seeds.csv."""
    return tuple(row._replace(seconds=f"{row.seconds:.3f}"))  # type: ignore[arg-type]


def _read_settings(path: Path) -> tuple[Config, int, bool]:
    """Config, number of seeds, and whether it is compact, from seeds.json. ValueError if that was damaged."""
    file = path / SETTINGS_FILE
    try:
        record = parse_json(read_file(file, LARGEST_SETTINGS))
        if not isinstance(record, dict) or not isinstance(record.get("config"), dict):
            raise ValueError("it has no settings")
        config = Config.from_json(json.dumps(record["config"]))
        count, compact = check("seeds", Count, record.get("seeds")), check("compact", bool, record.get("compact"))
        check("the last seed", Seed, config.seed + count - 1)
    except (OSError, ValueError) as error:
        raise InputError(f"{file} must be as it was written, got another ({quoted(reason(error))})") from None
    return config, count, compact


def append_row(table_file: BinaryIO, cells: Sequence[object]) -> None:
    """Write a row at the end of a table and wait until it is on the disk. OSError if that fails."""
    table_file.write(table_lines([cells]))
    table_file.flush()
    os.fsync(table_file.fileno())


def read_rows(path: Path, columns: Sequence[str], parse: Callable[[list[str]], Row]) -> list[Row]:
    """The rows of seeds.csv, or of a table like it. A last line that a killed process has not written is left out.

    Args:
        path: of the table. No file is a table without rows.
        columns: their names.
        parse: makes a row of its cells, or raises ValueError.

    Raises:
        ValueError: it is no such table.
    """
    try:
        content = read_file(path, LARGEST_TABLE)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InputError(f"{path} must be a table of seeds, got none ({reason(error)})") from None
    try:
        whole = content[: content.rfind(b"\n") + 1].decode()
        header, *rows = csv.reader(io.StringIO(whole, newline=""))
        if tuple(header) != tuple(columns):
            raise ValueError
        return [parse(row) for row in rows]
    except (ValueError, csv.Error):  # also of text that is no UTF-8
        raise InputError(f"{path} must have the columns {', '.join(columns)}, got another table") from None


def parse_seed(cells: list[str]) -> SeedRow:
    """The row of seeds.csv of these cells. ValueError if they are no such row."""
    seed, solved, timesteps, updates, seconds, eval_mean = cells
    if solved not in ("True", "False"):
        raise ValueError
    row = SeedRow(int(seed), solved == "True", int(timesteps), int(updates), float(seconds), None)
    if eval_mean:
        row = row._replace(eval_mean=float(eval_mean))
    numbers = [row.seconds, row.eval_mean or 0.0]
    if not all(map(math.isfinite, numbers)) or not 0 <= row.timesteps <= LARGEST_INTEGER:
        raise ValueError
    return row
