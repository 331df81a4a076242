import os
import signal
import subprocess
import sys
import time

import pytest
from safetensors.numpy import load_file

from fastlander.kernels import compile_ahead
from fastlander.kernels.compile_ahead import SecondProcess

IDLE = "import os\n{path!r}, {work!r}\nos.read(0, 1)\n"  # at work until its starter ends


@pytest.fixture
def second(monkeypatch):
    monkeypatch.setattr(compile_ahead, "_CODE", IDLE)
    monkeypatch.setattr(compile_ahead, "available_processors", lambda: 2)
    monkeypatch.setattr(compile_ahead.atexit, "register", lambda *call: None)
    process = SecondProcess()
    yield process
    process.end(wait=False)


def test_it_starts_once_and_ends_when_it_is_told(second, capsys):
    assert not second.is_running()
    second.start(("lanes",))
    first = second._process
    second.start(("lanes",))
    assert second._process is first
    assert second.is_running()
    second.end(wait=False)
    assert not second.is_running()
    assert first.returncode == -signal.SIGKILL
    assert capsys.readouterr().err == ""


def test_who_waits_for_it_is_told_so(second, monkeypatch, capsys):
    monkeypatch.setattr(compile_ahead, "_CODE", "import time\n{path!r}, {work!r}\ntime.sleep(0.3)\n")
    second.start(("lanes",))
    second.end(wait=True)
    assert not second.is_running()
    waiting, waited = capsys.readouterr().err.splitlines()
    assert waiting.startswith("fastlander: compiling the rest for the next time")
    assert waited.startswith("fastlander: compiled the rest in 0.")


@pytest.mark.parametrize(("processors", "allowed", "executable"), [(1, True, "x"), (2, False, "x"), (2, True, "")])
def test_where_it_would_not_help_there_is_none(second, monkeypatch, processors, allowed, executable):
    monkeypatch.setattr(compile_ahead, "available_processors", lambda: processors)
    monkeypatch.setattr(sys, "executable", executable)
    second.allowed = allowed
    second.start(("lanes",))
    assert not second.is_running()


def test_a_machine_that_starts_no_process_compiles_by_itself(second, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    second.start(("lanes",))
    assert not second.is_running()
    second.end(wait=True)


def test_it_ends_with_a_process_that_was_killed():
    code = f"""
import time
from fastlander.kernels import compile_ahead
compile_ahead._CODE = {IDLE!r}
compile_ahead.available_processors = lambda: 2
compile_ahead.SECOND_PROCESS.start(("lanes",))
print(compile_ahead.SECOND_PROCESS._process.pid, flush=True)
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


def kernels(folder):
    return {path.name for path in (folder / "cache").rglob("*.nbc")}


@pytest.mark.slow
def test_a_first_run_gives_what_a_later_one_gives_and_leaves_everything_compiled(tmp_path):
    first = train(tmp_path, "--output-dir", "first")
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
    """At its end, too, when it decides whether to wait for its second process."""
    (tmp_path / "own.py").write_text("import fastlander\n")
    asks = "import atexit\natexit.register(lambda: print(__import__('fastlander.startup').startup.is_command()))\n"
    (tmp_path / "sitecustomize.py").write_text(asks)
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, *command], cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == str(waits)
