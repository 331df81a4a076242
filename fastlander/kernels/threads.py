"""Threads that wait in a compiled loop, where work reaches them within a microsecond: `KernelThreads`.

A serving kernel takes (signal, patience, *arguments) and looks like this:

    looks = 0
    while True:
        if takes(signal):
            ...  # the work
            note_done(signal)
            looks = 0
        looks += 1
        if looks > patience:
            if falls_asleep(signal):
                return
            looks = 0

Work that no thread has begun when the caller comes to wait for it, because other programs keep the processors busy, the
caller does itself.
"""

import atexit
import os
import threading
import weakref
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from fastlander.kernels.atomics import atomic_exchange, atomic_load, atomic_replace
from fastlander.kernels.jit import inlined, uncounted_kernel

# Words of a thread's signal, int64[4]: how often work was asked for, how often done, whether the thread sleeps, and how
# often work was begun.
ASKED, DONE, SLEEPS, BEGUN = 0, 1, 2, 3

SHORT, LONG = 300_000, 3_000_000  # looks of patience: a tenth of a millisecond and a whole one, about


@inlined
def takes(signal):
    """Whether there is work that nobody has begun: then it is the caller's."""
    asked = atomic_load(signal, ASKED)
    # Not an exchange: who looked long ago must not begin work anew that somebody else has done since.
    return atomic_load(signal, BEGUN) != asked and atomic_replace(signal, BEGUN, asked - 1, asked)


@inlined
def note_done(signal):
    """The work is done."""
    atomic_exchange(signal, DONE, atomic_load(signal, DONE) + 1)


@inlined
def falls_asleep(signal):
    """Go to sleep, unless there is work in this very moment: whether the thread sleeps now."""
    atomic_exchange(signal, SLEEPS, 1)
    # Asked just now? Then one of the two sides has taken the 1 back: if it was not this one, the other one wakes
    # this thread.
    return atomic_load(signal, ASKED) == atomic_load(signal, DONE) or atomic_exchange(signal, SLEEPS, 0) == 0


@uncounted_kernel
def ask(signal):
    """Ask a thread for its work once more: whether it sleeps and is to be woken."""
    atomic_exchange(signal, ASKED, atomic_load(signal, ASKED) + 1)
    return atomic_exchange(signal, SLEEPS, 0) == 1


@uncounted_kernel
def await_all(signals):
    """-1 when each thread, int64[threads, 4], has done its work; or before, one whose work is the caller's now."""
    for k in range(len(signals)):
        signal = signals[k]
        if takes(signal):
            return k
        while atomic_load(signal, DONE) != atomic_load(signal, ASKED):
            pass
    return -1


@uncounted_kernel
def note_done_here(signal):
    """`note_done`, by the caller."""
    note_done(signal)


def run_here(serve: Callable[..., None], *arguments: Any) -> None:
    """The work of a serving kernel once, in the caller's thread."""
    serve(np.array([1, 0, 0, 0]), 0, *arguments)  # it is asked for once, was never begun, and nothing is waited for


class KernelThreads:
    """One thread per entry of `shares`, each with its own arguments of one serving kernel.

    The arrays in them stay the same from one time to the next: a thread that is awake sees by its signal that there is
    work. Waking one takes as long as stepping a hundred landers, so it stays awake for `patience` looks at its signal.

    Args:
        serve: the serving kernel.
        shares: its arguments behind signal and patience, for each thread.
        patience: looks.
    """

    def __init__(self, serve: Callable[..., None], shares: Iterable[tuple[Any, ...]], patience: int = SHORT) -> None:
        shares = list(shares)
        self._serve, self._shares, self._patience = serve, shares, patience
        self._signals = np.zeros((len(shares), 4), np.int64)
        self._wake = [threading.Semaphore(0) for _ in shares]
        self._closed = False
        self._signals[:, SLEEPS] = 1
        self._threads = [
            threading.Thread(target=self._run, args=(k, share), name=f"{serve.__name__} {k}", daemon=True)
            for k, share in enumerate(shares)
        ]
        for thread in self._threads:
            thread.start()
        _OPEN.add(self)

    def __len__(self) -> int:
        return len(self._wake)

    def start(self) -> None:
        """Have every thread do its work once."""
        for signal, wake in zip(self._signals, self._wake, strict=True):
            if ask(signal):
                wake.release()

    def wait(self) -> None:
        """Come back when they have."""
        while (k := await_all(self._signals)) >= 0:
            run_here(self._serve, *self._shares[k])
            note_done_here(self._signals[k])

    def close(self) -> None:
        """End the threads, as soon as they have run out of patience."""
        self._closed = True
        for wake in self._wake:
            wake.release()
        for thread in self._threads:
            thread.join()
        _OPEN.discard(self)

    def _run(self, k: int, share: tuple[Any, ...]) -> None:
        while True:
            self._wake[k].acquire()
            if self._closed:
                return
            self._serve(self._signals[k], self._patience, *share)


_OPEN: weakref.WeakSet[KernelThreads] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """A thread that came out of its kernel while the interpreter goes down would abort the process."""
    for threads in list(_OPEN):
        threads.close()


def available_processors() -> int:
    """Processors that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
