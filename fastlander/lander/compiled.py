"""Which kernels of the lander this process has: the step first, then the solvers in lanes as they come."""

import time

import numpy as np

import fastlander.kernels.compile_notice  # noqa: F401 - kernels that compile say so
from fastlander.kernels.addresses import address_of
from fastlander.kernels.compile_ahead import HELPERS, INTERVAL
from fastlander.kernels.jit import is_compiled, is_kept
from fastlander.lander.lane_solvers import LANE_SOLVER_ARGUMENTS, LANE_SOLVERS, NUM_LANE_SOLVERS
from fastlander.lander.step import STEP_ARGUMENTS, serve_steps

ADDRESSES = np.zeros(NUM_LANE_SOLVERS, np.int64)
"""The addresses of the solvers in lanes; 0 for one that is not there, or that this processor cannot use."""


class MissingSolvers:
    """The solvers in lanes that this process does not have yet."""

    def __init__(self) -> None:
        self.places = list(LANE_SOLVERS)
        """Of those solvers in a table of addresses."""
        self._next_look = 0.0

    def load(self, wait: bool = False) -> None:
        """Load solvers that were compiled before, and compile the others, unless helpers do.

        wait: whether to have all of them in the end, whoever compiles them.
        """
        for place in list(self.places):
            solver = LANE_SOLVERS[place]
            if wait or not HELPERS.is_running() or is_compiled(solver, LANE_SOLVER_ARGUMENTS):
                ADDRESSES[place] = address_of(solver, LANE_SOLVER_ARGUMENTS)
                self.places.remove(place)
        self._next_look = time.monotonic() + INTERVAL

    def look(self) -> None:
        """`load`, if the last time is a while ago."""
        if time.monotonic() >= self._next_look:
            self.load()


MISSING = MissingSolvers()
"""Those of this process."""


def start_helpers(*work: str) -> None:
    """Let helpers compile what comes after the step, if the step is not compiled yet.

    work: names of `fastlander.signatures.GROUPS`, the most urgent first.
    """
    if is_kept(serve_steps) and not is_compiled(serve_steps, STEP_ARGUMENTS):
        HELPERS.start(work)
