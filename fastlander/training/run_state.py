"""One run: the loop of DQN, its log and checkpoints, and what it comes to."""

import math
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv

from fastlander.config import Config
from fastlander.evaluation.candidates import Candidates
from fastlander.evaluation.judge import Judge
from fastlander.evaluation.scores import Scores
from fastlander.experience.collector import Collector, Finished
from fastlander.experience.n_step import NStep
from fastlander.experience.replay_buffer import ReplayBuffer, transition_fields
from fastlander.learner.agent import Agent, Spaces
from fastlander.learner.dqn import DQN
from fastlander.learner.exploration import epsilon_exponents
from fastlander.learner.flat_adam import FlatAdam
from fastlander.learner.schedules import crossings, epsilon_at, learning_rate_at
from fastlander.storage.run_directory import RunDirectory, RunFailed
from fastlander.storage.tables import MetricsRow
from fastlander.streams import draw_seeds, spawn_streams
from fastlander.training.clock import Clock
from fastlander.training.progress import progress_display
from fastlander.training.result import Result
from fastlander.viewing.report_page import report_page

PARTS = ("dqn", "n_step", "buffer", "scores", "candidates", "judge")
"""Attributes of a `Run` that have a state of their own."""


class Diverged(RunFailed):
    """The loss stopped being a finite number; the weights of the last log point before that were kept."""


