"""Writing to disk: whole files or none, new directories, and one line where something is in the way."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from fastlander.validation import InputError


def write_atomically(path: Path, content: bytes) -> None:
    """Replace `path` by `content` in one step: a reader finds the old file or the new one, never a part."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


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


def check_new(path: Path) -> Path:
    """`path` if nothing is there yet, else InputError."""
    if path.exists():
        raise InputError(f"output must be a new file, got {str(path)!r}, which exists")
    return path


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """The making of the file `path`, in a directory that is made too: an OSError becomes an InputError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise InputError(f"output must be writable, got {str(path)!r} ({error.strerror or error})") from None
