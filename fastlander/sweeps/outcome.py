"""`Sweep`: the outcome of a sweep, and its summary for a terminal."""

from dataclasses import dataclass
from pathlib import Path

from fastlander.sweeps.directory import BEST_FILE
from fastlander.sweeps.judgement import Judgement
from fastlander.sweeps.objective import WORDS, described, loss_of, shown_interval
from fastlander.sweeps.plan import Plan
from fastlander.sweeps.space import word
from fastlander.sweeps.study import COMPLETE, FAILED, RUNNING, Trial

SHOWN = 5
"""Trials in the table of the terminal."""


@dataclass(frozen=True)
class Sweep:
    """The outcome of a sweep."""

    plan: Plan
    trials: list[Trial]
    values: dict[int, list[float]]
    """By trial: the value of each of its seeds, in their order."""
    best: Trial | None
    """The best of the trials that did all rounds. None if there is none yet."""
    judgement: Judgement | None
    """None where nothing was found that is better than the settings it began with, or it was interrupted before."""
    seconds: float
    """Wall clock of the search, over all calls."""
    interrupted: bool
    signal: int
    """If it was interrupted: by which signal."""
    output_dir: Path

    def summary(self) -> str:
        """The outcome as a table and a few lines."""
        plan, done = self.plan, [trial for trial in self.trials if trial.state == COMPLETE]
        seeds = sum(len(values) for values in self.values.values())
        lines = [
            f"{len(self.trials)} trials of {len(plan.space)} settings, {len(done)} through all rounds, "
            f"{seeds:,} seeds in {self.seconds / 60:.1f} min"
        ]
        if self.best is not None:
            lines += self._table()
            lines += self._settings()
        if self.judgement is not None:
            lines += self._judged()
        if self.interrupted:
            lines.append(f"Interrupted: --resume {self.output_dir} goes on")
        elif self.best is not None:
            lines.append(f"The settings for train --config are in {self.output_dir / BEST_FILE}")
        return "\n".join([*lines, f"Saved in {self.output_dir}"])

    def _table(self) -> list[str]:
        """The best trials, and the one with the settings that the sweep began with."""
        objective = self.plan.objective
        ended = [trial for trial in self.trials if trial.state not in (FAILED, RUNNING)]
        order = sorted(ended, key=lambda t: (t.state != COMPLETE, -max(t.history), loss_of(objective, t.value)))
        shown = order[:SHOWN] + [trial for trial in order[SHOWN:] if trial.number == 0]
        lines = [f"{'trial':<8}{'seeds':>5}{WORDS[objective]:>24}  95% interval"]
        for trial in shown:
            mean, between = shown_interval(objective, self.values[trial.number])
            first = "  (first)" * (trial.number == 0)
            lines.append(f"{trial.number:<8}{max(trial.history):>5}{mean:>24}  {between}{first}")
        return lines

    def _settings(self) -> list[str]:
        if self.best.settings == {one.name: getattr(self.plan.config, one.name) for one in self.plan.space}:
            return ["No settings did better than those that the sweep began with."]
        lines = [f"{f'trial {self.best.number}':<24}{'best':>16}{'before':>16}"]
        for name, value in self.best.settings.items():
            lines.append(f"{name:<24}{word(value):>16}{word(getattr(self.plan.config, name)):>16}")
        return lines

    def _judged(self) -> list[str]:
        objective, judged = self.plan.objective, self.judgement
        first, last = self.plan.judge_from, self.plan.judge_from + self.plan.judge_seeds - 1
        lines = [f"On fresh seeds ({first} to {last}), {WORDS[objective]}, mean with 95% interval:"]
        for name, values in (("best", judged.best), ("before", judged.start)):
            lines.append(f"  {name:<8}{described(objective, values) if values else 'all seeds failed'}")
        if judged.improvement is not None:
            chance, low, high = judged.improvement
            lines.append(f"Probability of improvement: {chance:.2f} ({low:.2f} to {high:.2f})")
        return lines
