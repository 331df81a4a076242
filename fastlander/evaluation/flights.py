"""`FusedFlights`: greedy episodes of one policy on native landers, many vector steps in one kernel."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv

from fastlander.evaluation.flight_loop import (
    ASLEEP,
    FLIGHT_ARGUMENTS,
    NOT_BEGUN,
    SHARE,
    SLEEPING,
    WANTED,
    flight_addresses,
    fly,
)
from fastlander.kernels.compile_ahead import Loop
from fastlander.lander.exchange import OBSERVATION_SIZE
from fastlander.lander.vector_env import LunarLanderVectorEnv
from fastlander.learner.fused.policy import FusedPolicy

FLIGHTS = Loop(fly, FLIGHT_ARGUMENTS, flight_addresses)
"""The kernel, when it is compiled."""
MOST_STEPS = 100
"""Vector steps that one call of the kernel takes, at most: Ctrl-C waits for its end."""


class FusedFlights:
    """Takes the steps of `evaluate_all` for one policy, to the byte, until an episode ends.

    Args:
        policy: the method `greedy` of a FusedPolicy.
        env: native landers; with the policy they `fit`.
    """

    def __init__(self, policy: Any, env: LunarLanderVectorEnv) -> None:
        n = env.num_envs
        self._env, self._place, self._here = env, np.zeros(6, np.int64), np.zeros(4, np.int64)
        rooms = np.zeros((n, OBSERVATION_SIZE), np.float32), np.zeros(n), np.zeros(n, np.int64)
        self._act = *policy.__self__.lend(n), *rooms

    @staticmethod
    def fit(policies: Sequence[Any], env: VectorEnv) -> bool:
        """Whether a kernel can play these policies there."""
        if len(policies) > 1 or type(env) is not LunarLanderVectorEnv:
            return False
        is_fused = isinstance(getattr(policies[0], "__self__", None), FusedPolicy)
        is_greedy = getattr(policies[0], "__func__", None) is FusedPolicy.greedy
        return is_fused and is_greedy and env.autoreset_mode is AutoresetMode.DISABLED

    def are_ready(self) -> bool:
        """Whether the kernel can take the next step."""
        return self._env.is_plain and FLIGHTS.is_ready()

    def take(
        self, playing: np.ndarray, returns: np.ndarray, playtimes: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Step those that play until an episode ends: obs, reward, terminated and truncated of the last step.

        Args:
            playing: bool[N].
            returns, playtimes: float64[N] and int64[N], to which is added.
        """
        place = self._place
        with self._env.lent() as stepper:
            threads, place[:] = stepper.threads, 0
            place[WANTED] = MOST_STEPS
            signals = threads.lend()
            shared = signals, self._here
            arguments = place, self._act, shared, stepper.own, stepper.whole, playing, (returns, playtimes)
            try:
                while (outcome := fly(FLIGHTS.calls, *arguments)) in (ASLEEP, NOT_BEGUN):
                    if outcome == NOT_BEGUN:
                        threads.do_share(int(place[SHARE]))
                        continue
                    for k in range(len(signals)):
                        if place[SLEEPING] >> k & 1:
                            threads.wake(k)
            finally:
                threads.wait()
            return stepper.results()
