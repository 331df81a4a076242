"""`Pool`: worker processes that train seeds, each in one thread, and are replaced when they die.

A worker is a new Python process, and not a fork: a fork of a process with threads (torch's, Numba's, a notebook's) can
hang. It runs `fastlander.training.worker` and not the user's program, so a script needs no `if __name__ == "__main__"`
and a notebook works. It listens to a pipe, which closes when this process ends in whatever way: then it ends too.
"""

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from fastlander.storage.files import RunFailed
from fastlander.terminal import signals_blocked
from fastlander.training.process import Interrupt
from fastlander.training.worker import Setup
from fastlander.validation import InputError

ATTEMPTS = 3
"""Times that a job is begun. If its process died each time, it has failed."""
LOOK = 0.1  # s between two looks at whether Ctrl-C was pressed
FAREWELL = 5.0  # s that a process gets to end by itself
_LIBRARIES = ("OMP_NUM", "MKL_NUM", "OPENBLAS_NUM", "NUMBA_NUM", "NUMEXPR_NUM", "VECLIB_MAXIMUM")
ONE_THREAD = {f"{library}_THREADS": "1" for library in _LIBRARIES}
"""Environment of a worker. Libraries read it when they are imported."""

Message = dict[str, Any]


class Worker:
    """A worker process. What it says goes to `events`, as (worker, message), and (worker, None) when it has ended."""

    def __init__(self, setup: Setup, events: queue.SimpleQueue) -> None:
        # Its own path to the modules is that of this process, whatever that was started as.
        code = f"import sys; sys.path[:] = {sys.path!r}; from fastlander.training.worker import main; main()"
        with signals_blocked():
            self._process = subprocess.Popen(
                [sys.executable, "-c", code],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, **ONE_THREAD},
            )
        self.job: Message | None = None
        """What it is doing."""
        self.ready = False
        """Whether it has done all its imports."""
        self.send(setup._asdict())
        threading.Thread(target=self._listen, args=(events,), daemon=True).start()

    def send(self, message: Message) -> None:
        """Send a message. To one that has ended nothing is sent."""
        with contextlib.suppress(OSError, ValueError):
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()

    def give(self, job: Message) -> None:
        """Have it do a job."""
        self.job = job
        self.send(job)

    def end(self) -> None:
        """Tell it to end at once."""
        with contextlib.suppress(OSError):
            self._process.stdin.close()

    def join(self) -> None:
        """Wait until it has ended, and kill it if it does not."""
        try:
            self._process.wait(FAREWELL)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def death(self) -> str:
        """How it has ended, in words."""
        status = self._process.wait()
        return f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"

    def _listen(self, events: queue.SimpleQueue) -> None:
        with contextlib.suppress(ValueError):  # a line that was not written to its end
            for line in self._process.stdout:
                events.put((self, json.loads(line)))
        events.put((self, None))


class Pool:
    """So many worker processes; a context manager, which ends them all.

    Args:
        setup: what every worker has to know.
        size: workers.
    """

    def __init__(self, setup: Setup, size: int) -> None:
        self._setup, self._events = setup, queue.SimpleQueue()
        self._stillborn = 0  # workers that died before they were ready
        self._workers: list[Worker] = []
        self._begun: list[Worker] = []
        try:
            for _ in range(size):
                self._add()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End all processes."""
        for worker in self._begun:
            worker.end()
        for worker in self._begun:
            worker.join()

    def prepare(self) -> None:
        """Have one worker check the settings and compile; end those for which there is no memory.

        Raises:
            ValueError: a setting that cannot be used here.
            RunFailed: the workers cannot be started.
        """
        job = {"prepare": len(self._workers)}
        self._workers[0].give(job)
        while True:
            worker, message = self._next()
            if worker is None:
                continue
            if message is None:
                self._replace(worker)
                if worker.job is not None:
                    self._workers[-1].give(job)
            elif "prepared" in message:
                worker.job = None
                break
        # The one that has prepared comes first, so that it stays.
        self._workers.sort(key=lambda one: one is not worker)
        for other in self._workers[message["prepared"] :]:
            other.end()
        del self._workers[message["prepared"] :]

    def run(self, jobs: Sequence[Message], interrupted: Interrupt) -> Iterator[Message]:
        """Have each job done by a worker, and give what the workers say, in the order in which they are done.

        A job whose worker died is begun again by a new one. After `ATTEMPTS` of them it has failed. When `interrupted`
        is set no job begins, and those that have begun end early.

        Args:
            jobs: each as `training_job` makes it.
            interrupted: looked at several times a second.
        """
        waiting, attempts, stopped = deque(jobs), dict.fromkeys((job["id"] for job in jobs), 0), False
        for worker in self._workers:
            self._give_next(worker, waiting)
        while any(worker.job for worker in self._workers):
            if interrupted.is_set() and not stopped:
                stopped = True
                waiting.clear()
                for worker in self._workers:
                    worker.send({"stop": int(interrupted.signal)})
            worker, message = self._next()
            if worker is None:
                continue
            if message is None:
                yield from self._after_death(worker, waiting, attempts, stopped)
            elif "id" in message:
                if message.get("interrupted") and not stopped:  # somebody has sent SIGTERM to this worker alone
                    continue  # it ends, and is replaced
                worker.job = None
                self._give_next(worker, waiting)
                yield message

    def _after_death(
        self, worker: Worker, waiting: deque, attempts: dict[Any, int], stopped: bool
    ) -> Iterator[Message]:
        """A worker has ended: replace it and begin its job again, unless that was tried often enough."""
        if worker not in self._workers:
            return
        job = worker.job
        if stopped:
            self._workers.remove(worker)
            return
        if job is not None:
            attempts[job["id"]] += 1
            if attempts[job["id"]] < ATTEMPTS:
                waiting.appendleft(job)
            else:
                line = f"its process {worker.death()}, each of {ATTEMPTS} times"
                yield {"id": job["id"], "failed": line, "bad_input": False}
        self._replace(worker)
        self._give_next(self._workers[-1], waiting)

    def _next(self) -> tuple[Worker | None, Message | None]:
        """A worker and what it says, None where it has ended; twice None where nothing is said for a while.

        Raises:
            ValueError: a worker refuses the setup.
            RunFailed: a worker cannot do its imports.
        """
        try:
            worker, message = self._events.get(timeout=LOOK)
        except queue.Empty:
            return None, None
        if message is not None and "refused" in message:
            raise InputError(message["refused"])
        if message is not None and "broken" in message:
            raise RunFailed(f"worker processes cannot be started: {message['broken']}")
        worker.ready = True if message is not None else worker.ready
        return worker, message

    def _give_next(self, worker: Worker, waiting: deque) -> None:
        if waiting:
            worker.give(waiting.popleft())

    def _add(self) -> None:
        worker = Worker(self._setup, self._events)
        self._workers.append(worker)
        self._begun.append(worker)

    def _replace(self, worker: Worker) -> None:
        """Put a new worker in the place of one that has ended. RunFailed where none of them gets ready."""
        if worker not in self._workers:
            return
        self._workers.remove(worker)
        if not worker.ready:
            self._stillborn += 1
            if self._stillborn > ATTEMPTS:
                raise RunFailed(f"worker processes cannot be started: the last one {worker.death()}")
        self._add()
