"""Reading the files of a run, which may be anybody's. No link is followed, and no file is read that is too large.

Every reason is a few words in the `strerror` of an OSError, or the text of a ValueError, for the one line that names
the file. Nothing here imports torch.
"""

import contextlib
import errno
import io
import json
import math
import os
import stat
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from fastlander.validation import quoted

MEGABYTE = 10**6
LARGEST_MODEL = 2 * 10**9  # bytes of a model file
LARGEST_SETTINGS = 10**6  # bytes of config.json
DEEPEST_JSON = 20  # lists and objects within each other
# On a system without them (Windows) these flags are 0. Without O_NONBLOCK a named pipe would be waited for.
_NO_LINKS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def machine_memory() -> int:
    """Bytes of memory of this machine, or 2**63 where the system does not tell."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return 2**63


@contextlib.contextmanager
def opened(path: Path, most: int) -> Iterator[tuple[BinaryIO, int]]:
    """A plain file, open for reading, and its size in bytes.

    Raises:
        OSError: it is a link, a directory or another thing that is no file, it has more than `most` bytes, or the
            system cannot read it.
    """
    refuse_link(path)
    try:
        handle = os.open(path, os.O_RDONLY | _NO_LINKS)
    except ValueError:  # a NUL in the path
        raise OSError(errno.EINVAL, "Invalid path") from None
    with open(handle, "rb") as file:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            directory = stat.S_ISDIR(status.st_mode)
            raise OSError(errno.EISDIR if directory else errno.EINVAL, "Is a directory" if directory else "Not a file")
        if status.st_size > most:
            raise OSError(errno.EFBIG, f"it has {status.st_size / MEGABYTE:,.0f} MB, at most {most / MEGABYTE:,.0f}")
        yield file, status.st_size


def read_file(path: Path, most: int) -> bytes:
    """The content of a plain file of at most `most` bytes. OSError as for `opened`."""
    with opened(path, most) as (file, size):
        return file.read(size)


def refuse_link(path: Path) -> None:
    """OSError if `path` is a symbolic link. What is not there is no link."""
    with contextlib.suppress(ValueError):  # a NUL in the path
        if os.path.islink(path):
            raise OSError(errno.ELOOP, "it is a link, which is not followed")


def parse_json(content: bytes) -> Any:
    """The value of a JSON text in UTF-8. ValueError if it is none, is nested too deep, or has a number too long."""
    try:
        value = json.loads(content.decode())
    except UnicodeDecodeError:
        raise ValueError("it is no text in UTF-8") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"it is no JSON: {error}") from None
    except ValueError:
        raise ValueError("it has a number of too many digits") from None
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    level = [value]
    for _ in range(DEEPEST_JSON):
        level = [inner for one in level for inner in _inner_values(one)]
    if level:
        raise ValueError("it is nested too deep")
    return value


def _inner_values(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def parse_npz(content: bytes) -> dict[str, np.ndarray]:
    """The arrays of an npz file as `np.savez` writes it: stored without compression, and no Python objects.

    A compressed file can claim any size, so none is inflated. No array is larger than its part of the file.

    Raises:
        ValueError: it is no such file.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            if any(one.compress_type != zipfile.ZIP_STORED or one.file_size != one.compress_size for one in members):
                raise ValueError("its arrays are compressed")
            if sum(one.file_size for one in members) > len(content):
                raise ValueError("its arrays overlap")
            return {one.filename.removesuffix(".npy"): _parse_npy(archive.read(one)) for one in members}
    except Exception as error:  # whatever zipfile and NumPy raise for foreign bytes, the bytes are to blame
        raise ValueError(f"it is no npz file of plain arrays: {quoted(error)}") from None


def _parse_npy(content: bytes) -> np.ndarray:
    """The array of an npy file. An exception of any kind if it is none, holds objects, or is not as long as it says."""
    file = io.BytesIO(content)
    version = np.lib.format.read_magic(file)
    if version != (1, 0):
        raise ValueError("an array has another format")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
    if dtype.hasobject or dtype.names is not None or math.prod(shape) * dtype.itemsize != len(content) - file.tell():
        raise ValueError("an array has another size than it says, or holds objects")
    array = np.frombuffer(content, dtype, offset=file.tell())
    return array.reshape(shape[::-1]).T.copy(order="F") if fortran else array.reshape(shape).copy()


def first_difference(one: Mapping[str, Any], other: Mapping[str, Any]) -> str | None:
    """The first setting that one has and the other has not, or has otherwise; None if there is none."""
    return next((name for name in dict.fromkeys([*one, *other]) if one.get(name) != other.get(name)), None)
