import itertools

import numpy as np
import pytest

from fastlander.lander.compiled import ADDRESSES, MISSING
from fastlander.lander.lane_solvers import FREE, LANE_SOLVERS, LEGS, LIMITED, NUM_LANE_SOLVERS
from fastlander.lander.pcg64 import start_stream
from fastlander.lander.stepper import Stepper
from fastlander.lander.variant import Variant
from fastlander.physics.state import FORCE, NUM_STREAM

EVERY = [*LANE_SOLVERS]
VARIANT = Variant(False, np.float32(-10), True, 15.0, 1.5, 1000)
N = 45


class Flock:
    """N landers that are solved by some of the solvers."""

    def __init__(self, places):
        MISSING.load(wait=True)
        solvers = np.zeros(NUM_LANE_SOLVERS, np.int64)
        solvers[places] = ADDRESSES[places]
        self.stepper = Stepper(N, 1, VARIANT, solvers)
        for i in range(N):
            stream = np.zeros(NUM_STREAM, np.uint64)
            start_stream(stream, i)
            self.stepper.state.stream[:, i] = stream
        self.fresh = np.ones(N, bool)

    def step(self, actions):
        self.stepper.load(actions)
        self.stepper.step(np.ones(N, bool), self.fresh)
        obs, reward, terminated, truncated = self.stepper.results()
        self.fresh = terminated | truncated
        state = self.stepper.state
        return b"".join(
            part.tobytes()
            for part in (obs, reward, terminated, state.f32[:FORCE, :N], state.stream[:, :N], state.contact_f32)
        )


@pytest.mark.parametrize(
    "places", [list(c) for r in range(3) for c in itertools.combinations((FREE, LIMITED, LEGS), r)]
)
def test_results_do_not_depend_on_which_solvers_are_there(places):
    whole, part = Flock(EVERY), Flock(places)
    rng = np.random.default_rng(len(places))
    for _ in range(150):
        actions = rng.integers(4, size=N)
        assert whole.step(actions) == part.step(actions)


def test_solvers_that_come_while_landers_fly_change_nothing():
    whole, late = Flock(EVERY), Flock([])
    solvers = late.stepper._own[4]
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
