"""One process compiles a kernel; others that need it wait and load what it wrote: `CompileLock`."""

import contextlib
import pathlib
import sys
import time

PATIENCE = 300.0  # s: a process that takes longer has been stopped, and its work is done by the one that waits
NOTICE_AFTER = 1.0  # s


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
        start, said = time.monotonic(), False
        with contextlib.suppress(OSError, NotImplementedError):
            while True:
                try:
                    lock.acquire(timeout=0 if start == 0 else 0.05, poll_interval=0.05)
                    self._lock = lock
                    break
                except Timeout:
                    waited = time.monotonic() - start
                    if waited > NOTICE_AFTER and not said:
                        said = True
                        self._say("another process compiles {}: waiting for it")
                    if waited > PATIENCE:
                        return True
        if said:
            self._say(f"waited {time.monotonic() - start:.1f} s for {{}}")
        return time.monotonic() - start > 0.04

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

    def _say(self, line: str) -> None:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            print(f"fastlander: {line.format(self._name)}", file=sys.stderr, flush=True)
