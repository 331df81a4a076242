"""One process compiles a kernel; others that need it wait and load what it wrote: `CompileLock`."""

import contextlib
import pathlib
import time

from fastlander.kernels.notices import say

PATIENCE = 300.0  # s: a process that takes longer has been stopped, and its work is done by the one that waits
NOTICE_AFTER = 1.0  # s
_INTERVAL = 0.05  # s


class CompileLock:
    """A lock on one kernel, between processes. It is a file that stays. A dead process has no lock.

    Args:
        path: of the file.
        name: of the kernel, for the notice.
    """

    def __init__(self, path: pathlib.Path, name: str) -> None:
        self._path, self._name, self._lock = path, name, None

    def acquire(self) -> bool:
        """Take the lock. True: another process had it, and may have compiled the kernel meanwhile.

        Where files cannot be locked nothing is locked.
        """
        from filelock import FileLock, Timeout  # here, since a process that compiles nothing needs no lock

        if self._lock is not None:
            return False
        lock = FileLock(self._path, thread_local=False)
        start, waited, said = time.monotonic(), False, False
        with contextlib.suppress(OSError, NotImplementedError):
            while self._lock is None and time.monotonic() - start < PATIENCE:
                try:
                    lock.acquire(timeout=_INTERVAL, poll_interval=_INTERVAL)
                    self._lock = lock
                except Timeout:
                    waited = True
                    if time.monotonic() - start > NOTICE_AFTER and not said:
                        said = True
                        say(f"fastlander: another process compiles {self._name}: waiting for it")
        if said:
            say(f"fastlander: waited {time.monotonic() - start:.1f} s for {self._name}")
        return waited

    def release(self) -> None:
        """Give the lock back, if this process has it."""
        if self._lock is not None:
            with contextlib.suppress(OSError):
                self._lock.release()
            self._lock = None

    def is_free(self) -> bool:
        """Whether no process has the lock now."""
        from filelock import FileLock, Timeout

        try:
            with FileLock(self._path, thread_local=False).acquire(timeout=0):
                return True
        except Timeout:
            return False
        except (OSError, NotImplementedError):
            return True
