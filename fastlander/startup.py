"""The first moments of a process that is a command, before anything that takes time is imported."""

import _signal
import functools
import os
import sys
from typing import Any


@functools.cache
def is_command() -> bool:
    """Whether this process is `python -m fastlander...` or the script `fastlander`, and no program of somebody else.

    It is asked first when the package is imported. Later `python -m` puts the path of the module in `sys.argv`.
    """
    name = sys.argv[0] if sys.argv else ""
    if name == "-m":  # as long as Python looks for the module
        after = sys.orig_argv[sys.orig_argv.index("-m") + 1] if "-m" in sys.orig_argv else ""
        return after.partition(".")[0] == "fastlander"
    return os.path.splitext(os.path.basename(name))[0] == "fastlander"


def begin_process() -> None:
    """Prepare this process as a command.

    Until a command takes over, and again after it, Ctrl-C and SIGTERM end the process at once and in silence, and a
    lack of memory or files is one line. Closed standard descriptors lead nowhere, lest a file of a run gets their
    number, and with it what libraries print.
    """
    for number in (_signal.SIGINT, _signal.SIGTERM):
        _signal.signal(number, lambda number, frame: os._exit(128 + number))
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.excepthook = _excepthook


def _excepthook(kind: type[BaseException], error: BaseException, traceback: Any) -> None:
    try:
        from fastlander.terminal import print_lines, shortage

        reason = shortage(error)
    except Exception:
        reason = "there is not enough memory" if kind is MemoryError else None
    if reason is None:
        sys.__excepthook__(kind, error, traceback)
    else:
        print_lines(f"fastlander: error: {reason}", sys.stderr)
