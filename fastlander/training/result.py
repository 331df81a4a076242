"""`Result`: the outcome of a run."""

import signal
from dataclasses import dataclass
from pathlib import Path

from fastlander.evaluation.evaluation import Evaluation
from fastlander.learner.agent import Agent


@dataclass(frozen=True)
class Result:
    """The outcome of a run."""

    agent: Agent
    """Its `q_net` is the policy; it has `scores`, `playtimes`, `n_episode`, `n_experiences` and `eps` of the run."""
    solved: bool
    """Whether the run ended by being solved (`Config.solved_by`), or the policy chosen at its end is good enough."""
    interrupted: bool
    """Whether Ctrl-C or SIGTERM came before the run had ended."""
    timesteps: int
    """Training steps, over all environments."""
    updates: int
    """Gradient steps."""
    seconds: float
    """Wall clock of training and judging, without imports."""
    steps_per_second: float
    """Training steps per second, updates included and judging not; of the part after the last resume."""
    evaluation: Evaluation | None
    """Greedy episodes of the policy that was kept, if it was judged."""
    output_dir: Path
    """The run directory."""
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
            line += f" Greedy mean {self.evaluation.mean:.1f} over {len(self.evaluation.returns)} fresh episodes."
        return f"{line}\nSaved in {self.output_dir}"
