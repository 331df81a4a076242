"""What is printed while kernels compile."""

import io
import re
import sys
import time
from types import SimpleNamespace

import pytest

from fastlander.kernels import compile_notice
from fastlander.kernels.jit import KERNELS, kernel

from .test_kernel_cache import cheap, compiles  # noqa: F401 - a fixture


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(compile_notice, "PATIENCE", 0.0)


def test_a_compile_is_said_and_a_load_is_not(cheap, impatient, capsys):  # noqa: F811
    assert compiles(cheap) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert re.fullmatch(
        r"fastlander: compiling double \((\d+) of the \1 kernels of cheap\) once for this machine: "
        r"a few seconds, more if it is busy",
        lines[0],
    )
    assert re.fullmatch(r"fastlander: compiled double in \d+\.\d s", lines[1])
    assert compiles(cheap) == 0
    assert capsys.readouterr().err == ""


def test_a_compile_that_takes_no_time_is_not_said(cheap, capsys):  # noqa: F811
    assert compile_notice.PATIENCE == 1.0
    assert compiles(cheap) == 1
    assert capsys.readouterr().err == ""


def notice_of(function, seconds, finished=True):
    """What is printed while a kernel compiles for so long."""
    notice, compiling = compile_notice.CompileNotice(), SimpleNamespace(data={"dispatcher": function})
    notice.on_start(compiling)
    notice.on_start(SimpleNamespace(data={"dispatcher": KERNELS[0]}))  # a part that compiles meanwhile
    notice.on_end(SimpleNamespace(data={"dispatcher": KERNELS[0]}))
    time.sleep(seconds)
    if finished:
        function.overloads["signature"] = None
    notice.on_end(compiling)
    function.overloads.pop("signature", None)


def test_a_terminal_s_line_is_rewritten_once_a_second(impatient, monkeypatch):
    from fastlander.lander.step import serve_steps

    monkeypatch.setattr(sys, "stderr", Terminal())
    notice_of(serve_steps, 2.5)
    text = sys.stderr.getvalue()
    assert text.isascii()
    first, *rest = text.split("\n")
    loaded = sum(one.py_func.__module__.startswith("fastlander.lander.") for one in KERNELS)
    assert re.fullmatch(
        rf"fastlander: compiling serve_step_once \(\d of the {loaded} kernels of lander\) once for this machine: "
        "15 to 40 seconds, more if it is busy",
        first,
    )
    assert re.fullmatch(r"\rfastlander: 1 s\rfastlander: 2 s\rfastlander: compiled serve_step_once in 2\.\d s", rest[0])
    assert rest[1:] == [""]


@pytest.mark.filterwarnings("error")
def test_a_compile_that_is_interrupted_and_a_stderr_that_is_closed(impatient, monkeypatch, capsys):
    @kernel
    def unfinished():
        pass

    notice_of(unfinished, 0.2, finished=False)
    assert "stopped compiling unfinished after 0." in capsys.readouterr().err
    closed = io.StringIO()
    closed.close()
    for stderr in (closed, None):
        monkeypatch.setattr(sys, "stderr", stderr)
        notice_of(unfinished, 0.1)


def test_other_functions_are_not_said(impatient, capsys):
    notice = compile_notice.CompileNotice()
    stranger = SimpleNamespace(data={"dispatcher": lambda: None})
    notice.on_start(stranger)
    time.sleep(0.1)
    notice.on_end(stranger)
    assert capsys.readouterr().err == ""


def test_the_estimates_are_of_kernels_that_there_are():
    import fastlander.lander.step_one
    import fastlander.learner.fused.update  # noqa: F401

    assert set(compile_notice.ESTIMATES) <= {known.__name__ for known in KERNELS}
