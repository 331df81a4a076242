"""Threads that wait for work in a compiled loop: `KernelThreads`. Work reaches them within a microsecond.

The work is a `part` of kernels. `serving` makes a kernel of it that waits, works and waits again, and a thread runs
that kernel. The caller and the thread communicate through a few shared numbers, the thread's signal. If other programs
keep the processors busy, a thread may not have begun its work when the caller waits for it. Then the caller does it.
"""

import atexit
import os
import queue
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

# How often a thread looks for work before it goes to sleep: for about 0.1 ms, for about 1 ms, and once without sleep.
SHORT, LONG, ONCE = 300_000, 3_000_000, -1


@inlined
def asks(signal):
    """Ask a thread for its work once more. True: the thread sleeps, and the caller has to wake it."""
    atomic_exchange(signal, ASKED, atomic_load(signal, ASKED) + 1)
    return atomic_exchange(signal, SLEEPS, 0) == 1


@inlined
def takes(signal):
    """Take work that was asked for and that nobody has begun. True: the caller has to do it now."""
    asked = atomic_load(signal, ASKED)
    # An exchange would be wrong. Another thread may have done this work since `asked` was read, and then it must not be
    # begun a second time.
    return atomic_load(signal, BEGUN) != asked and atomic_replace(signal, BEGUN, asked - 1, asked)


@inlined
def is_unbegun(signal):
    """Whether work was asked for that nobody has begun."""
    return atomic_load(signal, BEGUN) != atomic_load(signal, ASKED)


@inlined
def ask_here(signal):
    """Ask this thread for work, by a signal that no other has. A serving kernel with a patience of 0 does it once."""
    signal[ASKED], signal[DONE], signal[BEGUN] = 1, 0, 0


@inlined
def await_one(signal):
    """Wait until a thread has done its work."""
    while atomic_load(signal, DONE) != atomic_load(signal, ASKED):
        pass


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

    It returns when it has looked for work `patience` times and found none; with a patience of ONCE it looks once, and
    leaves the thread whose signal it is awake. Its machine code is kept under the name of `work`.

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
            if patience < 0:
                return
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
    """`asks`, for a caller outside of kernels."""
    return asks(signal)


@uncounted_kernel
def await_all(signals):
    """Wait until each thread has done its work, or until one is found that has not begun.

    signals: int64[threads, 4]. Returns -1 if all is done, else the number of a thread whose work the caller may take
    from it. It is not taken yet: whoever is interrupted before he has done it would leave it to nobody.
    """
    for k in range(len(signals)):
        signal = signals[k]
        if is_unbegun(signal):
            return k
        await_one(signal)
    return -1


_ASKED_ONCE = np.array([1, 0, 0, 0])


def run_here(serve: Callable[..., None], *arguments: Any) -> None:
    """Do the work of a serving kernel once, in the caller's thread."""
    # By this signal there is work that nobody has begun. With a patience of 0 the kernel returns when it is done.
    serve(_ASKED_ONCE.copy(), 0, *arguments)


class _Crew:
    """Running threads and what wakes them. The threads hold this object, and not the KernelThreads that they are of."""

    def __init__(self, size: int) -> None:
        # The queue's `put` may interrupt a `get` or another `put` of the same thread, as garbage collection does.
        self.wake: list[queue.SimpleQueue[None]] = [queue.SimpleQueue() for _ in range(size)]
        self.threads: list[threading.Thread] = []
        self.closed = False

    def end(self) -> None:
        """Tell the threads to end, without waiting for them."""
        self.closed = True
        for wake in self.wake:
            wake.put(None)

    def join(self) -> None:
        """Wait until the threads have ended."""
        for thread in self.threads:
            if thread is not threading.current_thread():
                thread.join()


