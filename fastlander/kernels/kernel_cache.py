"""The machine code of kernels on disk: where it is kept, and how long it is valid.

Numba keeps machine code in `__pycache__` or NUMBA_CACHE_DIR, and compiles a function again when the file that defines
the function changes. That rule does not fit this package. A kernel is built from functions of many files, and an edited
comment changes a file but no machine code. So every kernel has a digest here. It covers the file that defines the
kernel and all files of this package that this file imports, directly or through others. Comments, docstrings, blank
lines and line numbers do not count.
"""

import ast
import contextlib
import functools
import glob
import hashlib
import json
import pathlib
import pickle
import re
import secrets
import sys
from collections.abc import Callable
from typing import Any

import llvmlite
import numba
from numba.core.caching import CompileResultCacheImpl, FunctionCache
from numba.core.runtime import rtsys
from numba.core.serialize import dumps

from fastlander.kernels.compile_lock import CompileLock
from fastlander.kernels.notices import say
from fastlander.kernels.part_libraries import KernelLibrary
from fastlander.kernels.shipped import FOLDER, usable_level

PACKAGE = pathlib.Path(__file__).parents[1]

# `from fastlander.x import ...` or `import fastlander.x`. Parsing the files would take 0.1 s. The pattern starts with
# fixed text and looks at the word before it afterwards, because a search for fixed text is fast.
_IMPORT = re.compile(rb" fastlander\.(?<=from fastlander\.|port fastlander\.)([\w.]+)")


@functools.cache
def _read(path: pathlib.Path) -> bytes:
    return path.read_bytes()


@functools.cache
def imported_files(path: pathlib.Path) -> frozenset[pathlib.Path]:
    """The files of this package that one file imports. For an imported folder: all files in it."""
    return frozenset(file for name in _IMPORT.findall(_read(path)) for file in _files_of(name))


@functools.cache
def _files_of(name: bytes) -> list[pathlib.Path]:
    path = PACKAGE.joinpath(*name.decode().split("."))
    file = path.with_suffix(".py")
    return [file] if file.exists() else list(path.glob("*.py"))


def source_files(path: pathlib.Path) -> list[pathlib.Path]:
    """The files that a kernel defined in `path` can be built from: `path` and all that it imports, sorted."""
    found, waiting = set(), {path}
    while waiting:
        found |= waiting
        waiting = {file for known in waiting for file in imported_files(known)} - found
    return sorted(found)


def text_digest(files: list[pathlib.Path]) -> str:
    """A digest of the files as they are."""
    return _digest(hashlib.sha256(_read(file)).digest() for file in files)


def code_digest(files: list[pathlib.Path]) -> str:
    """A digest of what the files say to Python: their syntax trees without docstrings."""
    return _digest(_tree_digest(file) for file in files)


def _digest(parts: Any) -> str:
    return hashlib.sha256(b"".join(parts)).hexdigest()


@functools.cache
def _tree_digest(path: pathlib.Path) -> bytes:
    tree = ast.parse(_read(path))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [statement for statement in body if not _is_docstring(statement)]
    return hashlib.sha256(ast.dump(tree).encode()).digest()