class Run:
    """The parts of one run, and its loop."""

    def __init__(self, config: Config, env: VectorEnv, processors: int | None = None) -> None:
        obs_size, num_actions = env.single_observation_space.shape[0], int(env.single_action_space.n)
        streams = spawn_streams(config.seed)
        self.config, self.env = config, env
        self.dqn = DQN(config, obs_size, num_actions, processors)
        self.n_step = NStep(env.num_envs, config.n_step, config.gamma, obs_size)
        self.buffer = ReplayBuffer(config.buffer_size, transition_fields(obs_size), streams.sampling)
        seeds = draw_seeds(np.random.default_rng(streams.environment), env.num_envs)
        self.collector = Collector(env, seeds, self.act, self.n_step, self.buffer, self.learning)
        self.scores = Scores()
        self.display = progress_display(config)
        self.clock = Clock()
        self.candidates = Candidates(config, self.dqn.q_network.flat)
        self.judge = Judge(config, self.dqn, self.display.say, processors)
        self.timesteps = 0
        self.epsilon = config.epsilon_start
        self.solved: bool | None = None
        """How the training ended, once it has."""
        self._exponents = epsilon_exponents(config)
        self._logged_at = 0
        self._last_good = self.dqn.q_network.flat.clone()

    def steps(self) -> Iterator[Finished]:
        """Act, step, store and learn, for ever: the episodes that each vector step ended."""
        for finished in self.collector.steps():
            self.timesteps += self.env.num_envs
            yield finished

    def train(self, directory: RunDirectory, interrupted: threading.Event) -> bool:
        """Take steps until one of the reasons to stop; whether that was being solved."""
        if self.solved is not None:
            return self.solved
        for finished in self.steps():
            solved = False
            if finished.scores:
                episodes = len(self.scores)
                self.scores.add(finished, self.timesteps)
                with self.clock.aside():
                    solved = self.judge.solved(self.scores, self.timesteps)
                if crossings(episodes, len(self.scores), self.config.log_episodes):
                    self.log(directory)
            self.candidates.look(self.timesteps - self.env.num_envs, self.timesteps)
            self.epsilon = epsilon_at(self.config, self.timesteps, len(self.scores))
            if solved or interrupted.is_set() or self.out_of_budget():
                return solved
            if directory.checkpoint_due():
                self.save_checkpoint(directory)
        raise AssertionError("steps never end by themselves")

    def act(self, obs: np.ndarray) -> np.ndarray:
        """Epsilon-greedy actions, each environment with an epsilon of its own."""
        return self.dqn.act(obs, self.epsilon**self._exponents)

    def learning(self) -> AbstractContextManager:
        """The updates that the last vector step earned, while the environments take the next one."""
        updates = 0
        if len(self.buffer) >= self.config.learning_starts:
            before = self.timesteps - self.env.num_envs
            updates = crossings(before, self.timesteps, self.config.train_freq)
        self.dqn.learning_rate = learning_rate_at(self.config, self.timesteps)
        return self.dqn.learning(self.buffer, updates)

    def close(self) -> None:
        """End what the run has running."""
        self.judge.close()
        self.dqn.close()

    def out_of_budget(self) -> bool:
        """Whether the steps or the episodes are used up."""
        config = self.config
        return self.timesteps >= config.total_timesteps or (
            config.max_episodes is not None and len(self.scores) >= config.max_episodes
        )

    def log(self, directory: RunDirectory) -> None:
        """A row of metrics, shown and written. Raises Diverged if the loss is no finite number."""
        loss = float(self.dqn.loss)
        if self.dqn.updates and not math.isfinite(loss):
            self.dqn.q_network.flat.copy_(self._last_good)
            path = directory.save_model(self.dqn.q_network)
            raise Diverged(f"the loss became {loss} by step {self.timesteps:,}; the last good weights are in {path}")
        self._last_good.copy_(self.dqn.q_network.flat)
        row = MetricsRow(
            timesteps=self.timesteps,
            episodes=len(self.scores),
            updates=self.dqn.updates,
            score_mean_100=self.scores.mean(),
            playtime_mean_100=self.scores.mean_playtime(),
            epsilon=self.epsilon,
            loss=loss,
            eval_mean=self.judge.take_last_mean(),
            steps_per_second=self.clock.rate(self.timesteps),
            seconds=self.clock.seconds(),
        )
        self._logged_at = self.timesteps
        directory.log(row)
        self.display.show(row)

    def save_checkpoint(self, directory: RunDirectory) -> None:
        """Write a checkpoint; where that fails, say so and train on."""
        try:
            directory.save_checkpoint(self.timesteps, self.get_state())
        except OSError as error:
            self.display.warn(f"checkpoint not written ({error.strerror or error}); the one before stays")

    def get_state(self) -> dict[str, Any]:
        """Everything that decides how the run goes on, for `set_state`, taken between two vector steps."""
        state = {name: getattr(self, name).get_state() for name in PARTS}
        if hasattr(self.env, "get_state"):
            state |= {"env": self.env.get_state(), "collector": self.collector.get_state()}
        state["last_good"] = self._last_good.cpu().clone()
        own = {"timesteps": self.timesteps, "epsilon": self.epsilon, "logged_at": self._logged_at}
        return {**state, **own, "seconds": self.clock.seconds(), "solved": self.solved}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from what `get_state` of a run with the same settings gave."""
        for name in PARTS:
            getattr(self, name).set_state(state[name])
        self.timesteps, self.epsilon, self._logged_at = state["timesteps"], state["epsilon"], state["logged_at"]
        self._last_good.copy_(state["last_good"])
        self.solved = state["solved"]
        self.clock.go_on(state["seconds"], self.timesteps)
        if "env" in state:
            self.env.set_state(state["env"])
            self.collector.set_state(state["collector"])
        else:
            stream = np.random.default_rng([self.config.seed, self.timesteps])
            self.collector.begin_anew(draw_seeds(stream, self.env.num_envs))
            self.display.say(f"the {self.config.backend or 'sync'} backend cannot save its state: new episodes begin")
        self.display.say(f"resumed after {self.timesteps:,} steps")

    def finish(self, directory: RunDirectory, solved: bool, interrupted: bool) -> Result:
        """Keep the best policy: the confirmed or best judged one, else the last."""
        self.solved = None if interrupted else solved
        self.save_checkpoint(directory)
        with self.clock.aside():
            if not solved and not interrupted:
                if self.config.candidates:
                    solved = self.judge.select(self.candidates.all(self.timesteps), self.timesteps)
                elif self.config.solved_by != "training":
                    solved = self.judge.judge(self.timesteps)
            if self.judge.best is None and not interrupted:
                self.judge.judge(self.timesteps)  # decides nothing any more; the report shows it
        if self.timesteps > self._logged_at:
            self.log(directory)
        if self.judge.best_parameters is not None:
            self.dqn.q_network.flat.copy_(self.judge.best_parameters)
        agent = self.make_agent()
        directory.save_model(agent.q_net)
        directory.save_episodes(self.scores, self.judge.judgements, self.judge.kept)
        if self.judge.judgements:
            directory.save_report(report_page(directory.path))
        return Result(
            agent=agent,
            solved=solved,
            interrupted=interrupted,
            timesteps=self.timesteps,
            updates=self.dqn.updates,
            seconds=self.clock.seconds(),
            evaluation=self.judge.best,
            output_dir=directory.path,
        )

    def make_agent(self) -> Agent:
        """The lecture's agent, carrying what was learned."""
        agent = Agent(Spaces(self.env.single_observation_space, self.env.single_action_space), seed=self.config.seed)
        agent.q_net = self.dqn.network(self.dqn.q_network.flat)
        agent.optimizer = FlatAdam(agent.q_net, lr=self.config.learning_rate, betas=self.config.adam_betas)
        agent.scores, agent.playtimes = self.scores.scores, self.scores.playtimes
        agent.n_episode, agent.n_experiences = len(self.scores), self.timesteps
        agent.eps = self.epsilon
        return agent