def _serve(crew: _Crew, k: int, serve: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    """What thread k of a crew does. arguments: of the serving kernel."""
    while True:
        crew.wake[k].get()
        if crew.closed:
            return
        serve(*arguments)


class KernelThreads:
    """Threads that run one serving kernel, each with arguments of its own.

    A thread gets its arguments once. It reads and writes the same arrays every time it is asked to work. Waking a
    sleeping thread takes as long as stepping a hundred landers, so a thread stays awake for `patience` looks.

    The threads begin with the first `start`, also in a process that was forked from one in which they ran. They end
    with `close`, and when this object is garbage.

    Args:
        serve: a kernel that `serving` made.
        shares: for each thread the arguments of the work.
        patience: how often a thread looks for work before it goes to sleep.
    """

    def __init__(self, serve: Callable[..., None], shares: Iterable[tuple[Any, ...]], patience: int = SHORT) -> None:
        self._serve, self._shares, self._patience = serve, list(shares), patience
        self._signals = np.zeros((len(self._shares), 4), np.int64)
        self._wake: list[queue.SimpleQueue[None]] = []  # of the threads that run; none before the first `start`
        self._asked = False  # between `start` and the end of `wait`
        _OPEN.add(self)

    def __len__(self) -> int:
        return len(self._shares)

    def start(self) -> None:
        """Ask every thread to do its work once."""
        signals = self.lend()
        self._asked = True
        for signal, wake in zip(signals, self._wake, strict=True):
            if ask(signal):
                wake.put(None)

    def lend(self) -> np.ndarray:
        """The signals of the threads, int64[threads, 4], for a kernel that asks and awaits them itself."""
        if self._asked:  # the `wait` of before was interrupted
            self.wait()
        if self._shares and not self._wake:
            self._begin()
        return self._signals

    def wake(self, k: int) -> None:
        """Wake thread k, which a kernel asked for work while it slept."""
        self._asked = True
        self._wake[k].put(None)

    def do_share(self, k: int) -> None:
        """Do the work of thread k here, unless it has begun by now: taken, done and noted in one call of a kernel."""
        self._serve(self._signals[k], ONCE, *self._shares[k])

    def wait(self) -> None:
        """Return when every thread's work is done. Work that a thread has not begun is done here.

        Raises:
            RuntimeError: the process was forked since `start`, and the threads are in the other process.
            KeyboardInterrupt: Ctrl-C came meanwhile. The work is done all the same: what it reads may change now.
        """
        if self._asked and not self._wake:
            self._asked = False
            raise RuntimeError("the process was forked while threads were at work: what they made is lost here")
        interrupt = None
        while True:
            try:
                while (k := await_all(self._signals)) >= 0:
                    self.do_share(k)
                break
            except KeyboardInterrupt as error:
                interrupt = error
        self._asked = False
        if interrupt is not None:
            raise interrupt

    def close(self) -> None:
        """End the threads. One that is awake ends when it has run out of patience."""
        if self._wake:
            self._end()
            self._crew.join()
            self._wake = []

    def _begin(self) -> None:
        self._signals[:] = 0
        self._signals[:, SLEEPS] = 1
        crew = _Crew(len(self._shares))
        for k, share in enumerate(self._shares):
            work = crew, k, self._serve, (self._signals[k], self._patience, *share)
            thread = threading.Thread(target=_serve, args=work, name=f"{self._serve.__name__} {k}", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the machine gives no more threads
                crew.end()
                raise
            crew.threads.append(thread)
        _CREWS.add(crew)
        self._end = weakref.finalize(self, crew.end)
        self._end.atexit = False  # _close_all ends the threads, and waits for them
        self._crew, self._wake = crew, crew.wake

    def _forget(self) -> None:
        """Make do without the threads, which a forked process does not have."""
        if self._wake:
            self._end.detach()
            self._wake = []


_OPEN: weakref.WeakSet[KernelThreads] = weakref.WeakSet()
_CREWS: weakref.WeakSet[_Crew] = weakref.WeakSet()  # a running thread keeps its crew alive


@atexit.register
def _close_all() -> None:
    """End all threads before the interpreter ends: one that returns from its kernel later would abort the process."""
    crews = list(_CREWS)
    for crew in crews:
        crew.end()
    for crew in crews:
        crew.join()


def _forget_all() -> None:
    """After a fork: the child has none of the threads. Waking or joining them would never end."""
    global _CREWS
    _CREWS = weakref.WeakSet()
    for threads in list(_OPEN):
        threads._forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
