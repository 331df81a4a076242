"""`Clock`: seconds of a run, and its steps per second."""

import contextlib
import time
from collections.abc import Iterator


class Clock:
    """Seconds since the run began, and steps per second between two calls of `rate`."""

    def __init__(self) -> None:
        self._start = self._last = time.perf_counter()
        self._timesteps = 0

    def seconds(self) -> float:
        """Seconds since the clock was made."""
        return time.perf_counter() - self._start

    def go_on(self, seconds: float, timesteps: int) -> None:
        """Take over the seconds and timesteps of another clock."""
        self._last = time.perf_counter()
        self._start, self._timesteps = self._last - seconds, timesteps

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """The seconds that the body takes do not count in the next `rate`."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self._last += time.perf_counter() - began

    def rate(self, timesteps: int) -> float:
        """Timesteps per second since the last call."""
        now = time.perf_counter()
        rate = (timesteps - self._timesteps) / max(now - self._last, 1e-9)
        self._last, self._timesteps = now, timesteps
        return rate
