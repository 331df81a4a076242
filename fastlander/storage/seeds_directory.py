"""The directory of several seeds: what was asked for, a row for each seed that has ended, a run directory for each."""

import dataclasses
import json
import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, Self

from fastlander.config import Config
from fastlander.environments import allow_imports
from fastlander.storage.files import (
    CONFIG_FILE,
    LOCK_FILE,
    MODEL_FILE,
    RunFailed,
    clear_temporaries,
    fresh_path,
    reason,
    take,
    unwritable_directory,
)
from fastlander.storage.reading import LARGEST_SETTINGS, first_difference, parse_json, read_file, refuse_link
from fastlander.storage.table_directory import TableDirectory, read_rows
from fastlander.storage.tables import LARGEST_INTEGER
from fastlander.validation import Count, InputError, Seed, check, quoted

SEEDS_FILE, SETTINGS_FILE = "seeds.csv", "seeds.json"


class SeedRow(NamedTuple):
    """A seed that has ended: a row of seeds.csv."""

    seed: int
    solved: bool
    timesteps: int
    updates: int
    seconds: float  # wall clock of training and judging
    eval_mean: float | None  # mean greedy return of the policy that was kept; None if it was not judged


class SeedsDirectory(TableDirectory):
    """The files of several seeds. `create` or `reopen` makes it; it is a context manager, which holds the lock.

    seeds.json holds the settings. seeds.csv gets a row when a seed has ended, so that a seed with a row is done.
    """

    settings_file, table_file, columns = SETTINGS_FILE, SEEDS_FILE, SeedRow._fields

    def __init__(self, path: Path, config: Config, count: int, compact: bool, make: bool = False) -> None:
        super().__init__(path, make)
        self.config, self.compact = config, compact
        self.seeds = range(config.seed, config.seed + count)
        self.rows: dict[int, SeedRow] = {}
        """By seed: those that have ended."""

    @classmethod
    def create(cls, config: Config, count: int, compact: bool) -> Self:
        """A directory for seeds that begin.

        Raises:
            ValueError: it holds something already, or cannot be written. Nothing is left there then.
        """
        self = cls(seeds_path(config, count), config, count, compact, make=True)
        own = dataclasses.asdict(dataclasses.replace(config, output_dir=None))
        self._begin(json.dumps({"seeds": count, "compact": compact, "config": own}, indent=2))
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
            self.close()
            raise unwritable_directory(path, error) from None
        return self

    @classmethod
    def read(cls, path: Path) -> Self:
        """The directory of seeds, to be read only: nothing is locked, and another process may be writing it.

        Raises:
            ValueError: it is no such directory, a file in it was damaged, or a run in it has other settings.
        """
        self = cls(path, *_read_settings(path))
        rows = {row.seed: row for row in read_rows(path / SEEDS_FILE, SeedRow._fields, parse_seed)}
        self.rows = {seed: row for seed, row in rows.items() if (self.run(seed) / MODEL_FILE).exists()}
        others = sorted(set(rows) - set(self.seeds))
        if others:
            wanted = f"from {self.seeds[0]} to {self.seeds[-1]}"
            raise InputError(f"{path / SEEDS_FILE} must have seeds {wanted}, got {others[0]}")
        for seed in self.seeds:
            self._check_run(seed)
        return self

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
            self._append(seed_cells(row))
        except OSError as error:
            raise self._not_written(error) from None

    def finish(self) -> None:
        """Put the rows in the order of the seeds. RunFailed if that cannot be written."""
        self.rows = {seed: self.rows[seed] for seed in self.seeds if seed in self.rows}
        try:
            self._write_table()
        except OSError as error:
            raise self._not_written(error) from None

    def _cells(self) -> Iterable[Sequence[object]]:
        return map(seed_cells, self.rows.values())

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
