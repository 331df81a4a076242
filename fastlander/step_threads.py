"""Threads that step a share of the landers beside the caller's own."""

import os
import threading
from collections.abc import Iterable
from typing import Any

import numpy as np

from fastlander.batch import ask, await_all, serve

SHORT, LONG = 300_000, 3_000_000


def step_range(*share: Any) -> None:
    """Step the landers of `share`, the arguments of `step_once`, in this thread."""
    serve(np.array([1, 0, 0]), 0, *share)  # one step is asked for, none is done, and none is waited for


class StepThreads:
    """One thread per entry of `shares`, the arguments of `step_once` for the landers that are its own.

    The arrays in them stay the same from step to step: a thread that is awake sees by its signal that there is work.
    It stays awake for `patience` looks at the signal after its last step, a tenth of a millisecond for SHORT.
    """

    def __init__(self, shares: Iterable[tuple[Any, ...]], patience: int = SHORT) -> None:
        shares = list(shares)
        self._patience = patience
        self._signals = np.zeros((len(shares), 3), np.int64)
        self._wake = [threading.Semaphore(0) for _ in shares]
        self._closed = False
        for k, share in enumerate(shares):
            self._signals[k, 2] = 1
            threading.Thread(target=self._run, args=(k, share), name=f"lander {k + 1}", daemon=True).start()

    def __len__(self) -> int:
        return len(self._wake)

    def start(self) -> None:
        """Have every thread step its landers once."""
        for signal, wake in zip(self._signals, self._wake, strict=True):
            if ask(signal):
                wake.release()

    def wait(self) -> None:
        """Come back when they have."""
        await_all(self._signals)

    def close(self) -> None:
        """End the threads."""
        self._closed = True
        for wake in self._wake:
            wake.release()

    def _run(self, k: int, share: tuple[Any, ...]) -> None:
        while True:
            self._wake[k].acquire()
            if self._closed:
                return
            serve(self._signals[k], self._patience, *share)


def available_processors() -> int:
    """Processors that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
