"""The training loop: `Trainer(config).run()`."""

import contextlib
import math
import signal
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from gymnasium.vector import VectorEnv

from fastlander.agent import Agent, Spaces
from fastlander.candidates import Candidates
from fastlander.collector import Collector, Finished
from fastlander.config import Config
from fastlander.dqn import DQN
from fastlander.evaluate import Evaluation
from fastlander.exploration import epsilon_exponents
from fastlander.flat_adam import FlatAdam
from fastlander.judge import Judge
from fastlander.metrics import Clock, MetricsRow, ProgressDisplay, Scores
from fastlander.n_step import NStep
from fastlander.replay_buffer import ReplayBuffer, transition_fields
from fastlander.rng import draw_seeds, spawn_streams
from fastlander.run_directory import RunDirectory
from fastlander.schedules import crossings, epsilon_at, learning_rate_at
from fastlander.validation import InputError
from fastlander.vector_env import make_vec_env


class Diverged(RuntimeError):
    """The loss stopped being a finite number; the weights of the last log point before that were kept."""


@dataclass(frozen=True)
class Result:
    """What a run came to."""

    agent: Agent
    """Carries the policy as `q_net`, and `scores`, `playtimes`, `n_episode`, `n_experiences` and `eps`."""
    solved: bool
    """Whether it stopped because it was solved (`Config.solved_by`), or the policy chosen at its end is."""
    interrupted: bool
    """Whether it stopped on Ctrl-C."""
    timesteps: int
    """Training steps, over all environments."""
    updates: int
    """Gradient steps."""
    seconds: float
    """Wall clock of training and judging, without imports."""
    evaluation: Evaluation | None
    """Greedy episodes of the policy that was kept, if it was judged."""
    output_dir: Path
    """The run directory."""

    def summary(self) -> str:
        """The outcome in a line or two."""
        end = "Solved" if self.solved else "Interrupted" if self.interrupted else "Not solved"
        line = (
            f"{end} after {self.timesteps:,} steps, {self.agent.n_episode:,} episodes and {self.updates:,} updates "
            f"in {self.seconds:.1f} s ({self.timesteps / self.seconds:,.0f} steps/s)."
        )
        if self.evaluation is not None:
            line += f" Greedy mean {self.evaluation.mean:.1f} over {len(self.evaluation.returns)} fresh episodes."
        return f"{line}\nSaved in {self.output_dir}"


class Trainer:
    """Trains a DQN by a `Config`, in a loop over vector steps.

    Example:
        >>> result = Trainer(Config(num_envs=16)).run()
        >>> result.agent.q_net
    """

    def __init__(self, config: Config | None = None) -> None:
        self.config = Config() if config is None else config

    def run(self, processors: int | None = None, interrupted: threading.Event | None = None) -> Result:
        """Train until solved, out of budget or interrupted (Ctrl-C), and leave a run directory.

        Args:
            processors: that may be used, which changes no result; None is all there are for this process.
            interrupted: when set, the run ends as on Ctrl-C; None listens to Ctrl-C itself.

        Raises:
            ValueError: a setting that cannot be used here (environment, device, output directory), or an environment
                that gives rewards or observations that are no finite numbers.
            Diverged: the loss is no longer finite.
        """
        config = self.config
        with contextlib.ExitStack() as stack:
            stack.enter_context(one_torch_thread())
            env = make_vec_env(
                config.env_id, config.num_envs, backend=config.backend, max_episode_steps=config.max_episode_steps
            )
            stack.enter_context(contextlib.closing(env))
            run = Run(config, env, processors)
            stack.enter_context(contextlib.closing(run))
            directory = stack.enter_context(RunDirectory(config))
            stack.enter_context(run.display)
            if interrupted is None:
                interrupted = stack.enter_context(interrupts())
            try:
                solved = run.train(directory, interrupted)
            except InputError:
                if run.dqn.updates:
                    directory.save_model(run.dqn.q_network)
                else:
                    directory.discard()
                raise
            return run.finish(directory, solved, interrupted.is_set())


class Run:
    """The parts of one run, and its loop."""

    def __init__(self, config: Config, env: VectorEnv, processors: int | None = None) -> None:
        obs_size, num_actions = env.single_observation_space.shape[0], int(env.single_action_space.n)
        streams = spawn_streams(config.seed)
        self.config, self.env = config, env
        self.dqn = DQN(config, obs_size, num_actions, processors)
        self.n_step = NStep(env.num_envs, config.n_step, config.gamma, obs_size)
        self.buffer = ReplayBuffer(config.buffer_size, transition_fields(obs_size), streams.replay)
        seeds = draw_seeds(np.random.default_rng(streams.environment), env.num_envs)
        self.collector = Collector(env, seeds, self.act, self.n_step, self.buffer, self.learning)
        self.scores = Scores()
        self.display = ProgressDisplay(config)
        self.clock = Clock()
        self.candidates = Candidates(config, self.dqn.q_network.flat)
        self.judge = Judge(config, self.dqn, self.display.say, self.clock, processors)
        self.timesteps = 0
        self.epsilon = config.epsilon_start
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
        for finished in self.steps():
            solved = False
            if finished.scores:
                episodes = len(self.scores)
                self.scores.add(finished)
                solved = self.judge.solved(self.scores, self.timesteps)
                if crossings(episodes, len(self.scores), self.config.log_episodes):
                    self.log(directory)
            self.candidates.look(self.timesteps - self.env.num_envs, self.timesteps)
            self.epsilon = epsilon_at(self.config, self.timesteps, len(self.scores))
            if solved or interrupted.is_set() or self.out_of_budget():
                return solved
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

    def finish(self, directory: RunDirectory, solved: bool, interrupted: bool) -> Result:
        """Keep the best policy: the confirmed or best judged one, else the last."""
        if not solved and not interrupted:
            if self.config.candidates:
                solved = self.judge.select(self.candidates.all(), self.timesteps)
            elif self.config.solved_by != "training":
                solved = self.judge.judge(self.timesteps)
        if self.timesteps > self._logged_at:
            self.log(directory)
        if self.judge.best_parameters is not None:
            self.dqn.q_network.flat.copy_(self.judge.best_parameters)
        directory.save_model(self.dqn.q_network)
        return Result(
            agent=self.make_agent(),
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
        agent.q_net = self.dqn.q_network.cpu()
        agent.q_net.zero_grad()
        agent.optimizer = FlatAdam(agent.q_net, lr=self.config.learning_rate, betas=self.config.adam_betas)
        agent.scores, agent.playtimes = self.scores.scores, self.scores.playtimes
        agent.n_episode, agent.n_experiences = len(self.scores), self.timesteps
        agent.eps = self.epsilon
        return agent


@contextlib.contextmanager
def one_torch_thread() -> Iterator[None]:
    """One thread for torch's operators: networks this small run slower on more, and sums must not depend on them."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextlib.contextmanager
def interrupts() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C sets, instead of stopping in the middle of a step; a second one stops at once.

    Outside of the main thread, where no signal arrives, the event is never set.
    """
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return

    previous = signal.getsignal(signal.SIGINT)

    def on_interrupt(*_: object) -> None:
        event.set()
        signal.signal(signal.SIGINT, previous)

    signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, previous)
