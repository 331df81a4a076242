"""`Actor`: a process of a Ray cluster that trains one run after the other for `fastlander.training.ray_pool`.

Ray imports this module in a new process. The module imports nothing that starts threads, so that the actor can say how
many threads the libraries may have before they are imported.
"""

import contextlib
import hashlib
import io
import os
import shutil
import signal
import socket
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from fastlander.terminal import shortage
from fastlander.training.worker import Setup, Stop, Trainee
from fastlander.validation import InputError
from fastlander.version import __version__

LIBRARIES = ("gymnasium", "llvmlite", "numba", "numpy", "safetensors", "torch")
"""Packages on whose version the bytes of a result can depend."""
SOURCES = (".py", ".js", ".css", ".html")
LONGEST_TEXT = 10_000
"""Characters of what a seed said on stderr that are passed on."""


def identity() -> dict[str, str]:
    """What must be the same in all processes that train together: versions, and a digest of this package's sources."""
    package, digest = Path(__file__).parents[1], hashlib.sha256()
    files = {path.relative_to(package).as_posix(): path for path in package.rglob("*") if path.suffix in SOURCES}
    for name, path in sorted(files.items()):
        digest.update(f"{name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    versions = {"Python": f"{sys.version_info[0]}.{sys.version_info[1]}", "fastlander": __version__}
    versions |= {name: _version(name) for name in LIBRARIES}
    return {**versions, "sources of fastlander with digest": digest.hexdigest()[:12]}


def _version(name: str) -> str:
    """The version of an installed package, without the mark of a build as in 2.13.0+cpu."""
    try:
        return version(name).partition("+")[0]
    except PackageNotFoundError:
        return "none"


class Actor:
    """Trains in a local directory of its node, and gives back the files of each run.

    No exception leaves the constructor. `hello` says what went wrong in it.

    Args:
        setup: the fields of a `Setup`.
        wanted: `identity` in the process that began the actor.
        environment: variables to set before the libraries are imported.
        path: of modules, in the process that began the actor.
    """

    def __init__(
        self, setup: dict[str, Any], wanted: dict[str, str], environment: dict[str, str], path: list[str]
    ) -> None:
        os.environ.update(environment)
        sys.path += [entry for entry in path if entry not in sys.path]
        self._stop = Stop()
        self._state: dict[str, Any] = {"host": socket.gethostname(), "node": _ray_ids()[0], "pid": os.getpid()}
        own = identity()
        other = next(((name, own.get(name)) for name in wanted if wanted[name] != own.get(name)), None)
        if other is not None:
            self._state["other"] = other
            return
        try:
            self._home = Path(tempfile.gettempdir(), f"fastlander-{_ray_ids()[1]}")
            shutil.rmtree(self._home, ignore_errors=True)  # of a process of this actor that was killed
            self._home.mkdir(mode=0o700)
            self._trainee = Trainee(Setup(**setup))
        except InputError as error:
            self._state["refused"] = str(error)
        except Exception as error:
            self._state["broken"] = shortage(error) or f"{type(error).__name__}: {error}"

    def hello(self) -> dict[str, Any]:
        """Where this process is, and, if it cannot be used, why ("other", "refused" or "broken")."""
        return self._state

    def prepare(self, most: int) -> dict[str, Any]:
        """As `Trainee.prepare`: "prepared" with the number of runs that fit in this node's memory, or "refused"."""
        try:
            return {"prepared": self._trainee.prepare(most)}
        except InputError as error:
            return {"refused": str(error)}
        except Exception as error:
            return {"broken": shortage(error) or f"{type(error).__name__}: {error}"}

    def train(self, jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Do jobs of `training_job`, each with the "files" that its run has so far.

        Returns:
            A reply for each job that was begun: that of `Trainee.train`, with "id", the "files" of the run, and what it
            has "said" on stderr.
        """
        replies = []
        for job in jobs:
            if self._stop.is_set():
                break
            replies.append(self._train(job))
        return replies

    def stop(self, number: int) -> None:
        """End the run that is trained, in order, and begin no other."""
        self._stop.signal = signal.Signals(number)
        self._stop.set()

    def leave(self) -> None:
        """Remove what this actor has written on its node."""
        shutil.rmtree(self._home, ignore_errors=True)

    def _train(self, job: dict[str, Any]) -> dict[str, Any]:
        from dataclasses import replace

        from fastlander.config import Config
        from fastlander.storage.files import remove
        from fastlander.training.run_files import pack, unpack

        config = Config.from_json(job["config"])
        directory, said = self._home / Path(config.output_dir).name, io.StringIO()
        own = {**job, "config": replace(config, output_dir=str(directory)).to_json()}
        try:
            remove(directory)
            if job["files"]:
                unpack(job["files"], directory)
            with contextlib.redirect_stderr(said):
                reply = self._trainee.train(own, self._stop)
            files = pack(directory)
        except OSError as error:
            reply, files = {"failed": shortage(error), "bad_input": False}, {}
        finally:
            remove(directory)
        if "failed" in reply:
            reply["failed"] = reply["failed"].replace(str(directory), config.output_dir)
        return {"id": job["id"], **reply, "files": files, "said": said.getvalue()[-LONGEST_TEXT:]}


def _ray_ids() -> tuple[str, str]:
    """Ray's names of this node and of this actor."""
    import ray

    context = ray.get_runtime_context()
    return context.get_node_id(), context.get_actor_id()
