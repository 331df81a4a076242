import gc
import subprocess
import sys
import threading
import time
import weakref

import numpy as np
import pytest

from fastlander.kernels.jit import part
from fastlander.kernels.threads import KernelThreads, run_here, serving


@part
def count(counter):
    """Add one to the first number, as slowly as the second one says."""
    before = counter[0]
    for _ in range(counter[1]):
        counter[2] += 1
    counter[0] = before + 1  # one of two additions is lost if two threads do the same work at the same time


@part
def add_both(sums, a, b):
    sums[0] += a
    sums[1] += b


serve_count, serve_add_both = serving(count), serving(add_both)


def test_each_serving_kernel_does_its_own_work():
    counter, sums = np.array([0, 0, 0]), np.zeros(2)
    for _ in range(3):
        run_here(serve_count, counter)
        run_here(serve_add_both, sums, 2.0, 5.0)
    assert counter[0] == 3
    assert sums.tolist() == [6, 15]


@pytest.mark.parametrize("patience", [10, 300_000])
@pytest.mark.parametrize("slowness", [0, 3_000])
def test_all_work_is_done_once(patience, slowness):
    counters = [np.array([0, slowness, 0]) for _ in range(3)]
    threads = KernelThreads(serve_count, [(counter,) for counter in counters], patience)
    for k in range(1, 2_001):
        threads.start()
        if k % 500 == 0:
            time.sleep(0.01)
        threads.wait()
        assert [counter[0] for counter in counters] == [k] * 3
    threads.close()


class Deaf:
    """A queue that does not wake its thread, as if no processor were free for the thread."""

    def put(self, item):
        pass


def test_work_that_no_thread_begins_the_caller_does():
    counter = np.array([0, 100, 0])
    threads = KernelThreads(serve_count, [(counter,)])
    threads.start()
    threads.wait()
    wake, threads._wake = threads._wake, [Deaf()]
    time.sleep(0.1)  # until the thread is asleep
    for k in range(2, 102):
        threads.start()
        assert counter[0] == k - 1
        threads.wait()
        assert counter[0] == k
    threads._wake = wake
    threads.close()


@pytest.mark.parametrize("where", ["before", "after"])
def test_ctrl_c_between_finding_such_work_and_doing_it_leaves_no_work(monkeypatch, where):
    """It would have been waited for for ever, had the caller taken it before he does it."""
    counter, do_share, interrupts = np.array([0, 100, 0]), KernelThreads.do_share, []

    def interrupted(self, k):
        interrupts.append(k)
        if where == "after" or len(interrupts) > 1:
            do_share(self, k)
        if len(interrupts) == 1:
            raise KeyboardInterrupt

    threads = KernelThreads(serve_count, [(counter,)])
    threads.start()
    threads.wait()
    wake, threads._wake = threads._wake, [Deaf()]
    time.sleep(0.1)  # until the thread is asleep
    monkeypatch.setattr(KernelThreads, "do_share", interrupted)
    for k in range(2, 30):
        interrupts.clear()
        threads.start()
        with pytest.raises(KeyboardInterrupt):
            threads.wait()
        assert counter[0] == k
        threads.wait()
        assert counter[0] == k
    threads._wake = wake
    threads.close()


def test_a_thread_that_wakes_late_does_nothing_twice():
    counter = np.array([0, 0, 0])
    threads = KernelThreads(serve_count, [(counter,)], 1_000)
    threads.start()
    threads.wait()
    wake = threads._wake
    for k in range(2, 301):
        threads._wake = [Deaf()] if k % 3 else wake
        threads.start()
        late = threading.Thread(target=wake[0].put, args=(None,))
        late.start()
        threads.wait()
        late.join()
        assert counter[0] == k
    threads._wake = wake
    threads.close()
    assert counter[0] == 300


def serving_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("serve_count")]


def wait_until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize("awake", [False, True])
def test_threads_that_nobody_closes_end_with_their_owner(awake):
    dropped = []
    for _ in range(30):
        counter = np.array([0, 10, 0])
        threads = KernelThreads(serve_count, [(counter,), (counter.copy(),)])
        for _ in range(3):
            threads.start()
            threads.wait()
        dropped.append((weakref.ref(threads), weakref.ref(counter)))
        if not awake:
            time.sleep(0.002)
        del threads, counter
    gc.collect()
    wait_until(lambda: not serving_threads())
    assert not any(reference() for pair in dropped for reference in pair)


def test_threads_that_were_never_asked_are_never_begun():
    threads = KernelThreads(serve_count, [(np.zeros(3, int),)] * 4)
    assert len(threads) == 4
    assert not serving_threads()
    threads.close()


def test_closed_threads_begin_again():
    counter = np.array([0, 10, 0])
    threads = KernelThreads(serve_count, [(counter,)])
    for k in range(1, 4):
        threads.start()
        threads.wait()
        assert counter[0] == k
        threads.close()
        threads.close()
        assert not serving_threads()


def test_a_start_that_was_not_waited_for_is_not_lost():
    """A Ctrl-C between `start` and `wait` must neither lose work nor make the next `wait` endless."""
    counter = np.array([0, 1000, 0])
    threads = KernelThreads(serve_count, [(counter,)])
    for _ in range(200):
        threads.start()
    threads.wait()
    assert counter[0] == 200
    threads.close()


FORKS = """
import os, sys, threading, time
import numpy as np
from tests.kernels.test_threads import KernelThreads, serve_count
work = sys.argv[1]
counter = np.array([0, 1000, 0])
threads = KernelThreads(serve_count, [(counter,)])
threads.start(); threads.wait()
if work == "asleep":
    time.sleep(0.1)
for k in range(20):
    before = counter[0]
    if work == "at work":
        threads.start()
    pid = os.fork()
    if pid == 0:
        if work == "at work":
            try:
                threads.wait()
            except RuntimeError as error:
                assert "the process was forked" in str(error)
            else:
                os._exit(2)
            before = counter[0]
        for _ in range(3):
            threads.start(); threads.wait()
        assert counter[0] == before + 3, counter
        del threads  # with its new thread
        sys.exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    if work == "at work":
        threads.wait()
    threads.start(); threads.wait()
print("done")
"""


@pytest.mark.parametrize(
    "work", [pytest.param("asleep", marks=pytest.mark.slow), pytest.param("awake", marks=pytest.mark.slow), "at work"]
)
def test_a_forked_process_begins_threads_of_its_own(work):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKS, work], capture_output=True, text=True, timeout=120
    )
    assert done.stdout == "done\n", done.stderr
    assert done.returncode == 0
