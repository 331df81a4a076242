"""What Ctrl-C and SIGTERM do while a run lasts."""

import contextlib
import signal
import threading
from collections.abc import Iterator

from fastlander.terminal import SIGNALS, handles_sigterm


class Interrupt(threading.Event):
    """An event that is set by a signal, and knows by which."""

    signal = signal.SIGINT


@contextlib.contextmanager
def interrupts() -> Iterator[Interrupt]:
    """An event that is set by the first Ctrl-C, so that the run ends after a whole step. A second Ctrl-C stops at once.

    In a command SIGTERM does the same. In other programs it is left alone, as they may have plans for it. Signals
    arrive in the main thread only: in another one the event is never set.
    """
    event = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return

    def on_signal(number: int, _: object) -> None:
        event.signal = signal.Signals(number)
        event.set()
        restore()

    def restore() -> None:
        for number, handler in previous.items():
            if handler is not None:  # as it is where other code than Python's has set it
                signal.signal(number, handler)

    numbers = SIGNALS if handles_sigterm() else (signal.SIGINT,)
    previous = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        signal.signal(number, on_signal)
    try:
        yield event
    finally:
        restore()
