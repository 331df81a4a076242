import threading
import time

import numpy as np
import pytest

from fastlander.kernels.jit import uncounted_kernel
from fastlander.kernels.threads import KernelThreads, falls_asleep, note_done, takes


@uncounted_kernel
def serve_count(signal, patience, counter):
    """Adds one to the first number, as slowly as the second one says."""
    looks = 0
    while True:
        if takes(signal):
            before = counter[0]
            for _ in range(counter[1]):
                counter[2] += 1
            counter[0] = before + 1  # lost, if two did the same work at the same time
            note_done(signal)
            looks = 0
        looks += 1
        if looks > patience:
            if falls_asleep(signal):
                return
            looks = 0


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
    """In place of the semaphore that wakes a thread: as if no processor were free for it."""

    def release(self):
        pass


def test_work_that_no_thread_begins_the_caller_does():
    counter = np.array([0, 100, 0])
    threads = KernelThreads(serve_count, [(counter,)])
    wake, threads._wake = threads._wake, [Deaf()]
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
        threads._wake = [Deaf()] if k % 3 else wake
        threads.start()
        late = threading.Thread(target=wake[0].release)
        late.start()
        threads.wait()
        late.join()
        assert counter[0] == k
    threads._wake = wake
    threads.close()
    assert counter[0] == 300
