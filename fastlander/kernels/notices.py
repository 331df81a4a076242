"""Lines on stderr about the compiling of kernels: `say`."""

import contextlib
import sys


def say(text: str, end: str = "\n") -> None:
    """Print on stderr now. A stderr that is full, closed or absent stops nothing."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        print(text, end=end, file=sys.stderr, flush=True)
