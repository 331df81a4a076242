"""Processes that compile what this one will need, while this one compiles what it needs now: `HELPERS`.

All keep machine code in the same cache, and a `CompileLock` sees to it that no two compile the same kernel.
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

INTERVAL = 0.5  # s, between two looks at what the helpers have compiled
MOST = 2  # helpers; together they have as much to do as this process with the step of landers
_CODE = """
import importlib, sys
sys.path[:] = {path!r}
importlib.import_module("fastlander.warmup").be_helper({work!r})
"""


class Helpers:
    """The processes of this one that compile, if there are any. They end with this process."""

    def __init__(self) -> None:
        self._processes: list[subprocess.Popen] = []
        self.allowed = True
        """Whether this process may start some: not if it is a helper itself."""

    def start(self, work: tuple[str, ...]) -> None:
        """Start them, once, one for each further processor.

        work: names of `fastlander.signatures.GROUPS`, the most urgent first. Each helper does all that no other one
        has done, and begins with another group.
        """
        if self._processes or not self.allowed or not sys.executable:
            return
        with contextlib.suppress(OSError):  # then this process compiles everything
            for number in range(min(available_processors() - 1, MOST)):
                self._processes.append(_start_helper(work[-number:] + work[:-number]))
        if self._processes:
            atexit.register(self.end, is_command())

    def is_running(self) -> bool:
        """Whether one is at work."""
        return any(process.poll() is None for process in self._processes)

    def end(self, wait: bool) -> None:
        """Wait until they have compiled everything, so that the next command finds it, or else stop them at once."""
        if not self.is_running():
            return
        start = time.monotonic()
        try:
            if wait:
                say("fastlander: compiling the rest for the next time, once for this machine; Ctrl-C stops it")
                for process in self._processes:
                    process.wait()
                say(f"fastlander: compiled the rest in {time.monotonic() - start:.1f} s")
        finally:
            for process in self._processes:
                process.kill()
                process.wait()


def _start_helper(work: tuple[str, ...]) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", _CODE.format(path=sys.path, work=work)],
        stdin=subprocess.PIPE,  # never written to: its end tells the process that this one has ended
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for this process, which then ends the other
    )


HELPERS = Helpers()
"""Those of this process."""


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
        """Whether the loop can be used. What no helper is compiling is compiled now."""
        if self.calls is None and time.monotonic() >= self._next_look:
            if HELPERS.is_running() and not is_compiled(self._kernel, self._arguments):
                self._next_look = time.monotonic() + INTERVAL
            else:
                self._kernel.compile(self._arguments)
                self.calls = np.array(self._addresses(), np.int64)
        return self.calls is not None
