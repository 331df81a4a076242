"""`open_engine`: what does the jobs of many seeds or of a sweep, in processes of this machine or of a cluster."""

from collections.abc import Iterator, Sequence
from typing import Protocol, Self, get_args

from fastlander.kernels.processor import available_processors
from fastlander.memory import available_memory
from fastlander.training.needs import BYTES_PER_WORKER
from fastlander.training.pool import Message, Pool
from fastlander.training.process import Interrupt
from fastlander.training.worker import EngineName, Setup
from fastlander.validation import InputError, check


class Engine(Protocol):
    """Trains by jobs. It is a context manager, which ends all that it has started."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exception: object) -> None: ...

    def prepare(self) -> None:
        """Check the settings of the setup and compile. As `Pool.prepare`."""

    def run(self, jobs: Sequence[Message], interrupted: Interrupt) -> Iterator[Message]:
        """Have each job done, and give the replies in the order in which they come. As `Pool.run`."""

    def close(self) -> None:
        """End all that was started."""


def check_engine(engine: str, ray_address: str | None) -> None:
    """ValueError if there is no such engine, or an address for one that takes none."""
    if engine not in get_args(EngineName):
        raise InputError(f"engine must be one of {', '.join(get_args(EngineName))}, got {engine!r}")
    check("ray_address", str | None, ray_address)
    if ray_address is not None and engine != "ray":
        raise InputError(f"ray_address must be None without the engine ray, got {ray_address!r}")


def open_engine(engine: str, setup: Setup, size: int, ray_address: str | None = None) -> Engine:
    """An engine, started.

    Args:
        engine: one of `EngineName`.
        setup: what every process has to know.
        size: jobs that can be done at once, at most. Fewer are, where processors or memory are fewer.
        ray_address: of the Ray cluster. None starts one on this machine, which ends with the engine.

    Raises:
        ValueError: no such engine, or one that cannot be used here.
        RunFailed: its processes cannot be started.
    """
    check_engine(engine, ray_address)
    if engine == "ray":
        from fastlander.training.ray_pool import RayPool  # here, as few runs need it

        return RayPool(setup, size, ray_address)
    return Pool(setup, _local_workers(size))


def _local_workers(count: int) -> int:
    """Worker processes to start for so many jobs: as many as there are processors, and as memory has room for."""
    available = available_memory()
    room = count if available is None else max(available // BYTES_PER_WORKER, 1)
    return min(count, available_processors(), room)
