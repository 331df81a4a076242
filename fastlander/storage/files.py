"""The names in a run directory, and how this package writes: whole files or none, and one line if it cannot.

What is written has a random name until it is whole, and is made anew: no file that was planted under that name is
written through. Nothing here imports torch, so that a command can check a path before it loads anything slow.
"""

import contextlib
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from fastlander.storage.reading import refuse_link
from fastlander.validation import InputError

if TYPE_CHECKING:
    from filelock import FileLock

CONFIG_FILE, MODEL_FILE, REPORT_FILE, ONNX_FILE = "config.json", "model.safetensors", "report.html", "model.onnx"
METRICS_FILE, EPISODES_FILE, EVALUATIONS_FILE = "metrics.csv", "episodes.csv", "evaluations.csv"
CHECKPOINT_DIRECTORY, TENSORBOARD_DIRECTORY = "checkpoint", "tensorboard"
LOCK_FILE, SETTINGS_FILE = ".lock", "settings.json"
"""In `CHECKPOINT_DIRECTORY`. The second one holds what the run began with, until the first checkpoint does."""
RUN_FILES = (CONFIG_FILE, METRICS_FILE, EPISODES_FILE, EVALUATIONS_FILE, MODEL_FILE, REPORT_FILE)
"""The files that a run itself writes into its directory."""
RUNS_DIRECTORY = "runs"
"""Holds the directories of runs that were not told where to write."""
ABANDONED = 3600.0
"""Seconds without a change after which a temporary file is taken for one of a process that was killed."""


def take(lock: "FileLock", path: Path) -> None:
    """Take the lock of the directory `path`. ValueError if another process has it."""
    from filelock import Timeout

    try:
        lock.acquire(timeout=0)
    except Timeout:
        got = f"{str(path)!r}, which is in use"
        raise InputError(f"output_dir must not be written by two processes, got {got}") from None


def unlock(lock: "FileLock") -> None:
    """Give the lock of a directory back, if it is held, and remove its file."""
    if lock.is_locked:
        lock.release()
        with contextlib.suppress(OSError):  # Windows removes no file that another process holds open
            Path(lock.lock_file).unlink(missing_ok=True)


class RunFailed(RuntimeError):
    """A run could not go on. The message says why, and what was kept."""


def fresh_path(env_id: str, which: str) -> Path:
    """A path that nothing has yet: runs/<env>-<which>-<time>, with a number added if that exists.

    Args:
        env_id: of the environment; its module is left out, and a "/" in it becomes "-".
        which: of the runs on this environment, such as "seed3".
    """
    env = env_id.rpartition(":")[2].replace("/", "-")
    name = f"{env}-{which}-{time.strftime('%Y%m%d-%H%M%S')}"
    path, number = Path(RUNS_DIRECTORY, name), 1
    while path.exists():
        number += 1
        path = Path(RUNS_DIRECTORY, f"{name}-{number}")
    return path


def make_empty_directory(path: Path) -> list[Path]:
    """Make a directory and its parents, unless an empty one is there: those that were made, the outermost first.

    Raises:
        ValueError: the directory holds something, or cannot be made or read. Nothing was made then.
    """
    made: list[Path] = []
    try:
        for directory in reversed([path, *path.parents]):
            if not directory.exists():
                directory.mkdir()
                made.append(directory)
        check_empty(path)
    except (OSError, ValueError) as error:
        remove_empty(made)
        raise error if isinstance(error, InputError) else unwritable_directory(path, error) from None
    return made


def check_empty(path: Path) -> None:
    """ValueError if the directory `path` holds something or cannot be read. It need not exist."""
    try:
        if path.is_dir() and any(path.iterdir()):
            raise InputError(f"output_dir must be a new or empty directory, got {str(path)!r}, which is in use")
    except OSError as error:
        raise unwritable_directory(path, error) from None


def remove_empty(made: list[Path]) -> None:
    """Remove directories that `make_empty_directory` made, the innermost first, up to the first one that is in use."""
    for directory in reversed(made):
        try:
            directory.rmdir()
        except OSError:
            return


def unwritable_directory(path: Path, error: OSError | ValueError) -> InputError:
    """The error to raise when a run directory cannot be written, with the reason of the operating system."""
    name = getattr(error, "filename2", None) or getattr(error, "filename", None)
    inside = f"{Path(name).name}: " if name is not None and path in Path(name).parents else ""
    return InputError(f"output_dir must be writable, got {str(path)!r} ({inside}{reason(error)})")


