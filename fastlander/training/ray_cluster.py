"""Joining a Ray cluster, or starting one on this machine: in seconds, in silence, or refused in one line."""

import contextlib
import io
import os
import re
import secrets
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

from fastlander.kernels.processor import available_processors
from fastlander.storage.files import RunFailed
from fastlander.terminal import handles_sigterm
from fastlander.validation import InputError, quoted

PATIENCE = 5.0  # s in which the other side must answer
STORE = 80_000_000  # bytes; Ray allows no smaller object store
STORE_PER_ACTOR = 10_000_000
_TOKEN = secrets.token_hex(32)
"""Who has it may use the cluster that this process starts."""
SECRET = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": _TOKEN}
_asking: list[bool] = []
LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""Has Ray listen on 127.0.0.1 only, as it does by itself on macOS and Windows."""
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}


def import_ray() -> Any:
    """The package ray. ValueError, which names the extra, if it is not installed."""
    try:
        import ray
    except ImportError:
        raise InputError("the engine ray needs a package more: pip install 'fastlander[ray]'") from None
    return ray


def connect(address: str | None, size: int) -> Callable[[], None]:
    """Join the cluster at an address, or start one on this machine. A process that is in a cluster already stays there.

    Args:
        address: host:port, or "auto" for the cluster that runs on this machine. None starts one, which listens on
            127.0.0.1 only, has no dashboard and sends no statistics of its use. That of a command asks for a secret.
            In another program Ray would keep asking for it afterwards.
        size: jobs that are done at once, at most.

    Returns:
        What leaves the cluster again. One that was started here ends.

    Raises:
        ValueError: Ray is not installed, or no cluster answers at the address.
        RunFailed: no cluster can be started here.
    """
    if address is not None and address != "auto":
        _check_answer(address)
    undo = contextlib.ExitStack()
    undo.enter_context(_variables(QUIET | (_own_variables() if address is None else {})))
    try:
        ray = import_ray()
        if ray.is_initialized():
            return undo.close
        options: dict[str, Any] = {"address": address}
        if address is None:
            undo.enter_context(_loopback(ray))
            folder = tempfile.mkdtemp(prefix="ray")
            undo.callback(shutil.rmtree, folder, ignore_errors=True)
            count = min(size, available_processors())
            store = STORE + count * STORE_PER_ACTOR
            options = {
                "address": "local",
                "num_cpus": count,
                "num_gpus": 0,
                "object_store_memory": store,
                "include_dashboard": False,
                "_temp_dir": folder,
            }
        undo.callback(_leave, ray)
        try:
            with silenced():
                ray.init(**options, log_to_driver=False, logging_level="critical", configure_logging=False)
        except (Exception, SystemExit) as error:  # Ray ends the process where a cluster does not answer
            raise _refusal(address, error) from None
        nodes = {node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]}
        if address is None and nodes != {"127.0.0.1"}:
            raise RunFailed(f"the Ray cluster of this machine must listen on 127.0.0.1 only, got {', '.join(nodes)}")
    except BaseException:
        undo.close()
        raise
    return undo.close


def _own_variables() -> dict[str, str]:
    """The variables for a cluster of this process. Ray reads those of its secret once, when it is imported."""
    if "ray" not in sys.modules and handles_sigterm():
        _asking.append(True)
    return LOOPBACK | (SECRET if _asking else {})


def _refusal(address: str | None, error: BaseException) -> InputError | RunFailed:
    line = quoted(re.sub(r"\x1b\[[\d;]*m", "", str(error)) or type(error).__name__)
    if address is None:
        return RunFailed(f"no Ray cluster can be started on this machine: {line}")
    if isinstance(error, SystemExit):
        line = "no answer"
    return InputError(
        f"ray_address must be that of a Ray cluster of which this machine is a node, got {address} ({line})"
    )


def _check_answer(address: str) -> None:
    """ValueError if nothing answers at host:port, or something that is no server of Ray's kind (gRPC, on HTTP/2)."""
    match = re.fullmatch(r"(?:\[([0-9a-fA-F:]+)\]|([\w.-]+)):([0-9]{1,5})", address)
    if match is None or int(match[3]) > 65535:
        raise InputError(f"ray_address must be auto or host:port, got {quoted(address)!r}")
    if os.environ.get("RAY_USE_TLS", "0") not in ("", "0"):
        return
    greeting = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])  # with empty SETTINGS
    try:
        with socket.create_connection((match[1] or match[2], int(match[3])), timeout=PATIENCE) as connection:
            connection.settimeout(PATIENCE)
            connection.sendall(greeting)
            answer = connection.recv(9)
        reason = None if len(answer) > 3 and answer[3] == 4 else "something else answers there"
    except OSError as error:
        reason = "no answer" if isinstance(error, TimeoutError) else error.strerror or str(error)
    if reason is not None:
        raise InputError(f"ray_address must be that of a running Ray cluster, got {address} ({reason})")


def _leave(ray: Any) -> None:
    with silenced():
        ray.shutdown()


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Nothing reaches stdout and stderr, not even from C++, and the handlers of signals are those of before afterwards.

    Ray sets its own for SIGTERM.
    """
    import logging

    streams = [stream for stream in (sys.__stdout__, sys.__stderr__) if stream is not None]
    for stream in streams:
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    copies = {}
    logging.disable(logging.CRITICAL)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        for descriptor in (1, 2):
            with contextlib.suppress(OSError):  # a closed one
                copies[descriptor] = os.dup(descriptor)
                os.dup2(nowhere, descriptor)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        for descriptor, copy in copies.items():
            os.dup2(copy, descriptor)
            os.close(copy)
        os.close(nowhere)
        logging.disable(logging.NOTSET)
        with contextlib.suppress(ValueError):  # not in the main thread, where Ray sets none either
            for number, handler in handlers.items():
                signal.signal(number, handler)


@contextlib.contextmanager
def _variables(values: dict[str, str]) -> Iterator[None]:
    """Variables of the environment, which Ray's processes inherit, have these values inside."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _loopback(ray: Any) -> Iterator[None]:
    """What `LOOPBACK` says, for a process that had imported Ray before."""
    constants = ray._private.ray_constants
    before = constants.ENABLE_RAY_CLUSTER
    constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        constants.ENABLE_RAY_CLUSTER = before
