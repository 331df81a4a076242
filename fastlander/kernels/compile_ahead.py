"""A second process that compiles what this one will need, while this one compiles what it needs now: `SECOND_PROCESS`.

Both keep machine code in the same cache, and a `CompileLock` sees to it that they do not compile the same kernel.
"""

import atexit
import contextlib
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from fastlander.kernels.jit import is_compiled
from fastlander.kernels.notices import say
from fastlander.kernels.processor import available_processors
from fastlander.startup import is_command

INTERVAL = 0.5  # s, between two looks at what the second process has compiled
_CODE = """
import importlib, sys
sys.path[:] = {path!r}
importlib.import_module("fastlander.warmup").be_second_process({work!r})
"""


class SecondProcess:
    """The process of this one that compiles, if there is one. It ends with this process."""

    def __init__(self) -> None:
        self._process: subprocess.Popen | None = None
        self.allowed = True
        """Whether this process may start one: not if it is one itself."""

    def start(self, work: tuple[str, ...]) -> None:
        """Start it, once, if there is a processor for it. work: names of `fastlander.signatures.GROUPS`, in order."""
        if self._process is not None or not self.allowed or available_processors() < 2 or not sys.executable:
            return
        code = _CODE.format(path=sys.path, work=work)
        with contextlib.suppress(OSError):  # then this process compiles everything
            self._process = subprocess.Popen(
                [sys.executable, "-c", code],
                stdin=subprocess.PIPE,  # never written to: its end tells the process that this one has ended
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for this process, which then ends the other
            )
            atexit.register(self.end, is_command())

    def is_running(self) -> bool:
        """Whether it is at work."""
        return self._process is not None and self._process.poll() is None

    def end(self, wait: bool) -> None:
        """Wait until it has compiled everything, so that the next command finds it, or else stop it at once."""
        if not self.is_running():
            return
        start = time.monotonic()
        try:
            if wait:
                say("fastlander: compiling the rest for the next time, once for this machine; Ctrl-C stops it")
                self._process.wait()
                say(f"fastlander: compiled the rest in {time.monotonic() - start:.1f} s")
        finally:
            self._process.kill()
            self._process.wait()


SECOND_PROCESS = SecondProcess()
"""The one of this process."""


class Loop:
    """A kernel that calls others by address and does the work of a loop in Python, as soon as it is compiled.

    Args:
        kernel: the loop.
        arguments: Numba's types of its arguments.
        addresses: gives the addresses of the kernels that it calls, and compiles those that are not there.
    """

    def __init__(self, kernel: Any, arguments: tuple[Any, ...], addresses: Callable[[], list[int]]) -> None:
        self._kernel, self._arguments, self._addresses = kernel, arguments, addresses
        self._next_look = 0.0
        self.calls: np.ndarray | None = None
        """int64[calls], the addresses, when the loop can be used."""

    def is_ready(self) -> bool:
        """Whether the loop can be used. What no second process is compiling is compiled now."""
        if self.calls is None and time.monotonic() >= self._next_look:
            if SECOND_PROCESS.is_running() and not is_compiled(self._kernel, self._arguments):
                self._next_look = time.monotonic() + INTERVAL
            else:
                self._kernel.compile(self._arguments)
                self.calls = np.array(self._addresses(), np.int64)
        return self.calls is not None
