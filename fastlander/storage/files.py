"""The names in a run directory, and how this package writes: whole files or none, and one line if it cannot.

Nothing here imports torch, so that a command can check a path before it loads anything slow.
"""

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from fastlander.validation import InputError

CONFIG_FILE, MODEL_FILE, REPORT_FILE, ONNX_FILE = "config.json", "model.safetensors", "report.html", "model.onnx"
METRICS_FILE, EPISODES_FILE, EVALUATIONS_FILE = "metrics.csv", "episodes.csv", "evaluations.csv"
CHECKPOINT_DIRECTORY, LOCK_FILE, TENSORBOARD_DIRECTORY = "checkpoint", ".lock", "tensorboard"
RUNS_DIRECTORY = "runs"
"""Holds the directories of runs that were not told where to write."""


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
        if any(path.iterdir()):
            raise InputError(f"output_dir must be a new or empty directory, got {str(path)!r}, which is in use")
    except OSError as error:
        remove_empty(made)
        raise unwritable_directory(path, error) from None
    return made


def remove_empty(made: list[Path]) -> None:
    """Remove directories that `make_empty_directory` made, the innermost first, up to the first one that is in use."""
    for directory in reversed(made):
        try:
            directory.rmdir()
        except OSError:
            return


def unwritable_directory(path: Path, error: OSError) -> InputError:
    """The error to raise when a run directory cannot be written, with the reason of the operating system."""
    return InputError(f"output_dir must be writable, got {str(path)!r} ({error.strerror or type(error).__name__})")


def check_new(path: Path) -> Path:
    """`path` unchanged. ValueError if something is there already."""
    if path.exists():
        raise InputError(f"output must be a new file, got {str(path)!r}, which exists")
    return path


@contextlib.contextmanager
def writing_output(path: Path) -> Iterator[None]:
    """Around the code that writes `path`: its parent directory is made, an OSError becomes a ValueError of one line."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise InputError(f"output must be writable, got {str(path)!r} ({error.strerror or error})") from None


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

    The temporary path ends as `path` does, because some writers choose their format by that. If the block fails,
    nothing is left of what it wrote and `path` is as it was. A directory cannot replace one that is in use.
    """
    temporary = path.with_name(f".{path.stem}.tmp{path.suffix}")
    _remove(temporary)  # of a process that was killed
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        _remove(temporary)
        raise


def write_synced(path: Path, content: bytes) -> None:
    """Write a file and wait until it is on the disk. OSError if that fails."""
    with open(path, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _remove(path: Path) -> None:
    """Remove a file or a directory with all it holds, as far as that can be done."""
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
