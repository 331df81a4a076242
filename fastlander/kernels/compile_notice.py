"""Prints a notice while kernels compile, which takes up to a minute at the first use on a machine."""

import gc
import sys
import threading
import time

PATIENCE = 1.0  # s: loading compiled kernels takes less, and then nothing is printed


class CompileNotice:
    """Prints on stderr that kernels compile, if that takes longer than PATIENCE, and at the end how long it took.

    Garbage collection is off inside the `with` block. Visiting the compiler's many objects took a tenth of the time.
    """

    def __enter__(self) -> "CompileNotice":
        self._started = time.perf_counter()
        self._done = threading.Event()
        self._collecting = gc.isenabled()
        gc.disable()
        self._thread = threading.Thread(target=self._tell, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        if self._collecting:
            gc.enable()

    def _tell(self) -> None:
        if self._done.wait(PATIENCE):
            return
        live = sys.stderr.isatty()
        text = "fastlander: compiling the lander for this machine, once (10 to 40 s)"
        print(text, end="" if live else "\n", file=sys.stderr, flush=True)
        while not self._done.wait(1.0):
            if live:
                print(f"\r{text} ... {self._seconds():.0f} s", end="", file=sys.stderr, flush=True)
        start = "\r" if live else ""
        print(f"{start}fastlander: compiled in {self._seconds():.1f} s{' ' * 40 * live}", file=sys.stderr, flush=True)

    def _seconds(self) -> float:
        return time.perf_counter() - self._started
