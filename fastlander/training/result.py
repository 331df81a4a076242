"""`Result`: the outcome of a run."""

import contextlib
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastlander.config import Config
from fastlander.environments import make_vec_env, module_of
from fastlander.evaluation.evaluation import Evaluation
from fastlander.learner.agent import Agent, Spaces
from fastlander.learner.flat_adam import FlatAdam
from fastlander.learner.q_network import QNetwork
from fastlander.learner.schedules import epsilon_at
from fastlander.storage.files import EPISODES_FILE, EVALUATIONS_FILE
from fastlander.storage.model_file import load_model
from fastlander.storage.tables import EPISODE_COLUMNS, read_finite_table, read_judgements


@dataclass(frozen=True)
class Result:
    """The outcome of a run."""

    agent: Agent
    """Its `q_net` is the policy; it has `scores`, `playtimes`, `n_episode`, `n_experiences` and `eps` of the run."""
    solved: bool
    """Whether the run ended by being solved (`Config.solved_by`), or the policy chosen at its end is good enough."""
    interrupted: bool
    """Whether Ctrl-C, SIGTERM or a loop over `Trainer.run_steps` that was left ended the run."""
    timesteps: int
    """Training steps, over all environments."""
    updates: int
    """Gradient steps."""
    seconds: float
    """Wall clock of training and judging, without imports."""
    steps_per_second: float
    """Training steps per second, updates included and judging not; of the part after the last resume. 0 is unknown."""
    evaluation: Evaluation | Any
    """Greedy episodes of the policy that was kept. None if it was not judged: only a run that was interrupted early.

    The type is `Any` besides, so that type checkers let a program read it that has no such runs.
    """
    output_dir: Path
    """The run directory."""
    config: Config
    """The settings of the run."""
    signal: int = signal.SIGINT
    """If the run was interrupted: by which signal, SIGINT (Ctrl-C) or SIGTERM."""

    def summary(self) -> str:
        """The outcome in a line or two."""
        end = "Solved" if self.solved else "Interrupted" if self.interrupted else "Not solved"
        line = (
            f"{end} after {self.timesteps:,} steps, {self.agent.n_episode:,} episodes and {self.updates:,} updates "
            f"in {self.seconds:.1f} s"
        )
        line += f", {self.steps_per_second:,.0f} steps/s without the judging." if self.steps_per_second else "."
        if self.evaluation is not None:
            line += f" Greedy mean {self.evaluation.mean:.1f}"
            if self.config.is_lander:
                line += f" and {self.evaluation.landings.mean():.1%} landings"
            line += f" over {len(self.evaluation.returns)} fresh episodes."
        return f"{line}\nSaved in {self.output_dir}"


def make_agent(
    config: Config,
    spaces: Spaces,
    q_net: QNetwork,
    scores: list[float],
    playtimes: list[int],
    timesteps: int,
    epsilon: float,
) -> Agent:
    """The lecture's agent with the network and the counts of a run. Its optimizer begins anew."""
    agent = Agent(spaces, seed=config.seed)
    agent.q_net = q_net
    agent.optimizer = FlatAdam(q_net, lr=config.learning_rate, betas=config.adam_betas)
    agent.scores, agent.playtimes = scores, playtimes
    agent.n_episode, agent.n_experiences = len(scores), timesteps
    agent.eps = epsilon
    return agent


def read_result(config: Config, solved: bool, timesteps: int, updates: int, seconds: float) -> Result:
    """The Result of a run that has ended, from the files in its directory and what these do not hold.

    The moments of the agent's optimizer are not kept: it begins anew.

    Args:
        config: of the run, with its `output_dir`.
        solved, timesteps, updates, seconds: as of `Result`.

    Raises:
        ValueError: a file is missing or damaged.
    """
    directory = Path(config.output_dir)
    q_net, _ = load_model(directory, module_of(config.env_id))
    episodes = read_finite_table(directory / EPISODES_FILE, EPISODE_COLUMNS)
    evaluation = None
    if (directory / EVALUATIONS_FILE).exists():
        judgements, kept = read_judgements(directory / EVALUATIONS_FILE)
        evaluation = judgements[kept].evaluation
    with contextlib.closing(make_vec_env(config.env_id, 1, backend=config.backend, **config.env_kwargs)) as env:
        spaces = Spaces(env.single_observation_space, env.single_action_space)
    scores, playtimes = episodes["score"].tolist(), episodes["playtime"].astype(int).tolist()
    epsilon = epsilon_at(config, timesteps, len(scores))
    agent = make_agent(config, spaces, q_net, scores, playtimes, timesteps, epsilon)
    return Result(
        agent=agent,
        solved=solved,
        interrupted=False,
        timesteps=timesteps,
        updates=updates,
        seconds=seconds,
        steps_per_second=0.0,
        evaluation=evaluation,
        output_dir=directory,
        config=config,
    )
