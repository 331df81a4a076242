"""`TableDirectory`: a directory of settings and a table that grows, and the rows of such a table."""

import contextlib
import csv
import io
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import BinaryIO, ClassVar, Self, TypeVar

from filelock import FileLock

from fastlander.storage.files import (
    LOCK_FILE,
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
from fastlander.storage.reading import read_file
from fastlander.storage.tables import LARGEST_TABLE, table, table_lines
from fastlander.validation import InputError

Row = TypeVar("Row")


class TableDirectory:
    """The files of what gives a row whenever a part of it has ended. A context manager, which holds the lock.

    A subclass names its files, and gives the cells of the rows that there are.

    Args:
        path: of the directory.
        make: whether it is new, and to be made.

    Raises:
        ValueError: it is to be made, and holds something already or cannot be written.
    """

    settings_file: ClassVar[str]
    table_file: ClassVar[str]
    columns: ClassVar[Sequence[str]]
    others: ClassVar[Sequence[str]] = ()
    """What else `discard` removes."""

    def __init__(self, path: Path, make: bool) -> None:
        self.path = path
        self._made = make_empty_directory(path) if make else None
        self._table: BinaryIO | None = None
        self._lock = FileLock(path / LOCK_FILE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the table, and give the lock back."""
        if self._table is not None:
            with contextlib.suppress(OSError):
                self._table.close()
        unlock(self._lock)

    def discard(self) -> None:
        """Remove what this object wrote, as there is nothing to keep. What was reopened stays."""
        self.close()
        if self._made is not None:
            for name in (self.settings_file, self.table_file, *self.others):
                remove(self.path / name)
            remove_empty(self._made)

    def _cells(self) -> Iterable[Sequence[object]]:
        """The cells of each row that there is."""
        raise NotImplementedError

    def _begin(self, settings: str) -> None:
        """Take the lock of a new directory, and write the settings and a table without rows.

        ValueError if that cannot be done. Nothing is left there then.
        """
        try:
            take(self._lock, self.path)
            write_atomically(self.path / self.settings_file, settings.encode() + b"\n")
            self._begin_table()
        except BaseException as error:
            self.discard()
            raise unwritable_directory(self.path, error) from None if isinstance(error, OSError) else error

    def _begin_table(self) -> None:
        """Write the rows that there are, and open the table for more. OSError if that fails."""
        self._write_table()
        self._table = open_to_append(self.path / self.table_file)

    def _write_table(self) -> None:
        write_atomically(self.path / self.table_file, table(self.columns, self._cells()))

    def _append(self, cells: Sequence[object]) -> None:
        """Write a row at the end of the table and wait until it is on the disk. OSError if that fails."""
        self._table.write(table_lines([cells]))
        self._table.flush()
        os.fsync(self._table.fileno())


def read_rows(path: Path, columns: Sequence[str], parse: Callable[[list[str]], Row]) -> list[Row]:
    """The rows of a table that grows. A last line that a killed process has not written to its end is left out.

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
