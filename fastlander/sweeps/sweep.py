"""`sweep` and `resume_sweep`: a search for better settings from beginning to end."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fastlander.storage.files import RunFailed, check_empty, write_atomically
from fastlander.storage.settings_file import write_settings
from fastlander.sweeps.directory import BEST_FILE, JOURNAL_FILE, PAGE_FILE, SweepDirectory, sweep_path
from fastlander.sweeps.judgement import Judgement, file_settings, judge
from fastlander.sweeps.objective import FORMS, WORDS, described, loss_of, mean_interval
from fastlander.sweeps.page import sweep_page
from fastlander.sweeps.plan import Plan
from fastlander.sweeps.search import Search, Stopped, best_trial, first_settings
from fastlander.sweeps.space import word
from fastlander.sweeps.study import COMPLETE, FAILED, RUNNING, Study, Trial, require_optuna
from fastlander.terminal import print_lines
from fastlander.training.multi_seed import open_pool
from fastlander.training.pool import Pool
from fastlander.training.process import Interrupt, interrupts
from fastlander.validation import InputError, check_path

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
            mean, low, high = mean_interval(self.values[trial.number])
            form, begun = FORMS[objective], "  (the first settings)" * (trial.number == 0)
            seeds = max(trial.history)
            lines.append(f"{trial.number:<8}{seeds:>5}{mean:>24{form}}  {low:{form}} to {high:{form}}{begun}")
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


def sweep(plan: Plan, show: Callable[[str], None] = print_lines, *, imports: Sequence[str] = ()) -> Sweep:
    """Search for better settings.

    Args:
        plan: what to search, and how.
        show: takes a line for each batch of trials that ends.
        imports: modules that the processes import first, as they register the environment.

    Raises:
        ValueError: Optuna is not installed, or a setting cannot be used here, before anything is written.
        RunFailed: the processes cannot be started, a file cannot be written, or no trial has a value.
    """
    require_optuna()
    check_empty(sweep_path(plan.config))
    with _pool(plan, imports) as pool, SweepDirectory.create(plan) as directory, interrupts() as interrupted:
        try:
            study = Study.create(directory.path / JOURNAL_FILE, plan.space, plan.objective == "return", plan.config.seed)
        except BaseException:
            directory.discard()
            raise
        moved = {name: value for name, value in first_settings(directory).items() if value != getattr(plan.config, name)}
        if moved:
            words = ", ".join(f"{name} {word(value)}" for name, value in moved.items())
            show(f"The settings it begins with are outside of the search space: the first trial has {words}")
        return _run(directory, study, pool, interrupted, show, imports)


def resume_sweep(
    directory: str | Path,
    show: Callable[[str], None] = print_lines,
    *,
    trials: int | None = None,
    minutes: float | None = None,
    imports: Sequence[str] = (),
    progress: bool = True,
) -> Sweep:
    """Go on with a sweep that was broken off, or that is to go on for longer.

    Args:
        directory: of the sweep.
        show: takes a line for each batch of trials that ends.
        trials, minutes: other limits than those it had. None keeps both, if both are None.
        imports: modules that may be imported, where the environment is "module:id". They are imported.
        progress: show a bar on a terminal.

    Raises:
        ValueError: no directory of a sweep, or one with damaged files. Nothing is changed then.
        RunFailed: as for `sweep`.
    """
    require_optuna()
    with SweepDirectory.reopen(check_path("resume", directory), imports) as reopened:
        plan = replace(reopened.plan, config=replace(reopened.plan.config, progress=progress))
        if trials is not None or minutes is not None:
            plan = replace(plan, trials=trials, minutes=minutes)
        reopened.plan = plan
        path = reopened.path / JOURNAL_FILE
        if path.exists() or reopened.rows:
            study = Study.open(path, plan.space, plan.objective == "return", plan.config.seed)
        else:
            study = Study.create(path, plan.space, plan.objective == "return", plan.config.seed)
        _check_rows(reopened, study)
        reopened.begin()
        with _pool(plan, imports) as pool, interrupts() as interrupted:
            return _run(reopened, study, pool, interrupted, show, imports)


def _pool(plan: Plan, imports: Sequence[str]) -> Pool:
    """Workers that are ready, and that have checked the settings the sweep begins with."""
    most = max(plan.batch * plan.rounds[0], plan.rounds[-1], 2 * plan.judge_seeds)
    pool = open_pool(plan.config, most, imports=imports)
    try:
        pool.prepare()
    except BaseException:
        pool.close()
        raise
    return pool


def _check_rows(directory: SweepDirectory, study: Study) -> None:
    """ValueError if trials.csv has a trial that the journal has not, or not the seeds of one that has ended."""
    trials = study.trials()
    known = {trial.number for trial in trials}
    others = sorted(set(directory.rows) - known)
    if others:
        raise InputError(f"{directory.path} must have trials of its journal, got trial {others[0]} in trials.csv")
    for trial in trials:
        source = next(other.number for other in trials if other.settings == trial.settings)
        wanted = range(directory.plan.config.seed, directory.plan.config.seed + max(trial.history, default=0))
        missing = [seed for seed in wanted if seed not in directory.rows.get(source, {})]
        if missing and trial.state != FAILED:
            got = f"none for seed {missing[0]} of trial {source}"
            raise InputError(f"{directory.path} must have a row in trials.csv for each seed of its journal, got {got}")


def _run(
    directory: SweepDirectory,
    study: Study,
    pool: Pool,
    interrupted: Interrupt,
    show: Callable[[str], None],
    imports: Sequence[str],
) -> Sweep:
    plan, judgement, stopped = directory.plan, None, False
    search = Search(directory, study, pool, interrupted, show)
    try:
        search.run()
        best = best_trial(study.trials(), plan.objective)
        if best is None:
            whys = [trial.failed for trial in study.trials() if trial.failed]
            raise RunFailed(f"no trial has a value; the first one failed: {whys[0] if whys else 'it was not begun'}")
        if best.settings != {one.name: getattr(plan.config, one.name) for one in plan.space}:
            judgement = judge(directory, best, pool, interrupted, show, imports)
    except Stopped:
        stopped = True
    trials = study.trials()
    values = {trial.number: search.values(trial, max(trial.history, default=0)) for trial in trials if trial.history}
    values = {number: own for number, own in values.items() if trials[number].state != FAILED}
    best = best_trial(trials, plan.objective)
    seconds, number = study.seconds, int(interrupted.signal)
    outcome = Sweep(plan, trials, values, best, judgement, seconds, stopped, number, directory.path)
    if not stopped:
        _write(outcome)
    return outcome


def _write(outcome: Sweep) -> None:
    """best.toml and the page. RunFailed if they cannot be written."""
    directory, best = outcome.output_dir, outcome.best
    config = dataclasses.replace(outcome.plan.config, **best.settings)
    try:
        write_settings(directory / BEST_FILE, file_settings(config, best.settings))
        write_atomically(directory / PAGE_FILE, sweep_page(outcome).encode())
    except (OSError, InputError) as error:
        raise RunFailed(f"{directory} could not be written ({error}); --resume writes what is missing") from None
