import os
import signal
import subprocess
import sys
import time

import pytest
from safetensors.numpy import load_file

from fastlander.kernels import compile_ahead
from fastlander.kernels.compile_ahead import Helpers

IDLE = "import os\n{path!r}, {work!r}\nos.read(0, 1)\n"  # at work until its starter ends


@pytest.fixture
def helpers(monkeypatch):
    monkeypatch.setattr(compile_ahead, "_CODE", IDLE)
    monkeypatch.setattr(compile_ahead, "available_processors", lambda: 3)
    monkeypatch.setattr(compile_ahead.atexit, "register", lambda *call: None)
    helpers = Helpers()
    yield helpers
    helpers.end(wait=False)


def test_they_start_once_and_end_when_they_are_told(helpers, capsys):
    assert not helpers.is_running()
    helpers.start(("lanes",))
    first = list(helpers._processes)
    helpers.start(("lanes",))
    assert helpers._processes == first
    assert helpers.is_running()
    first[0].kill()
    first[0].wait()
    assert helpers.is_running()  # the other one is
    helpers.end(wait=False)
    assert not helpers.is_running()
    assert [process.returncode for process in first] == [-signal.SIGKILL] * 2
    assert capsys.readouterr().err == ""


def test_who_waits_for_them_is_told_so(helpers, monkeypatch, capsys):
    monkeypatch.setattr(compile_ahead, "_CODE", "import time\n{path!r}\ntime.sleep(0.3 * len({work!r}[0]))\n")
    helpers.start(("a", "bb"))
    helpers.end(wait=True)
    assert [process.returncode for process in helpers._processes] == [0, 0]
    waiting, waited = capsys.readouterr().err.splitlines()
    assert waiting.startswith("fastlander: compiling the rest for the next time")
    assert waited.startswith("fastlander: compiled the rest in 0.")


WRITE_WORK = (
    "import os, pathlib\n{{path!r}}\npathlib.Path({folder!r}, str(os.getpid())).write_text(','.join({{work!r}}))\n"
)


@pytest.mark.parametrize(("processors", "number"), [(1, 0), (2, 1), (3, 2), (64, 2)])
def test_each_further_processor_has_one_and_each_begins_with_other_work(
    helpers, monkeypatch, tmp_path, processors, number
):
    monkeypatch.setattr(compile_ahead, "_CODE", WRITE_WORK.format(folder=str(tmp_path)))
    monkeypatch.setattr(compile_ahead, "available_processors", lambda: processors)
    helpers.start(("learner", "loops", "lanes"))
    helpers.end(wait=True)
    work = [(tmp_path / str(process.pid)).read_text().split(",") for process in helpers._processes]
    assert [groups[0] for groups in work] == ["learner", "lanes"][:number]
    assert [sorted(groups) for groups in work] == [["lanes", "learner", "loops"]] * number


@pytest.mark.parametrize(("processors", "allowed", "executable"), [(1, True, "x"), (2, False, "x"), (2, True, "")])
def test_where_they_would_not_help_there_are_none(helpers, monkeypatch, processors, allowed, executable):
    monkeypatch.setattr(compile_ahead, "available_processors", lambda: processors)
    monkeypatch.setattr(sys, "executable", executable)
    helpers.allowed = allowed
    helpers.start(("lanes",))
    assert not helpers.is_running()


def test_a_machine_that_starts_no_process_compiles_by_itself(helpers, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    helpers.start(("lanes",))
    assert not helpers.is_running()
    helpers.end(wait=True)


def test_it_ends_with_a_process_that_was_killed():
    code = f"""
import time
from fastlander.kernels import compile_ahead
compile_ahead._CODE = {IDLE!r}
compile_ahead.available_processors = lambda: 2
compile_ahead.HELPERS.start(("lanes",))
print(compile_ahead.HELPERS._processes[0].pid, flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as starter:
        number = int(starter.stdout.readline())
        os.kill(number, 0)
        starter.kill()
    end = time.monotonic() + 20
    while time.monotonic() < end and is_alive(number):
        time.sleep(0.05)
    assert not is_alive(number)


def is_alive(number):
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(number)], capture_output=True, text=True, check=False)
    return state.stdout.strip()[:1] not in ("", "Z")


TRAIN = ["-m", "fastlander.train", "--num-envs", "16", "--seed", "5", "--total-timesteps", "20000", "--no-progress"]


def train(folder, *more, **environment):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(folder / "cache"), **environment}
    environment.pop("NUMBA_CPU_NAME", None)
    return subprocess.Popen(
        [sys.executable, *TRAIN, *more], env=environment, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def first_in_path(folder):
    """PYTHONPATH with a folder before what is in it."""
    return os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])


def kernels(folder):
    return {path.name for path in (folder / "cache").rglob("*.nbc")}


@pytest.mark.slow
@pytest.mark.parametrize("processors", [1, 2, 4])
def test_a_first_run_gives_what_a_later_one_gives_and_leaves_everything_compiled(tmp_path, processors):
    counts = f"os.process_cpu_count = lambda: {processors}", f"os.sched_getaffinity = lambda _: range({processors})"
    seen = "\n".join(["import os", *counts])
    (tmp_path / "sitecustomize.py").write_text(seen)
    first = train(tmp_path, "--output-dir", "first", PYTHONPATH=first_in_path(tmp_path))
    _, lines = first.communicate()
    assert first.returncode == 0
    assert b"compiling serve_step_once" in lines
    compiled = kernels(tmp_path)
    second = train(tmp_path, "--output-dir", "second")
    _, lines = second.communicate()
    assert lines == b""
    assert kernels(tmp_path) == compiled
    models = [load_file(tmp_path / name / "model.safetensors") for name in ("first", "second")]
    assert all(models[0][key].tobytes() == models[1][key].tobytes() for key in models[0])


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [4, 9, 14])
def test_a_first_run_that_is_killed_leaves_a_cache_that_works(tmp_path, seconds):
    first = train(tmp_path, "--output-dir", "first")
    time.sleep(seconds)
    first.kill()
    first.communicate()
    second = train(tmp_path, "--output-dir", "second")
    out, lines = second.communicate()
    assert second.returncode == 0, lines
    assert b"damaged" not in lines
    assert b"Saved in second" in out


@pytest.mark.parametrize(
    ("command", "waits"),
    [(["-m", "fastlander.train", "--help"], True), (["-m", "fastlander", "--version"], True), (["own.py"], False)],
)
def test_a_command_is_one_to_its_end(tmp_path, command, waits):
    """At its end, too, when it decides whether to wait for its helpers."""
    (tmp_path / "own.py").write_text("import fastlander\n")
    asks = "import atexit\natexit.register(lambda: print(__import__('fastlander.startup').startup.is_command()))\n"
    (tmp_path / "sitecustomize.py").write_text(asks)
    env = {**os.environ, "PYTHONPATH": first_in_path(tmp_path)}
    done = subprocess.run([sys.executable, *command], cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == str(waits)