def reason(error: OSError | ValueError) -> str:
    """Why a file cannot be read or written, in a few words: the operating system's or Python's."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def check_new(path: Path) -> Path:
    """`path` unchanged. ValueError if something is there already, be it a link that leads nowhere."""
    if os.path.lexists(path):
        raise InputError(f"output must be a new file, got {str(path)!r}, which exists")
    return path


def check_own_files(directory: Path) -> None:
    """ValueError, with the name, if what has the name of a run's file in `directory` is a link or another thing.

    The directory itself may be a link: the user named it.
    """
    inner = [directory / CHECKPOINT_DIRECTORY, directory / TENSORBOARD_DIRECTORY]
    for path in [*(directory / name for name in RUN_FILES), inner[0] / LOCK_FILE]:
        _check_own(path, stat.S_ISREG, "a file")
    for parent in inner:
        _check_own(parent, stat.S_ISDIR, "a directory")
    for path in inner[0].glob("[0-9]*"):
        _check_own(path, stat.S_ISDIR, "a directory")
    for parent in inner:
        for folder, directories, files in os.walk(parent):
            for name in [*directories, *files]:
                _check_own(Path(folder, name), lambda mode: not stat.S_ISLNK(mode), "a file or directory")


def _check_own(path: Path, fits: Callable[[int], bool], what: str) -> None:
    try:
        mode = os.lstat(path).st_mode
    except (OSError, ValueError):  # what is not there will be made
        return
    if not fits(mode):
        got = "a link, which is not followed" if stat.S_ISLNK(mode) else "another thing"
        raise InputError(f"{path} must be {what} of the run itself, got {got}")


@contextlib.contextmanager
def writing_output(path: Path) -> Iterator[None]:
    """Around the code that writes `path`: its parent directory is made, an OSError becomes a ValueError of one line.

    A link in the place of `path` gets such a line too.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        refuse_link(path)
        yield
    except OSError as error:
        raise InputError(f"output must be writable, got {str(path)!r} ({reason(error)})") from None


def write_output(path: Path, content: bytes) -> None:
    """`write_atomically` in a directory that is made if needed. ValueError if that fails."""
    with writing_output(path):
        write_atomically(path, content)


def write_atomically(path: Path, content: bytes) -> None:
    """Replace `path` by `content` in one step: a reader finds the old file or the new one, never a part.

    OSError if that fails; the old file stays.
    """
    with replacing(path) as temporary:
        write_synced(temporary, content)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, for a file or a directory that takes the name `path` at the end of the block.

    The temporary path ends as `path` does, because some writers choose their format by that. Nobody can foresee it.
    If the block fails, nothing is left of what it wrote and `path` is as it was. A directory cannot replace one that is
    in use. What a killed process left for this `path` is removed, once it is `ABANDONED`.
    """
    temporary = path.with_name(f".{_start(path)}.{secrets.token_hex(8)}.tmp{path.suffix}")
    clear_temporaries(path.parent, [path.name], unchanged_for=ABANDONED)
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        remove(temporary)
        raise


def clear_temporaries(directory: Path, names: Iterable[str] | None = None, unchanged_for: float = 0.0) -> None:
    """Remove what killed processes left of files they were writing into `directory`, as far as that can be done.

    Args:
        directory: where they wrote.
        names: of the files they were writing. None is any.
        unchanged_for: seconds; what was changed later stays.
    """
    own = None if names is None else {(_start(Path(name)), Path(name).suffix) for name in names}
    with contextlib.suppress(OSError):
        for entry in os.scandir(directory):
            match = _TEMPORARY.fullmatch(entry.name)
            if match is None or (own is not None and (match[1], match[2] or "") not in own):
                continue
            if time.time() - entry.stat(follow_symlinks=False).st_mtime >= unchanged_for:
                remove(Path(entry.path))


_TEMPORARY = re.compile(r"\.(.+?)(?:\.[0-9a-f]{16})?\.tmp(\..+)?")
"""Names that `replacing` gives. Those of earlier versions had no random part."""


def _start(path: Path) -> str:
    """The part of a temporary name that says what it is for. A long one is cut, as names cannot have any length."""
    return path.stem[:40]


def write_synced(path: Path, content: bytes) -> None:
    """Write a new file and wait until it is on the disk. OSError if that fails, or if anything has that name."""
    with open(path, "xb") as file:  # x, as O_EXCL, follows no link either
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def open_to_append(path: Path) -> BinaryIO:
    """A file, made if needed, to be written at its end. OSError if that fails, or if it is a link."""
    no_link = getattr(os, "O_NOFOLLOW", 0)
    return open(path, "ab", opener=lambda name, flags: os.open(name, flags | no_link, 0o666))


def remove(path: Path) -> None:
    """Remove a file, a link, or a directory with all it holds, as far as that can be done. No link is followed."""
    shutil.rmtree(path, ignore_errors=True)
    with contextlib.suppress(OSError):
        path.unlink()


def sync_directory(directory: Path) -> None:
    """Wait until the names in a directory are on the disk, so that a rename in it survives a power cut.

    A system that cannot open a directory (Windows) is left to do that in its own time.
    """
    try:
        handle = os.open(directory, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
