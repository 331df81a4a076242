"""`RayPool`: actors of a Ray cluster that train runs, as the processes of `Pool` do on one machine.

An actor takes one CPU of the cluster. It trains in a directory of its own node and sends the files of a run back, which
are checked and written here. So only this process writes results, and a node shares no file system with it.
"""

import contextlib
import math
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from fastlander.config import Config
from fastlander.storage.files import CONFIG_FILE, RunFailed, reason
from fastlander.storage.reading import refuse_link
from fastlander.terminal import print_lines
from fastlander.training.pool import ATTEMPTS, LOOK, ONE_THREAD, Message
from fastlander.training.process import Interrupt
from fastlander.training.ray_actor import Actor, identity
from fastlander.training.ray_cluster import connect, import_ray
from fastlander.training.run_files import check_files, pack, settings_file, unpack
from fastlander.training.worker import Setup
from fastlander.validation import InputError, Natural, check, quoted

CHUNK = 8
"""Jobs in one call of an actor, at most."""
RESTARTS = 20
"""Times that Ray begins an actor again whose process or node has ended."""
START = 60.0
"""Seconds that the actors of a cluster get to begin, from the first one that has begun."""
FAREWELL = 30.0
"""Seconds that actors get to end their runs in order."""


class _Worker:
    """An actor, and what it is doing."""

    def __init__(self, actor: Any) -> None:
        self.actor, self.node, self.ready = actor, "", False
        self.jobs: list[Message] = []


