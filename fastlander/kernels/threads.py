"""Threads that wait for work in a compiled loop: `KernelThreads`. Work reaches them within a microsecond.

The work is a `part` of kernels. `serving` makes a kernel of it that waits, works and waits again, and a thread runs
that kernel. The caller and the thread communicate through a few shared numbers, the thread's signal. If other programs
keep the processors busy, a thread may not have begun its work when the caller waits for it. Then the caller does it.
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

# Words of a thread's signal, int64[4]: how often work was asked for, how often work was done, whether the thread sleeps
# (1 or 0), how often work was begun.
ASKED, DONE, SLEEPS, BEGUN = 0, 1, 2, 3

# How often a thread looks for work before it goes to sleep: for about 0.1 ms and about 1 ms.
SHORT, LONG = 300_000, 3_000_000


@inlined
def takes(signal):
    """Take work that was asked for and that nobody has begun. True: the caller has to do it now."""
    asked = atomic_load(signal, ASKED)
    # An exchange would be wrong. Another thread may have done this work since `asked` was read, and then it must not be
    # begun a second time.
    return atomic_load(signal, BEGUN) != asked and atomic_replace(signal, BEGUN, asked - 1, asked)


@inlined
def note_done(signal):
    """Say that the work is done."""
    atomic_exchange(signal, DONE, atomic_load(signal, DONE) + 1)


@inlined
def falls_asleep(signal):
    """Go to sleep unless there is work. True: the thread sleeps from now on."""
    atomic_exchange(signal, SLEEPS, 1)
    # Work may be asked for at this very moment. Then both sides set SLEEPS to 0, and one of them reads the 1. If it is
    # the other side, it wakes this thread.
    return atomic_load(signal, ASKED) == atomic_load(signal, DONE) or atomic_exchange(signal, SLEEPS, 0) == 0


def serving(work: Callable) -> Callable[..., None]:
    """A kernel (signal, patience, *arguments) that does `work(*arguments)` each time it is asked to.

    It returns when it has looked for work `patience` times and found none. Its machine code is kept under the name of
    `work`.

    Args:
        work: a `part` of kernels at the top level of a module.
    """

    def serve(signal, patience, *arguments):
        looks = 0
        while True:
            if takes(signal):
                work(*arguments)
                note_done(signal)
                looks = 0
            looks += 1
            if looks > patience:
                if falls_asleep(signal):
                    return
                looks = 0

    # Numba derives the names of machine code from these: two serving kernels must not have the same ones.
    serve.__name__ = serve.__qualname__ = f"serve_{work.py_func.__name__}"
    serve.__module__ = work.py_func.__module__
    return uncounted_kernel(serve, cached_as=work.py_func)


@uncounted_kernel
def ask(signal):
    """Ask a thread for its work once more. True: the thread sleeps, and the caller has to wake it."""
    atomic_exchange(signal, ASKED, atomic_load(signal, ASKED) + 1)
    return atomic_exchange(signal, SLEEPS, 0) == 1


@uncounted_kernel
def await_all(signals):
    """Wait until each thread has done its work, or until one is found that has not begun.

    signals: int64[threads, 4]. Returns -1 if all is done, else the number of a thread whose work the caller now has to
    do.
    """
    for k in range(len(signals)):
        signal = signals[k]
        if takes(signal):
            return k
        while atomic_load(signal, DONE) != atomic_load(signal, ASKED):
            pass
    return -1


@uncounted_kernel
def note_done_here(signal):
    """`note_done`, for a caller outside of kernels."""
    note_done(signal)


_ASKED_ONCE = np.array([1, 0, 0, 0])


def run_here(serve: Callable[..., None], *arguments: Any) -> None:
    """Do the work of a serving kernel once, in the caller's thread."""
    # By this signal there is work that nobody has begun. With a patience of 0 the kernel returns when it is done.
    serve(_ASKED_ONCE.copy(), 0, *arguments)


class KernelThreads:
    """Threads that run one serving kernel, each with arguments of its own.

    A thread gets its arguments once. It reads and writes the same arrays every time it is asked to work. Waking a
    sleeping thread takes as long as stepping a hundred landers, so a thread stays awake for `patience` looks.

    Args:
        serve: a kernel that `serving` made.
        shares: for each thread the arguments of the work.
        patience: how often a thread looks for work before it goes to sleep.
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
        """Ask every thread to do its work once."""
        for signal, wake in zip(self._signals, self._wake, strict=True):
            if ask(signal):
                wake.release()

    def wait(self) -> None:
        """Return when every thread's work is done. Work that a thread has not begun is done here."""
        while (k := await_all(self._signals)) >= 0:
            run_here(self._serve, *self._shares[k])
            note_done_here(self._signals[k])

    def close(self) -> None:
        """End the threads. One that is awake ends when it has run out of patience."""
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
    """End all threads before the interpreter ends: one that returns from its kernel later would abort the process."""
    for threads in list(_OPEN):
        threads.close()


def available_processors() -> int:
    """Number of processors that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
