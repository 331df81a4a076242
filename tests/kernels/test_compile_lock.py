import os
import subprocess
import sys
import threading
import time

import pytest

from fastlander.kernels import compile_lock
from fastlander.kernels.compile_lock import CompileLock

HOLD = """
import pathlib, sys, time
from fastlander.kernels.compile_lock import CompileLock
lock = CompileLock(pathlib.Path(sys.argv[1]), "kernel")
print(lock.acquire(), flush=True)
time.sleep(float(sys.argv[2]))
"""


@pytest.fixture
def holder(tmp_path):
    processes = []

    def hold(seconds):
        command = [sys.executable, "-c", HOLD, str(tmp_path / "k.lock"), str(seconds)]
        processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        assert processes[-1].stdout.readline() == "False\n"
        return processes[-1]

    yield hold
    for process in processes:
        process.kill()
        process.wait()


def test_a_lock_that_nobody_has_is_taken_at_once_and_again(tmp_path, capsys):
    lock, other = CompileLock(tmp_path / "k.lock", "k"), CompileLock(tmp_path / "k.lock", "k")
    assert other.is_free()
    assert not lock.acquire()
    assert not lock.acquire()
    assert not other.is_free()
    lock.release()
    lock.release()
    assert other.is_free()
    assert not other.acquire()
    other.release()
    assert capsys.readouterr().err == ""


def test_one_waits_while_another_process_compiles_and_says_so(tmp_path, holder, capsys, monkeypatch):
    monkeypatch.setattr(compile_lock, "NOTICE_AFTER", 0.1)
    process = holder(60)
    lock = CompileLock(tmp_path / "k.lock", "step")
    assert not lock.is_free()
    threading.Timer(0.6, process.kill).start()  # a lock of a process that was killed is free
    start = time.monotonic()
    assert lock.acquire()
    assert time.monotonic() - start > 0.3
    waiting, waited = capsys.readouterr().err.splitlines()
    assert waiting == "fastlander: another process compiles step: waiting for it"
    assert waited.startswith("fastlander: waited ")
    lock.release()


def test_a_process_that_takes_for_ever_is_not_waited_for(tmp_path, holder, monkeypatch):
    monkeypatch.setattr(compile_lock, "PATIENCE", 0.2)
    holder(60)
    assert CompileLock(tmp_path / "k.lock", "k").acquire()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_cannot_be_written_locks_nothing(tmp_path):
    tmp_path.chmod(0o500)
    lock = CompileLock(tmp_path / "k.lock", "k")
    assert not lock.acquire()
    assert lock.is_free()
    tmp_path.chmod(0o700)


def test_a_directory_that_is_not_there_locks_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    lock = CompileLock(tmp_path / "file" / "k.lock", "k")
    assert not lock.acquire()
    assert lock.is_free()
    lock.release()
