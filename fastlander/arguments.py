"""Parsing for every command, by tyro. A wrong argument is an InputError of one line."""

import ast
import contextlib
import functools
import io
import itertools
import re
import shutil
import sys
import typing
from collections.abc import Callable, Mapping, Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Literal

import tyro
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from fastlander.terminal import wrapped
from fastlander.validation import InputError, allowed, check, shown

Directory = Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="DIR")]
"""The argument of a command that reads a run: its directory."""
OptionalDirectory = Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")]
"""The same where the command can do without."""
Imports = Annotated[
    tuple[str, ...], tyro.conf.UseAppendAction, tyro.conf.arg(name="import", metavar="MODULE", help_behavior_hint="")
]
"""The option --import MODULE, which may be given several times."""


def parse(
    target: Callable[..., Any], argv: Sequence[str] | None, prog: str, hints: Mapping[str, Any], **options: Any
) -> Any:
    """`tyro.cli(target)`, where a wrong argument raises an InputError of one line.

    Only what tyro itself says on stderr is caught: a function is called after all its arguments have been read.

    Args:
        target: a dataclass to fill in, or a function to call with the arguments.
        argv: arguments. None takes those of the process.
        prog: the command's name in its help.
        hints: annotated type of each argument, from which the error says what is allowed.
        **options: further options of `tyro.cli`.
    """
    args = list(sys.argv[1:] if argv is None else argv)

    @functools.wraps(target)
    def read(*positional: Any, **named: Any) -> Callable[[], Any]:
        return functools.partial(target, *positional, **named)

    box, page = io.StringIO(), _Page()
    try:
        with contextlib.redirect_stderr(box), contextlib.redirect_stdout(page):
            if isinstance(target, type):
                return tyro.cli(target, args=args, prog=prog, registry=_REGISTRY, **options)
            call = tyro.cli(read, args=args, prog=prog, registry=_REGISTRY, **options)
    except SystemExit as stop:
        if not stop.code:
            sys.stdout.write(reflowed(page.getvalue(), shutil.get_terminal_size().columns))
            raise
        raise _refusal(stop) or InputError(_one_line(box.getvalue(), args, hints)) from None
    return call()


class _Page(io.StringIO):
    """Takes help for the stdout of now: with colours for a terminal, and boxes if they can be encoded."""

    def __init__(self) -> None:
        super().__init__()
        self._stdout = sys.stdout

    def isatty(self) -> bool:
        return self._stdout.isatty()

    @property
    def encoding(self) -> str | None:  # type: ignore[override]
        return self._stdout.encoding


def reflowed(page: str, columns: int) -> str:
    """The lines of help that are wider than the terminal, cut between words or between the options of its usage.

    tyro fits its boxes into the terminal, but neither the usage nor the description above them.
    """
    lines = []
    for line in page.split("\n"):
        plain = re.sub(r"\x1b\[[\d;]*m", "", line)
        if len(plain) <= columns:
            lines.append(line)
        elif plain.startswith("usage: "):
            command, *options = re.split(r" (?=\[)|(?<=\]) (?=[A-Z]+)", plain)
            options = [option.replace(" ", "\0") for option in options]
            indent = " " * (len(command) + 1)
            first, *others = wrapped(" ".join(options), columns - len(indent))
            lines += [f"{command} {first}", *(indent + other for other in others)]
        else:
            lines += wrapped(plain, columns)
    return "\n".join(lines).replace("\0", " ")


_REGISTRY = ConstructorRegistry()


@_REGISTRY.primitive_rule
def _text(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[str] | None:
    """A text is shown as TEXT."""
    if info.type is not str:
        return None
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar="TEXT",
        instance_from_str=lambda texts: texts[0],
        is_instance=lambda value: isinstance(value, str),
        str_from_instance=lambda value: [value],
    )


@_REGISTRY.primitive_rule
def _keywords(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Mapping[str, Any]] | None:
    """A mapping of names to plain values is written as KEY=VALUE, any number of times, with Python literals."""
    if typing.get_origin(info.type) is not Mapping:
        return None
    return PrimitiveConstructorSpec(
        nargs="*",
        metavar="KEY=VALUE",
        instance_from_str=parse_keywords,
        is_instance=lambda value: isinstance(value, Mapping),
        str_from_instance=lambda value: [f"{name}={inner!r}" for name, inner in value.items()] or ["none"],
    )


@_REGISTRY.primitive_rule
def _choice(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[str] | None:
    """A choice of texts is shown as native|sync|async."""
    if typing.get_origin(info.type) is not Literal:
        return None
    choices = typing.get_args(info.type)
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar="|".join(choices),
        instance_from_str=lambda texts: texts[0],
        is_instance=lambda value: value in choices,
        str_from_instance=lambda value: [value],
        choices=choices,
    )


@_REGISTRY.primitive_rule
def _optional(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """A setting that may be None is shown as INT|None."""
    inner = [one for one in typing.get_args(info.type) if one is not NoneType]
    if typing.get_origin(info.type) not in (UnionType, typing.Union) or len(inner) != 1:
        return None
    spec = ConstructorRegistry.get_primitive_spec(PrimitiveTypeInfo.make(inner[0], info.markers))
    if not isinstance(spec, PrimitiveConstructorSpec):
        return None
    choices = None if spec.choices is None else (*spec.choices, "None")
    metavar = "|".join(choices) if choices else f"{spec.metavar}|None"
    return PrimitiveConstructorSpec(
        nargs=spec.nargs,
        metavar=metavar,
        instance_from_str=lambda texts: None if texts == ["None"] else spec.instance_from_str(texts),
        is_instance=lambda value: value is None or spec.is_instance(value),
        str_from_instance=lambda value: ["None"] if value is None else spec.str_from_instance(value),
        choices=choices,
    )


def parse_keywords(texts: Sequence[str]) -> Mapping[str, Any]:
    """Settings of an environment from texts such as "gravity=-3.7", whose values are Python literals.

    Raises:
        ValueError: a text is no such setting, or names one a second time.
    """
    settings: dict[str, Any] = {}
    for text in texts:
        name, equals, literal = text.partition("=")
        if not equals or not name.isidentifier():
            raise InputError(f"env_kwargs must be key=value, such as gravity=-3.7, got {shown(text)}")
        if name in settings:
            raise InputError(f"env_kwargs must have each key once, got {name!r} twice")
        try:
            settings[name] = ast.literal_eval(literal)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            got = f"""{shown(literal)} (text has quotes of its own, as in {name}="'text'")"""
            raise InputError(f"env_kwargs must have a Python literal after {name}=, got {got}") from None
    return check("env_kwargs", Mapping[str, Any], settings)


def _refusal(stop: BaseException) -> InputError | None:
    """The InputError of a dataclass that tyro wanted to make, if that is why tyro stops."""
    cause = stop.__context__
    while cause is not None and not isinstance(cause, InputError):
        cause = cause.__context__
    return cause


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
    several = typing.get_origin(hint) in (tuple, Mapping)
    return f"{flag[0]} must be {allowed(hint)}, got {_given(flag[0], args, several)}"


def _given(flag: str, args: list[str], several: bool) -> str:
    """The value after the last `flag` on the command line, quoted, or all its values where it takes `several`."""
    for i, arg in reversed(list(enumerate(args))):
        name, equals, value = arg.partition("=")
        if name.replace("_", "-") == flag:
            following = [value] if equals else args[i + 1 :]
            values = list(itertools.takewhile(lambda text: not text.startswith("--"), following))
            return shown(" ".join(values if several else values[:1])) if values else "nothing"
    return "nothing"
