"""What a run changes in its process while it lasts: torch's threads, and what Ctrl-C does."""

import contextlib
import signal
import threading
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def one_torch_thread() -> Iterator[None]:
    """Have torch use one thread: small networks are slower on several, and the order of sums would depend on them."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextlib.contextmanager
def interrupts() -> Iterator[threading.Event]:
    """An event that is set by the first Ctrl-C, so that the run ends after a whole step. A second Ctrl-C stops at once.

    Signals arrive in the main thread only: in another one the event is never set.
    """
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return

    previous = signal.getsignal(signal.SIGINT)

    def on_interrupt(*_: object) -> None:
        event.set()
        signal.signal(signal.SIGINT, previous)

    signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, previous)
