"""`Clock`: seconds of a run, and its speed: steps per second of training, updates included and judging not."""

import contextlib
import time
from collections.abc import Iterator


class Clock:
    """Seconds since the run began, and steps per second: between two calls of `rate`, and since this process began."""

    def __init__(self) -> None:
        self._start = self._last = self._first = time.perf_counter()
        self._timesteps = self._first_timesteps = 0

    def seconds(self) -> float:
        """Seconds since the clock was made."""
        return time.perf_counter() - self._start

    def go_on(self, seconds: float, timesteps: int) -> None:
        """Take over the seconds and timesteps of another clock."""
        self._last = self._first = time.perf_counter()
        self._start, self._timesteps, self._first_timesteps = self._last - seconds, timesteps, timesteps

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """The seconds that the body takes do not count in rates."""
        began = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - began
            self._last += seconds
            self._first += seconds

    def rate(self, timesteps: int) -> float:
        """Timesteps per second since the last call."""
        now = time.perf_counter()
        rate = (timesteps - self._timesteps) / max(now - self._last, 1e-9)
        self._last, self._timesteps = now, timesteps
        return rate

    def mean_rate(self, timesteps: int) -> float:
        """Timesteps per second since this clock was made, or took over from another one; 0 if there were none."""
        return (timesteps - self._first_timesteps) / max(time.perf_counter() - self._first, 1e-9)
