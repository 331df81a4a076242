"""`FusedSteps`: the vector steps of a run on native landers, several in one kernel."""

from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode

from fastlander.experience.collector import Finished
from fastlander.experience.n_step import check_finite
from fastlander.kernels.compile_ahead import Loop
from fastlander.lander.vector_env import LunarLanderVectorEnv
from fastlander.learner.dqn import DQN
from fastlander.learner.fused.learner import FusedLearner
from fastlander.learner.schedules import epsilon_at, learning_rate_at
from fastlander.training.fused_loop import (
    ADDED,
    ASLEEP,
    CHOSEN,
    DUE,
    EPISODES_ENDED,
    LEARNING_STARTS,
    LOOP_ARGUMENTS,
    NOT_FINITE,
    TAKEN,
    TIMESTEPS,
    UPDATES,
    WANTED,
    loop_addresses,
    take_steps,
)
from fastlander.training.run_state import Run

LOOP = Loop(take_steps, LOOP_ARGUMENTS, loop_addresses)
"""The kernel, when it is compiled."""
MOST_STEPS = 32
"""Vector steps that one call of the kernel takes, at most."""


class FusedSteps:
    """Takes the vector steps of a run as `trainer.steps` does, to the byte, and several at once.

    Args:
        run: one that `fits`.
    """

    def __init__(self, run: Run) -> None:
        self._run, num_envs, obs_size = run, run.env.num_envs, run.env.single_observation_space.shape[0]
        self._place = np.zeros(8, np.int64)
        self._place[LEARNING_STARTS] = run.config.learning_starts
        self._rates, self._epsilons = np.zeros(MOST_STEPS), np.zeros((MOST_STEPS, num_envs))
        self._shares = [-1.0] * MOST_STEPS
        """The epsilon that each row of the epsilons is of."""
        self._obs, self._final_obs = (np.zeros((num_envs, obs_size), np.float32) for _ in range(2))
        self._action, self._reward = np.zeros(num_envs, np.int64), np.zeros(num_envs)
        self._terminated, self._truncated = np.zeros(num_envs, bool), np.zeros(num_envs, bool)

    @staticmethod
    def fits(run: Run) -> bool:
        """Whether a kernel can take the steps of this run."""
        known = type(run.env) is LunarLanderVectorEnv and type(run.dqn) is DQN and run.repeated_actions is None
        return known and run.env.autoreset_mode is AutoresetMode.SAME_STEP and run.env.num_threads == 1

    def are_ready(self) -> bool:
        """Whether the kernel can take the next step. While a helper compiles it, it cannot."""
        run = self._run
        return run.env.is_plain and isinstance(run.dqn.learner, FusedLearner) and LOOP.is_ready()

    def take(self) -> Finished:
        """Take vector steps until episodes end, something else is due after a step, or `run.at_once` are taken."""
        run, place = self._run, self._place
        if run.collector.obs is not self._obs:
            self._obs[:] = run.collector.obs
        place[WANTED], place[TAKEN], place[CHOSEN] = run.quiet_steps(min(run.at_once, MOST_STEPS)), 0, 0
        place[TIMESTEPS], place[UPDATES], place[ADDED] = run.timesteps, run.dqn.updates, run.buffer.added
        self._follow_schedules(int(place[WANTED]))
        learner: FusedLearner = run.dqn.learner
        with run.env.lent() as stepper:
            lent = learner.lend(run.buffer)
            arguments = self._arguments(lent, stepper.whole)
            try:
                while (outcome := take_steps(*arguments)) == ASLEEP:
                    learner.wake()
            finally:
                # Where the kernel was left in the middle of a vector step, its updates are made all the same.
                updates = int(place[UPDATES] + place[DUE] * place[CHOSEN]) - run.dqn.updates
                learner.take_back(updates)
                if updates:
                    run.dqn.loss, run.dqn.updates = learner.loss, run.dqn.updates + updates
        run.buffer.take_note(int(place[ADDED]) - run.buffer.added)
        run.timesteps, last = int(place[TIMESTEPS]), max(0, int(place[TAKEN]) - 1)
        run.dqn.learning_rate, run.epsilon = float(self._rates[last]), self._shares[last]
        if outcome == NOT_FINITE:
            check_finite("reward", self._reward)
            check_finite("observation", self._final_obs)
        ended = self._terminated | self._truncated if outcome == EPISODES_ENDED else None
        return run.collector.take_over(self._obs, ended)

    def _follow_schedules(self, steps: int) -> None:
        """Write down the learning rates and epsilons of so many vector steps."""
        run = self._run
        times = range(run.timesteps, run.timesteps + steps * run.env.num_envs, run.env.num_envs)
        self._rates[:steps] = [learning_rate_at(run.config, timesteps) for timesteps in times]
        for k, timesteps in enumerate(times):
            share = epsilon_at(run.config, timesteps, len(run.scores)) if k else run.epsilon
            if share != self._shares[k]:
                self._shares[k], self._epsilons[k] = share, run.epsilons(share)

    def _arguments(self, lent: Any, lander: tuple[Any, ...]) -> tuple[Any, ...]:
        """Of `take_steps`."""
        run = self._run
        n_step = run.n_step
        windows = n_step.obs, n_step.action, n_step.reward, n_step.waiting
        given = self._obs, self._action, self._reward, self._final_obs, self._terminated, self._truncated
        fold = n_step.powers, windows, given, tuple(n_step.out)
        schedule = self._rates, self._epsilons, run.config.train_freq
        return LOOP.calls, self._place, schedule, lent.act, lent.learn, lander, fold, run.collector.counters
