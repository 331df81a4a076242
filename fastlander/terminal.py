"""What a command shares with its terminal and its system: output that may fail, signals, and the exit status.

Nothing here imports more than the standard library, so that it works from the first moment of a process.
"""

import _thread
import atexit
import contextlib
import errno
import os
import re
import shutil
import signal
import sys
import threading
import unicodedata
import warnings
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, NoReturn, TextIO

from fastlander.validation import InputError

DONE, FAILED, BAD_INPUT = 0, 1, 2
"""Exit statuses. A process that was told to end by a signal has 128 + its number: 130 Ctrl-C, 143 SIGTERM."""
SIGNALS = (signal.SIGINT, signal.SIGTERM)
PATIENCE = 2
"""Signals that a command answers by ending in order. The next one ends the process at once."""
SHORTAGES = (
    *(os.strerror(number) for number in (errno.ENOMEM, errno.EMFILE, errno.ENFILE)),
    "failed to map segment",
    "can't start new thread",
    "not enough memory",
    "out of memory",
)
"""What the errors of other packages say when the machine has run out of memory, threads or files."""


class Terminated(KeyboardInterrupt):
    """SIGTERM asked this process to end. Raised where Ctrl-C would raise KeyboardInterrupt."""


class Output:
    """A text stream that never fails: what cannot be encoded is escaped, and what cannot be written is dropped.

    Args:
        stream: where the text goes. None, as Python has it for a closed descriptor, drops everything.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self.error: Exception | None = None
        """Why text was lost. None while nothing was."""
        self.last_line = ""
        """The last line with words that was given to `write`."""

    @classmethod
    def of(cls, stream: Any) -> "Output":
        """`stream` itself if it is an Output, else one around it."""
        return stream if isinstance(stream, cls) else cls(stream)

    def write(self, text: str) -> int:
        """Write text, as far as that can be done."""
        if any(map(str.isalnum, text)):
            self.last_line = text.strip().rpartition("\n")[2]
        if self._stream is None:
            self._lose(OSError(errno.EBADF, os.strerror(errno.EBADF)))
            return len(text)
        try:
            self._stream.write(text)
        except UnicodeEncodeError:
            self.write(text.encode(self.encoding, "backslashreplace").decode(self.encoding))
        except (OSError, ValueError) as error:  # ValueError: the stream is closed.
            self._lose(error)
        return len(text)

    def flush(self) -> None:
        """Flush, as far as that can be done."""
        if self._stream is None:
            return
        try:
            self._stream.flush()
        except (OSError, ValueError) as error:
            self._lose(error)

    def forget(self) -> None:
        """Do not count it as lost that nobody reads to the end (`--help | head`)."""
        self.flush()
        self.last_line = ""
        if isinstance(self.error, BrokenPipeError):
            self.error = None

    def isatty(self) -> bool:
        """Whether this is a terminal."""
        try:
            return self._stream is not None and self._stream.isatty()
        except ValueError:  # It is closed.
            return False

    @property
    def encoding(self) -> str:
        """The stream's encoding."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _lose(self, error: Exception) -> None:
        self.error = self.error or error
        if self._stream is not None and self._stream in (sys.__stdout__, sys.__stderr__):
            _drop_all(self._stream)


