"""Parsing for every command, by tyro. Wrong input gives one line and exit status 2."""

import contextlib
import io
import itertools
import re
import sys
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import tyro

from fastlander.validation import InputError, allowed

Directory = Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="DIR")]
"""The argument of a command that reads a run: its directory."""
Imports = Annotated[
    tuple[str, ...], tyro.conf.UseAppendAction, tyro.conf.arg(name="import", metavar="MODULE", help_behavior_hint="")
]
"""The option --import MODULE, which may be given several times."""


def parse(
    target: Callable[..., Any], argv: Sequence[str] | None, prog: str, hints: Mapping[str, Any], **options: Any
) -> Any:
    """`tyro.cli(target)`, where a wrong argument raises an InputError of one line.

    Args:
        target: a dataclass to fill in, or a function to call with the arguments.
        argv: arguments. None takes those of the process.
        prog: the command's name in its help.
        hints: annotated type of each argument, from which the error says what is allowed.
        **options: further options of `tyro.cli`.
    """
    args = list(sys.argv[1:] if argv is None else argv)
    box = io.StringIO()
    try:
        with contextlib.redirect_stderr(box):
            return tyro.cli(target, args=args, prog=prog, **options)
    except SystemExit as stop:
        if not stop.code:
            raise
        raise InputError(_one_line(box.getvalue(), args, hints)) from None


def exit_status(prog: str, command: Callable[[], int]) -> int:
    """The exit status of a command. For an InputError it is 2, and the error's line goes to stderr."""
    try:
        return command()
    except InputError as error:
        print(f"{prog}: error: {error}", file=sys.stderr)
        return 2


def _one_line(box: str, args: list[str], hints: Mapping[str, Any]) -> str:
    """What was wrong and what is allowed, from the box that tyro prints: a title, a message, a rule, help."""
    # tyro draws the box with blanks and hyphens on a terminal that has no box characters.
    lines = [line.strip(" │") for line in box.splitlines()]
    ruled = "\n".join(line if line.strip("─-╰╯") else "" for line in lines).strip()
    _, _, text = ruled.partition("\n")
    message, _, rest = text.strip().partition("\n\n")
    message, rest = " ".join(message.split()), " ".join(rest.split())
    message = re.sub(r"^Error parsing \w+: ", "", message)
    if message.startswith("Unrecognized"):
        guess = re.search(r"Perhaps you meant: +(--[\w-]+)", rest)
        return message + (f" (perhaps you meant {guess[1]})" if guess else "")
    flag = re.search(r"--[\w-]+", message)
    hint = hints.get(flag[0][2:].replace("-", "_")) if flag else None
    if hint is None:
        return message
    several = typing.get_origin(hint) is tuple
    return f"{flag[0]} must be {allowed(hint)}, got {_given(flag[0], args, several)}"


def _given(flag: str, args: list[str], several: bool) -> str:
    """The value after the last `flag` on the command line, quoted, or all its values where it takes `several`."""
    for i, arg in reversed(list(enumerate(args))):
        name, equals, value = arg.partition("=")
        if name.replace("_", "-") == flag:
            following = [value] if equals else args[i + 1 :]
            values = list(itertools.takewhile(lambda text: not text.startswith("--"), following))
            return repr(" ".join(values if several else values[:1])) if values else "nothing"
    return "nothing"