def _is_docstring(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def remembered_code_digest(files: list[pathlib.Path], memo: pathlib.Path) -> str:
    """`code_digest` of the files. The result is written to the file `memo` and read from there the next time.

    If the files changed, it is computed again, which takes 0.2 s.
    """
    text = text_digest(files)
    with contextlib.suppress(OSError, ValueError, RecursionError):
        known = json.loads(memo.read_text(encoding="utf-8"))
        if (
            isinstance(known, dict)
            and known.get("text") == text
            and known.get("check") == _check(text, known.get("code"))
        ):
            return str(known["code"])
    code = code_digest(files)
    with contextlib.suppress(OSError):  # without the memo the next process computes it again
        write_whole(memo, json.dumps({"text": text, "code": code, "check": _check(text, code)}).encode())
    return code


def _check(text: str, code: Any) -> str:
    return hashlib.sha256(f"{text} {code}".encode()).hexdigest()


class KernelFiles:
    """The files of one kernel's machine code: one for each signature and processor.

    A file is a checksum of the rest, a line that says what the machine code is of, and the machine code. Machine code
    with a changed bit would crash or compute something else. A file is replaced in one step, so that processes that
    compile at the same time do not harm each other. Two processors never share a file, as its name has a digest of the
    key.

    Args:
        folder: where the files are.
        name: how their names begin.
        stamp: of the sources. Files with another stamp are out of date.
    """

    def __init__(self, folder: str, name: str, stamp: str) -> None:
        self._folder, self._name, self.stamp = pathlib.Path(folder), name, stamp

    def path(self, key: Any) -> pathlib.Path:
        """The file for a key: a signature and a processor."""
        return self._folder / f"{self._name}.{hashlib.sha256(repr(key).encode()).hexdigest()[:16]}.nbc"

    def load(self, key: Any) -> Any:
        """What was saved for the key, or None if nothing was, or for other sources.

        Raises:
            DamagedFile: the file cannot be read, or it is not as it was written.
        """
        path = self.path(key)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DamagedFile(f"{path}: {error.strerror}") from None
        if hashlib.sha256(content[_CHECKSUM:]).digest() != content[:_CHECKSUM]:
            raise DamagedFile(f"{path}: its checksum is wrong")
        label, _, code = content[_CHECKSUM:].partition(b"\n")
        return pickle.loads(code) if label == self._label(key) else None

    def holds(self, key: Any) -> bool:
        """Whether there is a file for the key, of these sources, whole or not."""
        label = self._label(key)
        with contextlib.suppress(OSError), open(self.path(key), "rb") as file:
            return file.read(_CHECKSUM + len(label) + 1)[_CHECKSUM:] == label + b"\n"
        return False

    def save(self, key: Any, data: Any) -> None:
        """Write what `load` gives for the key. OSError if that is not possible; then nothing is left behind."""
        content = self._label(key) + b"\n" + dumps(data)
        write_whole(self.path(key), hashlib.sha256(content).digest() + content)

    def flush(self) -> None:
        """Remove all files of the kernel."""
        for path in self._folder.glob(f"{glob.escape(self._name)}.*.nbc"):
            path.unlink()

    def _label(self, key: Any) -> bytes:
        return json.dumps([numba.__version__, self.stamp, repr(key)]).encode()


_CHECKSUM = hashlib.sha256().digest_size


class DamagedFile(Exception):
    """A file of machine code that cannot be used. The message is its path and the reason."""


def write_whole(path: pathlib.Path, content: bytes) -> None:
    """Write a file in one step: others see the old one or the new one. An empty directory in its place is removed."""
    unfinished = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        unfinished.write_bytes(content)
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        unfinished.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            unfinished.unlink()
        raise


_said: set[str] = set()


def say_once(line: str, details: str) -> None:
    """Print a line on stderr, if there is one. The same line is printed once, whatever the details."""
    if line not in _said:
        _said.add(line)
        say(f"fastlander: {line} ({details})")


class _Names(CompileResultCacheImpl):
    def get_filename_base(self, fullname: str, abiflags: str) -> str:
        """`module.function.py311`. Numba's own name has a line number in it, which an edited comment changes."""
        return f"{fullname}.py{sys.version_info[0]}{sys.version_info[1]}{abiflags}"

    def rebuild(self, target_context: Any, payload: Any) -> Any:
        """The compiled kernel of what `reduce` gave, with a KernelLibrary."""
        codegen = target_context.codegen()
        codegen._library_class = KernelLibrary  # for this object, in which Numba looks the class up
        try:
            return super().rebuild(target_context, payload)
        finally:
            del codegen._library_class


class KernelCache(FunctionCache):
    """The machine code of one kernel, for each signature and processor.

    A file that is damaged is replaced, and one that cannot be written is not kept. Either is said once, on stderr.

    Args:
        function: a function at the top level of a module. Its file decides how long machine code is valid, its name
            and file decide where it is kept.

    Raises:
        RuntimeError: there is no directory that can be written.
        OSError: a source file cannot be read.
    """

    _impl_class = _Names

    def __init__(self, function: Callable) -> None:
        super().__init__(function)
        name, folder = self._impl.filename_base, self._impl.locator.get_cache_path()
        files = source_files(pathlib.Path(function.__code__.co_filename))
        code = remembered_code_digest(files, pathlib.Path(folder, f"{name}.source"))
        self._lock = CompileLock(pathlib.Path(folder, f"{name}.lock"), function.__name__)
        stamp = f"{code} llvmlite {llvmlite.__version__}"
        # Numba adds the processor's name and features to the key below.
        self._cache_file = KernelFiles(folder, name, stamp)
        self._level = usable_level()
        self._shipped = None if self._level is None else KernelFiles(str(FOLDER / self._level), name, stamp)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The compiled kernel for a signature, or None if it has to be compiled.

        While another process compiles it, this one waits.
        """
        found = self._load(sig, target_context)
        if found is None and self._lock.acquire():
            found = self._load(sig, target_context)
        if found is not None:
            self._lock.release()
        return found

    def holds(self, sig: Any, target_context: Any) -> bool:
        """Whether there is machine code for a signature, damaged or not."""
        shipped = self._shipped is not None and self._shipped.holds((sig, self._level))
        return shipped or self._cache_file.holds(self._index_key(sig, target_context.codegen()))

    def ship(self, sig: Any, compiled: Any, folder: pathlib.Path, level: str) -> None:
        """Write a compiled kernel to a folder that is to come with the package, for processors of a level."""
        files = KernelFiles(str(folder), self._impl.filename_base, self._cache_file.stamp)
        files.save((sig, level), self._impl.reduce(compiled))

    def is_free(self) -> bool:
        """Whether no other process compiles the kernel now."""
        return self._lock.is_free()

    def _load(self, sig: Any, target_context: Any) -> Any:
        try:
            # Numba's `load_overload` makes its target context ready to compile first, and imports half of Numba for it.
            # Machine code that is there needs only the runtime, whose symbols it may name.
            rtsys.initialize(target_context)
            with self._guard_against_spurious_io_errors():
                found = self._load_overload(sig, target_context)
            if found is None and self._shipped is not None:
                data = self._shipped.load((sig, self._level))
                found = data if data is None else self._impl.rebuild(target_context, data)
            return found
        except DamagedFile as error:
            say_once("a file of compiled kernels is damaged, and what was in it is compiled again", str(error))
        except Exception as error:  # whole, but not for this Numba: unpickling can raise anything
            say_once("compiled kernels cannot be read and are compiled again", f"{self.cache_path}: {error!r}")
        return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep a compiled kernel, if that is possible."""
        try:
            super().save_overload(sig, data)
        except OSError as error:
            line = "compiled kernels cannot be written and will be compiled again"
            say_once(line, f"{self.cache_path}: {error.strerror or error}")
        finally:
            self._lock.release()

    def _index_key(self, sig: Any, codegen: Any) -> tuple[Any, ...]:
        """Numba's key without its hash of the bytecode, which a docstring can change. The digest covers the code."""
        return sig, codegen.magic_tuple()
