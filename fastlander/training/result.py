"""`Result`: the outcome of a run."""

import contextlib
import functools
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from fastlander.config import Config
from fastlander.environments import make_vec_env, module_of
from fastlander.evaluation.evaluation import Evaluation
from fastlander.learner.parameters import Parameters
from fastlander.learner.schedules import epsilon_at
from fastlander.storage.files import EPISODES_FILE, EVALUATIONS_FILE
from fastlander.storage.model_file import load_parameters
from fastlander.storage.tables import EPISODE_COLUMNS, read_finite_table, read_judgements

if TYPE_CHECKING:
    from fastlander.learner.agent import Agent


class Learned(NamedTuple):
    """What a run has learned, of which `Result.agent` is made."""

    config: Config
    spaces: tuple[Any, Any]
    """Of observations and of actions."""
    network: Parameters
    """That acts."""
    scores: list[float]
    playtimes: list[int]
    timesteps: int
    epsilon: float


@dataclass(frozen=True)
class Result:
    """The outcome of a run."""

    learned: Learned = field(repr=False, compare=False)
    """What `agent` is made of, without torch."""
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

    @functools.cached_property
    def agent(self) -> "Agent":
        """The lecture's agent: `q_net` is the policy; `scores`, `playtimes`, `n_episode`, `n_experiences` and `eps`.

        It is made when it is first asked for, as that takes torch. Its optimizer begins anew.
        """
        return make_agent(self.learned)

    def summary(self) -> str:
        """The outcome in a line or two."""
        end = "Solved" if self.solved else "Interrupted" if self.interrupted else "Not solved"
        line = (
            f"{end} after {self.timesteps:,} steps, {len(self.learned.scores):,} episodes and {self.updates:,} updates "
            f"in {self.seconds:.1f} s"
        )
        line += f", {self.steps_per_second:,.0f} steps/s without the judging." if self.steps_per_second else "."
        if self.evaluation is not None:
            line += f" Greedy mean {self.evaluation.mean:.1f}"
            if self.config.is_lander:
                line += f" and {self.evaluation.landings.mean():.1%} landings"
            line += f" over {len(self.evaluation.returns)} fresh episodes."
        return f"{line}\nSaved in {self.output_dir}"


def make_agent(learned: Learned) -> "Agent":
    """The lecture's agent with the network and the counts of a run. Its optimizer begins anew."""
    from fastlander.learner.agent import Agent, Spaces
    from fastlander.learner.flat_adam import FlatAdam
    from fastlander.learner.q_network import QNetwork

    config = learned.config
    agent = Agent(Spaces(*learned.spaces), seed=config.seed)
    agent.q_net = QNetwork.of(learned.network)
    agent.optimizer = FlatAdam(agent.q_net, lr=config.learning_rate, betas=config.adam_betas)
    agent.scores, agent.playtimes = learned.scores, learned.playtimes
    agent.n_episode, agent.n_experiences = len(learned.scores), learned.timesteps
    agent.eps = learned.epsilon
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
    network, _ = load_parameters(directory, module_of(config.env_id))
    episodes = read_finite_table(directory / EPISODES_FILE, EPISODE_COLUMNS)
    evaluation = None
    if (directory / EVALUATIONS_FILE).exists():
        judgements, kept = read_judgements(directory / EVALUATIONS_FILE)
        evaluation = judgements[kept].evaluation
    with contextlib.closing(make_vec_env(config.env_id, 1, backend=config.backend, **config.env_kwargs)) as env:
        spaces = env.single_observation_space, env.single_action_space
    scores, playtimes = episodes["score"].tolist(), episodes["playtime"].astype(int).tolist()
    epsilon = epsilon_at(config, timesteps, len(scores))
    return Result(
        learned=Learned(config, spaces, network, scores, playtimes, timesteps, epsilon),
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
