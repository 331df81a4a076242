"""Prints a notice while kernels compile, which takes up to two minutes at the first use on a machine.

Numba says when it begins and ends to compile a function, so nothing is printed for kernels that are loaded. A module
imports this one, and kernels give notice from then on. No file that a kernel is made of needs it for that: then another
text here would compile all kernels again.
"""

import gc
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, TextIO

from numba.core import event

from fastlander.kernels.jit import KERNELS
from fastlander.kernels.notices import say

PATIENCE = 1.0  # s: a kernel that compiles faster is not worth a notice
# How long the large kernels took on machines of 1 to 4 processors, idle and busy.
ESTIMATES = {
    "serve_step_once": "15 to 40 seconds",
    "step_one": "15 to 40 seconds",
}
_OTHERS = "a few seconds"


class CompileNotice(event.Listener):
    """Prints on stderr which kernel compiles, of how many of its folder, and at the end how long it took.

    Garbage collection is off while a kernel compiles. Visiting the compiler's many objects took a tenth of the time.
    """

    def __init__(self) -> None:
        self._compiling: Callable | None = None

    def on_start(self, compiling: event.Event) -> None:
        """Begin to wait until a notice is due. Numba compiles one function at a time, and the parts of kernels too."""
        kernel = compiling.data["dispatcher"]
        if self._compiling is not None or not any(kernel is known for known in KERNELS):
            return
        self._compiling, self._overloads = kernel, len(kernel.overloads)
        self._started, self._done = time.perf_counter(), threading.Event()
        self._collecting = gc.isenabled()
        gc.disable()
        self._thread = threading.Thread(target=self._tell, args=(self._line(kernel), kernel.__name__), daemon=True)
        self._thread.start()

    def on_end(self, compiling: event.Event) -> None:
        """Say how long it took, if it was said that it began."""
        kernel = compiling.data["dispatcher"]
        if self._compiling is not kernel:
            return
        self._compiling, self._finished = None, len(kernel.overloads) > self._overloads
        self._done.set()
        self._thread.join()
        if self._collecting:
            gc.enable()

    def _line(self, kernel: Any) -> str:
        folder = _folder(kernel)
        group = [known for known in KERNELS if _folder(known) == folder]
        number = next(k for k, known in enumerate(group, 1) if known is kernel)
        name = kernel.__name__
        return (
            f"fastlander: compiling {name} ({number} of the {len(group)} kernels of {folder}) once for this machine: "
            f"{ESTIMATES.get(name, _OTHERS)}, more if it is busy"
        )

    def _tell(self, line: str, name: str) -> None:
        if self._done.wait(PATIENCE):
            return
        say(line)
        live = _is_terminal(sys.stderr)
        while not self._done.wait(1.0):
            if live:
                say(f"\rfastlander: {self._seconds():.0f} s", end="")
        end = f"compiled {name} in" if self._finished else f"stopped compiling {name} after"
        start = "\r" if live else ""
        say(f"{start}fastlander: {end} {self._seconds():.1f} s")

    def _seconds(self) -> float:
        return time.perf_counter() - self._started


def _is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # it is closed
        return False


def _folder(kernel: Any) -> str:
    """The folder of a kernel's module: "lander" for fastlander.lander.step."""
    names = kernel.__module__.split(".")
    return names[1] if len(names) > 2 else names[0]


event.register("numba:compile", CompileNotice())
