"""Greedy episodes in one kernel beside the same episodes in Python, which are their slow twin."""

import contextlib
import itertools
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode

from fastlander import LunarLanderVectorEnv, QNetwork, make_vec_env
from fastlander.evaluation import episodes, flights
from fastlander.evaluation.episodes import evaluate
from fastlander.evaluation.flight_loop import FEW, TAKEN
from fastlander.kernels.threads import KernelThreads
from fastlander.learner.fused.policy import FusedPolicy

HOVER = 200  # steps, the limit of these episodes


def policy(seed=3, sizes=(16, 8)):
    return FusedPolicy.of(QNetwork(hidden_sizes=sizes, generator=torch.Generator().manual_seed(seed)))


def landers(n, threads=1, **more):
    mode = AutoresetMode.DISABLED
    return LunarLanderVectorEnv(n, autoreset_mode=mode, num_threads=threads, max_episode_steps=HOVER, **more)


def played(n, seeds, threads=1, **more):
    with contextlib.closing(landers(n, threads, **more)) as env:
        return evaluate(policy().greedy, env, seeds)


def rows(evaluation):
    return {name: array.tobytes() for name, array in vars(evaluation).items()}


@pytest.fixture
def rounds(monkeypatch):
    """How many vector steps the kernel took in each of its calls."""
    counts, take = [], flights.FusedFlights.take

    def counted(self, *arguments):
        results = take(self, *arguments)
        counts.append(int(self._place[TAKEN]))
        return results

    monkeypatch.setattr(flights.FusedFlights, "take", counted)
    return counts


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize(("n", "count"), [(1, 3), (7, 20), (FEW + 1, 30), (70, 100)])
def test_episodes_are_the_same_to_the_byte(monkeypatch, rounds, n, count, threads):
    seeds = np.random.default_rng(n).integers(2**31, size=count).tolist()
    fused = played(n, seeds, threads)
    assert sum(rounds) > 60
    assert len(rounds) < sum(rounds)
    assert fused.playtimes.sum() <= sum(rounds) * n
    monkeypatch.setattr(episodes, "_fused_flights", lambda policies, env: None)
    assert rows(played(n, seeds)) == rows(fused)


def pause(monkeypatch):
    """Let the threads fall asleep between the kernel's calls."""
    take = flights.FusedFlights.take

    def slow(self, *arguments):
        time.sleep(0.01)
        return take(self, *arguments)

    monkeypatch.setattr(flights.FusedFlights, "take", slow)
    monkeypatch.setattr(flights, "MOST_STEPS", 3)


def test_it_makes_no_difference_when_the_threads_sleep_or_begin_late(monkeypatch):
    seeds = list(range(100))
    expected = played(70, seeds)
    woken, wake = [], KernelThreads.wake
    monkeypatch.setattr(KernelThreads, "wake", lambda self, k: woken.append(k) or wake(self, k))
    pause(monkeypatch)
    assert rows(played(70, seeds, 3)) == rows(expected)
    assert len(woken) > 20
    assert set(woken) == {0, 1}


def test_the_step_goes_on_here_when_a_thread_does_not_begin(monkeypatch):
    seeds = list(range(40))
    expected, done, do_share = played(40, seeds), [], KernelThreads.do_share
    # Nobody is woken: the kernel finds work that nobody has begun.
    monkeypatch.setattr(KernelThreads, "wake", lambda self, k: None)
    monkeypatch.setattr(KernelThreads, "do_share", lambda self, k: done.append(k) or do_share(self, k))
    pause(monkeypatch)
    assert rows(played(40, seeds, 2)) == rows(expected)
    assert len(done) > 20


@pytest.mark.parametrize("number", [1, 2, 3, 9])
def test_ctrl_c_between_finding_a_share_and_doing_it_ends_the_flights_and_the_next_are_right(monkeypatch, number):
    """The first share is of the landers' reset: what is done later must not read what the next reset writes."""
    seeds = list(range(26))
    expected, do_share, calls = played(26, seeds), KernelThreads.do_share, itertools.count(1)
    monkeypatch.setattr(KernelThreads, "wake", lambda self, k: None)
    monkeypatch.setattr(KernelThreads, "_begin", quiet_beginning(KernelThreads._begin))

    def interrupted(self, k):
        if next(calls) == number:
            raise KeyboardInterrupt
        do_share(self, k)

    monkeypatch.setattr(KernelThreads, "do_share", interrupted)
    with contextlib.closing(landers(26, 2)) as env:
        with pytest.raises(KeyboardInterrupt):
            evaluate(policy().greedy, env, seeds)
        assert rows(evaluate(policy().greedy, env, seeds)) == rows(expected)
    assert next(calls) > 20


def quiet_beginning(begin):
    """`KernelThreads._begin` whose threads are never woken: their queues take nothing."""

    def begun(self):
        begin(self)
        self._wake = [SimpleNamespace(put=lambda item: None) for _ in self._wake]

    return begun


def test_the_kernel_returns_for_ctrl_c_though_no_episode_ends(rounds, monkeypatch):
    monkeypatch.setattr(flights, "MOST_STEPS", 5)
    played(1, [1])
    assert max(rounds) == 5


def test_an_episode_that_ended_must_be_reset():
    with contextlib.closing(landers(2)) as env:
        env.reset(seed=1)
        flight, playing = flights.FusedFlights(policy().greedy, env), np.ones(2, bool)
        flight.take(playing, np.zeros(2), np.zeros(2, np.int64))
        while not env._ended.any():
            flight.take(playing, np.zeros(2), np.zeros(2, np.int64))
        with pytest.raises(AssertionError, match="episodes ended and were not reset"):
            env.step(np.zeros(2, np.int64))


@pytest.mark.parametrize(
    ("policies", "make"),
    [
        ([policy().greedy, policy(4).greedy], lambda: landers(2)),
        ([lambda obs: np.zeros(len(obs), np.int64)], lambda: landers(2)),
        ([policy().load], lambda: landers(2)),
        ([policy().greedy], lambda: LunarLanderVectorEnv(2)),
        ([policy().greedy], lambda: make_vec_env("CartPole-v1", 2)),
    ],
)
def test_others_are_played_in_python(policies, make):
    with contextlib.closing(make()) as env:
        assert not flights.FusedFlights.fit(policies, env)


def test_landers_with_settings_of_their_own_are_played_in_python(rounds, monkeypatch):
    def play():
        with contextlib.closing(landers(4)) as env:
            env.set_attr("gravity", [-10.0, -7.0, -4.0, -11.0])
            return evaluate(policy().greedy, env, list(range(9)))

    first = play()
    assert not rounds
    monkeypatch.setattr(episodes, "_fused_flights", lambda policies, env: None)
    assert rows(play()) == rows(first)
