"""A word to the user while kernels are compiled: once per machine and version, and it takes a while."""

import gc
import sys
import threading
import time

PATIENCE = 1.0  # s: loading from the cache takes less


class CompileNotice:
    """Says on stderr that kernels are being compiled, if that takes more than a moment, and how long it took.

    Garbage collection pauses meanwhile: walking over the compiler's many objects would take a tenth of the time.
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