def _drop_all(stream: TextIO) -> None:
    """Lead a stream of this process nowhere. Python's own flush at exit would otherwise fail once more, and say so."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
        stream.flush()


def print_lines(text: str, stream: Any = None) -> None:
    """Print text, None to stdout, and never fail. On a terminal, lines too long for it break between words."""
    output = Output.of(sys.stdout if stream is None else stream)
    if output.isatty():
        columns = _columns(output)
        text = "\n".join(part for line in text.split("\n") for part in wrapped(line, columns))
    output.write(text + "\n")
    output.flush()


def wrapped(line: str, columns: int) -> list[str]:
    """A line cut between words into lines of at most so many columns. A word that is longer stays whole."""
    if _width(line) <= columns:
        return [line]
    lines = [""]
    for word in line.split(" "):
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if _width(longer) <= columns or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _width(text: str) -> int:
    """Columns of a terminal that a text takes; a Korean letter takes two."""
    return len(text) if text.isascii() else sum(1 + (unicodedata.east_asian_width(c) in "WF") for c in text)


def _columns(output: Output) -> int:
    try:
        return os.get_terminal_size(output.fileno()).columns or 80
    except (OSError, ValueError, AttributeError):
        return shutil.get_terminal_size().columns


def exit_status(prog: str, command: Callable[[], int]) -> int:
    """Call a command as a process: its exit status, whatever happens.

    It is that of `command`, or 0 with lost output becomes 1; 2 for an InputError; 1 where the machine is short of
    something; 130 for Ctrl-C and 143 for SIGTERM. For each of these but the signals, one line on stderr says why.
    Meanwhile stdout and stderr never fail, and warnings are lines of plain text. Help that nobody reads to its end, as
    in `--help | head`, is not lost.

    Args:
        prog: the command's name, which begins those lines.
        command: what to do.
    """
    out, err = Output.of(sys.stdout), Output.of(sys.stderr)
    with _set(sys, stdout=out, stderr=err), _warnings_as_lines(prog), stopping_on_signals():
        try:
            status = _status_of(prog, command)
        except KeyboardInterrupt as stop:
            status = 128 + (signal.SIGTERM if isinstance(stop, Terminated) else signal.SIGINT)
            # Python notes an interrupt that leaves code it runs from a text, and would at exit end by the signal. The
            # next text that it runs takes that back.
            exec("")
        with contextlib.suppress(KeyboardInterrupt):  # All is done.
            out.flush()
            if out.error is not None:
                reason = getattr(out.error, "strerror", None) or out.error
                lost = f"; its last line was: {out.last_line}" if out.last_line else ""
                print_lines(f"{prog}: error: output could not be written ({reason}){lost}", err)
            err.flush()
        failed = out.error is not None or err.error is not None
        return FAILED if status == DONE and failed else status


def _status_of(prog: str, command: Callable[[], int]) -> int:
    try:
        return command()
    except InputError as error:
        print_lines(f"{prog}: error: {error}", sys.stderr)
        return BAD_INPUT
    except SystemExit as stop:  # of a parser that has printed its help
        sys.stdout.forget()
        return stop.code if isinstance(stop.code, int) else FAILED if stop.code else DONE
    except Exception as error:
        own_status = getattr(error, "exit_status", None)
        reason = shortage(error) if own_status is None else str(error)
        if reason is None:
            raise
        print_lines(f"{prog}: error: {reason}", sys.stderr)
        return FAILED if own_status is None else own_status


def end_process(status: int) -> NoReturn:
    """End a command with a status, and without taking down every object of torch and numba first, which takes 0.3 s.

    What was registered to be done at exit is done. A process that is watched (by a debugger, a profiler, or something
    that measures coverage), that somebody goes on with (`python -i`), or that has other threads ends as ever.
    """
    watched = sys.gettrace() or sys.getprofile() or sys.flags.inspect or sys.flags.interactive
    if hasattr(sys, "monitoring"):  # Python 3.12 and later
        watched = watched or any(sys.monitoring.get_tool(tool) for tool in range(6))
    others = [thread for thread in threading.enumerate() if thread is not threading.main_thread() and not thread.daemon]
    if watched or others:
        sys.exit(status)
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            status = status or FAILED
    os._exit(status)


def shortage(error: BaseException) -> str | None:
    """What the machine could not give, in one line, if that is what an error says; None for any other error."""
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError):
        return f"there is not enough memory ({text})" if text else "there is not enough memory"
    if isinstance(error, OSError):
        where = f": {error.filename}" if error.filename is not None else ""
        return f"{error.strerror}{where}" if error.strerror else text
    return text if any(words in text for words in SHORTAGES) else None


@contextlib.contextmanager
def _set(target: Any, **values: Any) -> Iterator[None]:
    """Attributes of `target` have other values inside."""
    before = {name: getattr(target, name) for name in values}
    for name, value in values.items():
        setattr(target, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(target, name, value)


def _warnings_as_lines(prog: str) -> contextlib.AbstractContextManager[None]:
    """Show warnings as plain lines on stderr. The stream is the one of now, whoever redirects stderr later."""
    stream = sys.stderr

    def show(message: Warning | str, category: type[Warning], *_: Any) -> None:
        if issubclass(category, DeprecationWarning | PendingDeprecationWarning | ImportWarning | ResourceWarning):
            return  # These are for developers.
        text = " ".join(re.sub(r"\x1b\[[\d;]*m", "", str(message)).split())  # without Gymnasium's colours
        print_lines(f"{prog}: warning: {text}", stream)

    return _set(warnings, showwarning=show)


@contextlib.contextmanager
def stopping_on_signals() -> Iterator[None]:
    """Ctrl-C raises KeyboardInterrupt inside, SIGTERM raises Terminated. After `PATIENCE` of them the process ends."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    count = 0

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal count
        count += 1
        if count > PATIENCE:
            os._exit(128 + number)
        raise Terminated if number == signal.SIGTERM else KeyboardInterrupt

    def again(unraisable: Any) -> None:
        # Where Python cannot pass an exception on (callbacks from C, finalizers) it would be printed and forgotten.
        if isinstance(unraisable.exc_value, KeyboardInterrupt):
            number = signal.SIGTERM if isinstance(unraisable.exc_value, Terminated) else signal.SIGINT
            nonlocal count
            count -= 1
            threading.Timer(0.05, _thread.interrupt_main, [number]).start()
        else:
            sys.__unraisablehook__(unraisable)

    before = {number: signal.signal(number, stop) for number in SIGNALS}
    try:
        with _set(sys, unraisablehook=again):
            yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def signals_blocked() -> Iterator[None]:
    """Ctrl-C and SIGTERM wait while processes are started, which begin with the signals blocked too."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def handles_sigterm() -> bool:
    """Whether SIGTERM raises Terminated now, because a command is running."""
    return getattr(signal.getsignal(signal.SIGTERM), "__module__", None) == __name__
