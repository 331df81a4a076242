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
import hashlib
import json
import os
import pathlib
import re
import sys
from collections.abc import Callable
from typing import Any

import llvmlite
from numba.core.caching import CompileResultCacheImpl, FunctionCache, IndexDataCacheFile

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
    with contextlib.suppress(OSError, ValueError):
        known = json.loads(memo.read_text())
        if isinstance(known, dict) and known.get("text") == text:
            return str(known["code"])
    code = code_digest(files)
    with contextlib.suppress(OSError):  # without the memo the next process computes it again
        unfinished = memo.with_name(f"{memo.name}.{os.getpid()}")
        unfinished.write_text(json.dumps({"text": text, "code": code}))
        unfinished.replace(memo)
    return code


class _Names(CompileResultCacheImpl):
    def get_filename_base(self, fullname: str, abiflags: str) -> str:
        """`module.function.py311`. Numba's own name has a line number in it, which an edited comment changes."""
        return f"{fullname}.py{sys.version_info[0]}{sys.version_info[1]}{abiflags}"


class KernelCache(FunctionCache):
    """The machine code of one kernel, for each signature and processor.

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
        # Numba adds its own version to the stamp, and the processor's name and features to the key below.
        self._cache_file = IndexDataCacheFile(folder, name, f"{code} llvmlite {llvmlite.__version__}")

    def _index_key(self, sig: Any, codegen: Any) -> tuple[Any, ...]:
        """Numba's key without the hash of the bytecode: a new docstring can change it, and the digest covers it."""
        return sig, codegen.magic_tuple()
