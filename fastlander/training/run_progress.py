"""`Progress`: what a loop over `Trainer.run_steps` sees of the run after each step."""

from pathlib import Path
from typing import TYPE_CHECKING

from fastlander.evaluation.evaluation import Evaluation
from fastlander.experience.collector import NOTHING_FINISHED, Finished
from fastlander.storage.tables import MetricsRow
from fastlander.training.result import Result
from fastlander.training.run_state import Run

if TYPE_CHECKING:
    from fastlander.learner.q_network import QNetwork


class Progress:
    """A run after one of its vector steps. The same object is given after each step, and says how it is then.

    Args:
        run: what is told of.
        output_dir: the run directory.
    """

    def __init__(self, run: Run, output_dir: Path) -> None:
        self._run = run
        self.output_dir = output_dir
        """The run directory."""
        self.finished: Finished = NOTHING_FINISHED
        """Scores and playtimes of the training episodes that this step ended."""
        self.row: MetricsRow | None = None
        """The row of metrics.csv that was written after this step, if one was."""
        self.evaluation: Evaluation | None = None
        """The greedy episodes with which the policy was judged after this step, if it was."""
        self.result: Result | None = None
        """The outcome, once the run has ended: at the last step. All is saved then."""

    @property
    def timesteps(self) -> int:
        """Training steps so far, over all environments."""
        return self._run.timesteps

    @property
    def episodes(self) -> int:
        """Training episodes that have ended so far."""
        return len(self._run.scores)

    @property
    def updates(self) -> int:
        """Gradient steps so far."""
        return self._run.dqn.updates

    @property
    def score_mean(self) -> float:
        """Mean score of the last 100 training episodes; nan while there is none."""
        return self._run.scores.mean()

    @property
    def epsilon(self) -> float:
        """Share of random actions now."""
        return self._run.epsilon

    @property
    def seconds(self) -> float:
        """Wall clock since the run began."""
        return self._run.clock.seconds()

    @property
    def best(self) -> Evaluation | None:
        """Greedy episodes of the best policy that was judged so far."""
        return self._run.judge.best

    @property
    def q_net(self) -> "QNetwork":
        """The network that learns. The next step changes it; `copy.deepcopy` keeps it as it is."""
        return self._run.dqn.q_network

    def __repr__(self) -> str:
        return f"Progress(timesteps={self.timesteps:,}, episodes={self.episodes:,}, score_mean={self.score_mean:.1f})"
