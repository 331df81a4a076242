"""`Run`: the parts of one run, what they say about it, and their state as a whole."""

from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv

from fastlander.config import Config
from fastlander.evaluation.average import Average
from fastlander.evaluation.candidates import Candidates
from fastlander.evaluation.judge import Judge
from fastlander.evaluation.scores import Scores
from fastlander.experience.collector import Collector, Finished
from fastlander.experience.n_step import NStep
from fastlander.experience.replay_buffer import ReplayBuffer
from fastlander.experience.transition import transition_fields
from fastlander.lander.costs import CostWeights
from fastlander.learner.dqn import DQN
from fastlander.learner.exploration import RepeatedActions, epsilon_exponents
from fastlander.learner.parameters import Parameters
from fastlander.learner.schedules import crossings, epsilon_at
from fastlander.states import Flag, Form, Real, Weights, Whole, check_state, vector
from fastlander.storage.tables import MetricsRow
from fastlander.streams import draw_seeds, spawn_streams
from fastlander.training.clock import Clock
from fastlander.training.progress import progress_display
from fastlander.training.result import Learned
from fastlander.validation import InputError

PARTS = ("dqn", "n_step", "buffer", "scores", "candidates", "judge")
"""Attributes of every `Run` that have a state of their own."""


class Run:
    """Everything that one run consists of.

    Args:
        config: the settings.
        env: N environments in SAME_STEP autoreset.
        make_dqn: `DQN`, or what makes something like it of the same arguments.
        processors: how many may be used; this changes no result. None is all that this process may use.

    Raises:
        ValueError: a setting that does not fit the environment or this machine.
    """

    def __init__(
        self, config: Config, env: VectorEnv, make_dqn: Callable[..., DQN] = DQN, processors: int | None = None
    ) -> None:
        obs_size, num_actions = env.single_observation_space.shape[0], int(env.single_action_space.n)
        streams = spawn_streams(config.seed)
        self.config, self.env, self.num_actions = config, env, num_actions
        self.dqn = make_dqn(config, obs_size, num_actions, processors)
        self.n_step = NStep(env.num_envs, config.n_step, config.gamma, obs_size)
        seeds = draw_seeds(np.random.default_rng(streams.environment), env.num_envs)
        weights = CostWeights(config.fuel_weight, config.distance_weight)
        self.collector = Collector(env, seeds, self.n_step, weights)
        self.buffer = ReplayBuffer(config.buffer_size, transition_fields(obs_size), streams.sampling)
        self.scores = Scores()
        self.display = progress_display(config)
        self.clock = Clock()
        self.candidates = Candidates(config, lambda: self.dqn.parameters)
        self.average = Average(config, lambda: self.dqn.parameters)
        averaged = self.average.parameters if config.judged_average else None
        self.judge = Judge(config, self.dqn, self.display.say, averaged, processors)
        self.repeated_actions: RepeatedActions | None = None
        """What explores where `epsilon_zeta` is set; else `DQN.act` does."""
        if config.epsilon_zeta is not None:
            self.repeated_actions = RepeatedActions(
                env.num_envs, num_actions, config.epsilon_zeta, streams.exploration.spawn(1)[0]
            )
        self._parts = (
            *PARTS,
            *(["repeated_actions"] if self.repeated_actions is not None else []),
            *(["average"] if config.judged_average else []),
        )
        self.at_once = 1
        """Vector steps that may be taken before somebody looks at the run, at most."""
        self.timesteps = 0
        self.epsilon = config.epsilon_start
        self.solved: bool | None = None
        """Whether the training ended by being solved; None while it has not ended."""
        self.logged_at = 0
        """Timesteps at the last row of metrics."""
        self.last_good = self.dqn.parameters.copy()
        """The parameters at the last row of metrics whose loss was finite."""
        self._exponents = epsilon_exponents(config)

    def epsilons(self, epsilon: float | None = None) -> np.ndarray:
        """float64[N]: the share of random actions of each environment, now or where epsilon is another one."""
        return (self.epsilon if epsilon is None else epsilon) ** self._exponents

    def act(self) -> np.ndarray:
        """What each environment does next, by epsilon-greedy exploration: int64[N]."""
        if self.repeated_actions is None:
            return self.dqn.act(self.collector.obs, self.epsilons())
        return self.repeated_actions.act(self.dqn.greedy(self.collector.obs), self.epsilons())

    def updates_due(self) -> int:
        """The updates that the last vector step earned."""
        if len(self.buffer) < self.config.learning_starts:
            return 0
        return crossings(self.timesteps - self.env.num_envs, self.timesteps, self.config.train_freq)

    def count(self, finished: Finished) -> bool:
        """Count the episodes that the last vector step ended: whether a row of metrics is due."""
        before = len(self.scores)
        self.scores.add(finished, self.timesteps)
        return crossings(before, len(self.scores), self.config.log_episodes) > 0

    def follow_schedules(self) -> None:
        """Do what depends on the steps made: averages are taken, and epsilon falls."""
        self.average.look(self.timesteps - self.env.num_envs, self.timesteps)
        self.candidates.look(self.timesteps - self.env.num_envs, self.timesteps)
        self.epsilon = epsilon_at(self.config, self.timesteps, len(self.scores))

    def quiet_steps(self, most: int) -> int:
        """How many vector steps, 1 to `most`, may be taken before something else is due after them.

        What is due because an episode ended is not looked for.
        """
        before, n = self.timesteps, self.env.num_envs
        most = max(1, min(most, -((before - self.config.total_timesteps) // n)))
        if self._looks_between(before, before + most * n):
            most = next(k for k in range(1, most + 1) if self._looks_between(before, before + k * n))
        return most

    def _looks_between(self, before: int, after: int) -> bool:
        return self.average.is_due(before, after) or self.candidates.is_due(before, after)

    def out_of_budget(self) -> bool:
        """Whether the steps or the episodes are used up."""
        config = self.config
        return self.timesteps >= config.total_timesteps or (
            config.max_episodes is not None and len(self.scores) >= config.max_episodes
        )

    def metrics_row(self) -> MetricsRow:
        """The row of metrics.csv for this moment; the rate in it is since the row before."""
        self.logged_at = self.timesteps
        return MetricsRow(
            timesteps=self.timesteps,
            episodes=len(self.scores),
            updates=self.dqn.updates,
            score_mean_100=self.scores.mean(),
            playtime_mean_100=self.scores.mean_playtime(),
            epsilon=self.epsilon,
            loss=float(self.dqn.loss),
            eval_mean=self.judge.take_last_mean(),
            steps_per_second=self.clock.rate(self.timesteps),
            seconds=self.clock.seconds(),
        )

    def learned(self, network: Parameters) -> Learned:
        """What was learned, with the network that is kept."""
        spaces = self.env.single_observation_space, self.env.single_action_space
        scores, playtimes = self.scores.scores, self.scores.playtimes
        return Learned(self.config, spaces, network, scores, playtimes, self.timesteps, self.epsilon)

    def get_state(self) -> dict[str, Any]:
        """Everything that decides how the run goes on, for `set_state`; to be taken between two vector steps."""
        state = {name: getattr(self, name).get_state() for name in self._parts}
        if hasattr(self.env, "get_state"):
            state |= {"env": self.env.get_state(), "collector": self.collector.get_state()}
        state["last_good"] = vector(self.last_good)
        own = {"timesteps": self.timesteps, "epsilon": self.epsilon, "logged_at": self.logged_at}
        return {**state, **own, "seconds": self.clock.seconds(), "solved": self.solved}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from what `get_state` of a run with the same settings gave.

        Raises:
            ValueError: another state.
        """
        self._check_state(state)
        for name in self._parts:
            getattr(self, name).set_state(state[name])
        self.timesteps, self.epsilon, self.logged_at = state["timesteps"], state["epsilon"], state["logged_at"]
        self.last_good[:] = state["last_good"]
        self.solved = state["solved"]
        self.clock.go_on(state["seconds"], self.timesteps)
        if "env" in state:
            self.env.set_state(state["env"])
            self.collector.set_state(state["collector"])
        else:
            stream = np.random.default_rng([self.config.seed, self.timesteps])
            self.collector.restart(draw_seeds(stream, self.env.num_envs))
            self.display.say(f"the {self.config.backend or 'sync'} backend cannot save its state: new episodes begin")
        self.display.say(f"resumed after {self.timesteps:,} steps")

    def _check_state(self, state: dict[str, Any]) -> None:
        """ValueError unless the state has all parts, numbers in their ranges, and actions that there are."""
        own: Form = {
            "timesteps": Whole(),
            "epsilon": Real(0, 1),
            "logged_at": Whole(),
            "seconds": Real(0, 1e12),
            "solved": Flag() if state.get("solved") is not None else None,
            "last_good": Weights(len(self.last_good), finite=True),
        }
        parts = [*self._parts, *(["env", "collector"] if hasattr(self.env, "get_state") else [])]
        for name in parts:
            if not isinstance(state.get(name), dict):
                raise InputError(f"the state of a run must have {', '.join([*own, *parts])}, got no {name}")
        check_state("run", {name: value for name, value in state.items() if name not in parts}, own)
        for name, key in (("buffer", "arrays.action"), ("n_step", "action")):
            action = state[name].get(key)
            if (
                isinstance(action, np.ndarray)
                and action.size
                and (action.min() < 0 or action.max() >= self.num_actions)
            ):
                raise InputError(
                    f"the state of the {name} must have actions from 0 to {self.num_actions - 1}, "
                    f"got {action.min()} to {action.max()}"
                )
        for name, array in state["buffer"].items():
            if isinstance(array, np.ndarray) and not np.isfinite(array).all():
                raise InputError(f"the state of the buffer must have finite numbers, got others in {name}")

    def close(self) -> None:
        """End the threads and environments of the run."""
        self.judge.close()
        self.dqn.close()
