"""How kernels are compiled: what a forked process finds."""

import os
import subprocess
import sys

import pytest

FORK_BESIDE_A_COMPILER = """
import os, sys, threading, time
import numba
from numba.core.compiler_lock import global_compiler_lock
import fastlander.kernels.jit

compiles, forked = threading.Event(), threading.Event()
def compile_long():
    with global_compiler_lock:
        compiles.set()
        forked.wait(1)
        time.sleep(0.2)
thread = threading.Thread(target=compile_long)
thread.start()
compiles.wait()
pid = os.fork()
forked.set()
if pid == 0:
    os._exit(numba.njit(lambda x: x + 40)(2))
for _ in range(600):
    done, status = os.waitpid(pid, os.WNOHANG)
    if done:
        break
    time.sleep(0.1)
else:
    os.kill(pid, 9)
    sys.exit("the child hangs")
thread.join()
assert numba.njit(lambda x: x + 1)(2) == 3  # the parent has given the lock back
print("child", os.waitstatus_to_exitcode(status))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_process_forked_while_another_thread_compiles_can_compile():
    command = [sys.executable, "-W", "ignore", "-c", FORK_BESIDE_A_COMPILER]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.stdout == "child 42\n", done.stderr
