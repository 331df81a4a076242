import itertools

import numpy as np
import pytest

from fastlander.kernels.addresses import address_of
from fastlander.lander.compiled import ADDRESSES, MISSING
from fastlander.lander.lane_solvers import (
    FREE,
    LANE_SOLVER_ARGUMENTS,
    LANE_SOLVERS,
    LEGS,
    LIMITED,
    LIMITED32,
    NUM_LANE_SOLVERS,
    solve_limited32,
)
from fastlander.lander.pcg64 import start_stream
from fastlander.lander.stepper import Stepper
from fastlander.lander.variant import Variant
from fastlander.physics.state import FORCE, IMPULSE, NUM_STREAM, VELOCITY

EVERY = [*LANE_SOLVERS]
VARIANT = Variant(False, np.float32(-10), True, 15.0, 1.5, 1000)
N = 45


class Flock:
    """N landers that are solved by some of the solvers. others: addresses of further ones, by place."""

    def __init__(self, places, n=N, others=None):
        MISSING.load(wait=True)
        solvers = np.zeros(NUM_LANE_SOLVERS, np.int64)
        solvers[places] = ADDRESSES[places]
        for place, address in (others or {}).items():
            solvers[place] = address
        self.n, self.stepper = n, Stepper(n, 1, VARIANT, solvers)
        for i in range(n):
            stream = np.zeros(NUM_STREAM, np.uint64)
            start_stream(stream, i)
            self.stepper.state.stream[:, i] = stream
        self.fresh = np.ones(n, bool)

    def step(self, actions):
        self.stepper.load(actions)
        self.stepper.step(np.ones(self.n, bool), self.fresh)
        obs, reward, terminated, truncated = self.stepper.results()
        self.fresh = terminated | truncated
        state, n = self.stepper.state, self.n
        parts = (obs, reward, terminated, state.f32[:FORCE, :n], state.stream[:, :n], state.contact_f32)
        return b"".join(part.tobytes() for part in parts)

    def kick(self, rng):
        """Give every body another velocity, and every limit of a joint another impulse of the same sign."""
        f32, n = self.stepper.state.f32, self.n
        f32[VELOCITY : VELOCITY + 9, :n] += rng.normal(size=(9, n)) * 10.0 ** rng.integers(-5, 1, size=n)
        for joint in range(2):
            f32[IMPULSE + 4 * joint + 2, :n] *= 10.0 ** rng.integers(-4, 2, size=n)


@pytest.mark.parametrize(
    "places", [list(c) for r in range(3) for c in itertools.combinations((FREE, LIMITED, LEGS), r)]
)
def test_results_do_not_depend_on_which_solvers_are_there(places):
    whole, part = Flock(EVERY), Flock(places)
    rng = np.random.default_rng(len(places))
    for _ in range(150):
        actions = rng.integers(4, size=N)
        assert whole.step(actions) == part.step(actions)


@pytest.mark.parametrize("n", [*range(1, 131, 8), 400])
def test_in_stages_a_lander_moves_as_in_the_general_solver(n):
    """So many landers that no vector, one or several are left after a stage."""
    whole, general, rng = Flock(EVERY, n), Flock([], n), np.random.default_rng(n)
    for _ in range(150):
        actions = rng.integers(4, size=n)
        assert whole.step(actions) == general.step(actions)


def test_landers_that_are_kicked_move_as_in_the_general_solver():
    """What seldom happens in flight: a limit lets go after many velocity iterations, in a cycle or not."""
    whole, general = Flock(EVERY, 300), Flock([], 300)
    rng, kicks = np.random.default_rng(5), (np.random.default_rng(6), np.random.default_rng(6))
    for _ in range(200):
        actions = rng.integers(4, size=300)
        assert whole.step(actions) == general.step(actions)
        whole.kick(kicks[0]), general.kick(kicks[1])


def test_pairs_of_vectors_give_the_same_on_any_processor():
    pairs = {LIMITED32: address_of(solve_limited32, LANE_SOLVER_ARGUMENTS)}
    for n in (16, 17, 45, 130):
        whole, paired, rng = Flock(EVERY, n), Flock(EVERY, n, pairs), np.random.default_rng(n)
        for _ in range(100):
            actions = rng.integers(4, size=n)
            assert whole.step(actions) == paired.step(actions)


def test_solvers_that_come_while_landers_fly_change_nothing():
    whole, late = Flock(EVERY), Flock([])
    solvers = late.stepper.own[4]
    rng = np.random.default_rng(3)
    for step in range(120):
        if step in (40, 60, 80):
            place = {40: LEGS, 60: FREE, 80: LIMITED}[step]
            solvers[place] = ADDRESSES[place]
        actions = rng.integers(4, size=N)
        assert whole.step(actions) == late.step(actions)


def test_every_solver_that_the_processor_can_use_is_there():
    MISSING.load(wait=True)
    assert np.flatnonzero(ADDRESSES).tolist() == sorted(EVERY)