class RayPool:
    """An actor for each CPU of a Ray cluster; a context manager, which ends them all.

    Args:
        setup: what every actor has to know.
        size: jobs that are done at once, at most.
        address: of the cluster, as of `connect`.

    Raises:
        ValueError: Ray is not installed, or no cluster answers.
        RunFailed: no cluster can be started here.
    """

    def __init__(self, setup: Setup, size: int, address: str | None) -> None:
        self._disconnect = connect(address, size)
        self._ray = ray = import_ray()
        self._workers: list[_Worker] = []
        self._pending: dict[Any, _Worker] = {}
        self._identity = identity()
        self._last = ""  # why an actor ended, in words
        try:
            count = min(size, int(ray.cluster_resources().get("CPU", 0)))
            if count < 1:
                raise InputError(f"ray_address must be that of a cluster with a CPU, got {address}, which has none")
            options = {"num_cpus": 1, "max_restarts": RESTARTS, "concurrency_groups": {"control": 1}}
            make = ray.remote(**options)(Actor).remote
            for _ in range(count):
                self._workers.append(_Worker(make(setup._asdict(), self._identity, ONE_THREAD, sys.path)))
                self._greet(self._workers[-1])
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "RayPool":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End all actors, and the cluster if it was started here."""
        try:
            with contextlib.suppress(Exception):  # of a cluster that has ended
                leaving = [one.actor.leave.options(concurrency_group="control").remote() for one in self._workers]
                if leaving:
                    self._ray.wait(leaving, num_returns=len(leaving), timeout=1.0)
                for worker in self._workers:
                    self._ray.kill(worker.actor)
        finally:
            self._workers, self._pending = [], {}
            self._disconnect()

    def prepare(self) -> None:
        """Wait for the actors; have one on each node check the settings and compile; end those that find no memory.

        Actors for which no CPU is free come later.

        Raises:
            ValueError: a node has another version of something than this process, or a setting cannot be used there.
            RunFailed: the actors cannot be started.
        """
        until, some = time.monotonic() + START, False
        while not all(worker.ready for worker in self._workers) and time.monotonic() < until:
            self._next()
            if not some and any(worker.ready for worker in self._workers):
                until, some = time.monotonic() + START, True
            elif not some and time.monotonic() > until:
                until = math.inf
                print_lines("waiting for a CPU of the Ray cluster", sys.stderr)
        nodes: dict[str, list[_Worker]] = {}
        for worker in self._workers:
            if worker.ready:
                nodes.setdefault(worker.node, []).append(worker)
        for workers in nodes.values():
            self._call(workers[0], workers[0].actor.prepare.remote(len(workers)))
        waiting = set(nodes)
        while waiting:
            worker, reply = self._next()
            if worker is None or "prepared" not in reply:
                # One that died while it prepared takes no further part in this; it compiles when it trains.
                waiting &= {one.node for one in self._pending.values() if one.ready}
                continue
            waiting.discard(worker.node)
            for surplus in nodes[worker.node][reply["prepared"] :]:
                self._ray.kill(surplus.actor)
                self._workers.remove(surplus)

    def run(self, jobs: Sequence[Message], interrupted: Interrupt) -> Iterator[Message]:
        """Have each job done by an actor, write the files of its run, and give the replies as `Pool.run` does.

        A job whose actor died is begun again, by whichever actor is free. After `ATTEMPTS` of them it has failed. When
        `interrupted` is set no job begins, and those that have begun end early and leave a checkpoint.

        Args:
            jobs: each as `training_job` makes it.
            interrupted: looked at several times a second.

        Raises:
            RunFailed: files cannot be written, or no actor is left.
        """
        waiting, attempts = deque(jobs), dict.fromkeys((job["id"] for job in jobs), 0)
        until = math.inf
        while waiting or any(worker.jobs for worker in self._workers):
            if interrupted.is_set() and until == math.inf:
                until = time.monotonic() + FAREWELL
                waiting.clear()
                for worker in self._workers:
                    if worker.jobs:
                        worker.actor.stop.options(concurrency_group="control").remote(int(interrupted.signal))
            if time.monotonic() > until:
                return
            self._give(waiting, attempts)
            worker, reply = self._next()
            if worker is None:
                continue
            done, worker.jobs = worker.jobs, []
            replies = {one["id"]: one for one in reply.get("replies", ())}
            for job in done:
                if job["id"] in replies:
                    yield self._take(job, replies[job["id"]])
                elif until == math.inf:
                    attempts[job["id"]] += 1
                    if attempts[job["id"]] < ATTEMPTS:
                        waiting.appendleft(job)
                    else:
                        line = f"its actor {self._last or 'gave no result'}, each of {ATTEMPTS} times"
                        yield {"id": job["id"], "failed": line, "bad_input": False}

    def _give(self, waiting: deque, attempts: dict[Any, int]) -> None:
        """Give jobs to the actors that have none: several while many wait. One that was tried before goes alone."""
        busy = set(self._pending.values())
        for worker in self._workers:
            if not waiting:
                return
            if not worker.ready or worker in busy:
                continue
            chunk = [waiting.popleft()]
            if not attempts[chunk[0]["id"]] and chunk[0]["compact"]:
                most = min(CHUNK, len(waiting) // (4 * len(self._workers)))
                while len(chunk) < most and not attempts[waiting[0]["id"]]:
                    chunk.append(waiting.popleft())
            worker.jobs = [{**job, "files": _files_of(job)} for job in chunk]
            self._call(worker, worker.actor.train.remote(worker.jobs))

    def _take(self, job: Message, reply: Message) -> Message:
        """Write the files of a reply, if it is as it must be: what `Pool.run` gives for it."""
        config = Config.from_json(job["config"])
        try:
            message, files = _checked(job["id"], config, reply)
        except (ValueError, TypeError, KeyError) as error:
            line = f"its actor gave what is no result ({quoted(error)})"
            return {"id": job["id"], "failed": line, "bad_input": False}
        if reply["said"]:
            print_lines(str(reply["said"]).rstrip("\n"), sys.stderr)
        if files:
            directory = Path(config.output_dir)
            try:
                refuse_link(directory)
                unpack({**files, CONFIG_FILE: settings_file(config, job["files"])}, directory)
            except OSError as error:
                line = f"{directory} could not be written ({reason(error)}); what is finished stays"
                raise RunFailed(line) from None
        return message

    def _greet(self, worker: _Worker) -> None:
        """Ask an actor whether it is ready. The answer comes when its process has begun, where and when that may be."""
        worker.ready = False
        self._call(worker, worker.actor.hello.options(max_task_retries=-1).remote())

    def _call(self, worker: _Worker, reference: Any) -> None:
        self._pending[reference] = worker

    def _next(self) -> tuple[_Worker | None, Message]:
        """The worker that has ended a call, and the reply: of `train` in "replies", empty where the process died.

        None where nothing ends for a while.

        Raises:
            ValueError: a node that cannot be used.
            RunFailed: no actor is left.
        """
        references, _ = self._ray.wait(list(self._pending), timeout=LOOK)
        if not references:
            return None, {}
        worker = self._pending.pop(references[0])
        try:
            reply = self._ray.get(references[0])
        except self._ray.exceptions.RayError as error:
            lines = str(error).strip().splitlines() or [type(error).__name__]
            self._last = f"ended ({quoted(lines[0] if worker.ready else lines[-1])})"
            if not worker.ready:  # it will not begin again
                self._workers.remove(worker)
                if not self._workers:
                    raise RunFailed(f"no actor is left in the Ray cluster: the last one {self._last}") from None
                return None, {}
            self._greet(worker)
            return worker, {}
        if isinstance(reply, list):
            return worker, {"replies": reply}
        if "other" in reply:
            name, value = reply["other"]
            wanted = f"{name} {self._identity[name]}, as this process has"
            raise InputError(f"every node of the Ray cluster must have {wanted}, got {value} on {reply['host']}")
        if "refused" in reply:
            raise InputError(reply["refused"])
        if "broken" in reply:
            raise RunFailed(f"actors cannot be started: {reply['broken']}")
        if "prepared" not in reply:
            worker.ready, worker.node = True, reply["node"]
            return None, {}
        return worker, reply


def _files_of(job: Message) -> dict[str, bytes]:
    """The files of a run that was broken off, with which its actor goes on. None for a run that begins."""
    directory = Path(Config.from_json(job["config"]).output_dir)
    return pack(directory) if (directory / CONFIG_FILE).exists() else {}


def _checked(number: int, config: Config, reply: Message) -> tuple[Message, dict[str, bytes]]:
    """The message and the files of a reply. ValueError, TypeError or KeyError if it is none of a run."""
    check_files(reply["files"], config, "row" in reply)
    if "failed" in reply:
        return {"id": number, "failed": quoted(reply["failed"]), "bad_input": bool(reply["bad_input"])}, reply["files"]
    if "interrupted" in reply:
        return {"id": number, "interrupted": True}, reply["files"]
    seed, solved, timesteps, updates, seconds, mean = reply["row"]
    if seed != config.seed or not math.isfinite(seconds) or not math.isfinite(mean or 0.0):
        raise ValueError("the row is of another seed, or its numbers are not finite")
    row = [
        seed,
        check("solved", bool, solved),
        check("timesteps", Natural, timesteps),
        check("updates", Natural, updates),
    ]
    return {"id": number, "row": [*row, float(seconds), mean], "line": quoted(reply["line"])}, reply["files"]
