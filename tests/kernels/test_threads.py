import threading
import time

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
    """A semaphore that does not wake its thread, as if no processor were free for the thread."""

    def __init__(self, semaphore):
        self.acquire = semaphore.acquire

    def release(self):
        pass


def test_work_that_no_thread_begins_the_caller_does():
    counter = np.array([0, 100, 0])
    threads = KernelThreads(serve_count, [(counter,)])
    wake, threads._wake = threads._wake, [Deaf(threads._wake[0])]
    for k in range(1, 101):
        threads.start()
        assert counter[0] == k - 1
        threads.wait()
        assert counter[0] == k
    threads._wake = wake
    threads.close()


def test_a_thread_that_wakes_late_does_nothing_twice():
    counter = np.array([0, 0, 0])
    threads = KernelThreads(serve_count, [(counter,)], 1_000)
    wake = threads._wake
    for k in range(1, 301):
        threads._wake = [Deaf(wake[0])] if k % 3 else wake
        threads.start()
        late = threading.Thread(target=wake[0].release)
        late.start()
        threads.wait()
        late.join()
        assert counter[0] == k
    threads._wake = wake
    threads.close()
    assert counter[0] == 300
