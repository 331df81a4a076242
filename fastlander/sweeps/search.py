"""`Search`: batch after batch of trials, each a race, until there are enough or the time is over."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from fastlander.config import Config
from fastlander.storage.files import RunFailed
from fastlander.storage.seeds_directory import SeedRow
from fastlander.sweeps.directory import SweepDirectory
from fastlander.sweeps.objective import WORDS, described, loss_of, mean_interval, seed_value
from fastlander.sweeps.race import most_jobs, race
from fastlander.sweeps.study import COMPLETE, FAILED, PRUNED, RUNNING, Study, Trial, sources
from fastlander.training.clock import Clock
from fastlander.training.engines import Engine
from fastlander.training.pool import Message
from fastlander.training.process import Interrupt
from fastlander.training.progress import SeedsBar
from fastlander.training.worker import training_job
from fastlander.validation import InputError

FULL = 10**7
"""Bytes. With fewer left on the disk, a seed that fails stops the sweep, as the disk is to blame and not the trial."""


class Stopped(Exception):
    """A signal asked the sweep to end."""


class Search:
    """The search of a sweep.

    Args:
        directory: of the sweep.
        study: its trials.
        workers: have seeds trained.
        interrupted: set by a signal.
        show: takes a line for each batch that ends, and for each trial that fails.
    """

    def __init__(
        self,
        directory: SweepDirectory,
        study: Study,
        workers: Engine,
        interrupted: Interrupt,
        show: Callable[[str], None],
    ) -> None:
        self._directory, self._study, self._workers = directory, study, workers
        self._plan, self._interrupted, self._show = directory.plan, interrupted, show
        self._batch: Sequence[Trial] = ()  # that runs
        self._sources = sources(study.trials())
        self._failed: dict[int, str] = {}  # by trial of the batch: why
        self._bar: SeedsBar | None = None

    def run(self) -> None:
        """Run the batches that are missing.

        Raises:
            Stopped: a signal came. What has ended is kept.
            RunFailed: a file cannot be written.
        """
        while self._unfinished() or not self.is_over():
            if self._interrupted.is_set():
                raise Stopped
            clock = Clock()
            try:
                self._run_batch(self._begin_batch())
            finally:
                self._study.add_seconds(clock.seconds())

    def is_over(self) -> bool:
        """Whether no further batch is to begin: there are enough trials, or it would probably end too late."""
        trials, plan = self._study.trials(), self._plan
        if plan.trials is not None and len(trials) >= plan.trials:
            return True
        if plan.minutes is None or not trials:
            return False
        seconds, batches = self._study.seconds, trials[-1].batch + 1
        return seconds + seconds / batches > 60 * plan.minutes

    def _unfinished(self) -> list[Trial]:
        return [trial for trial in self._study.trials() if trial.state == RUNNING]

    def _begin_batch(self) -> list[Trial]:
        """The trials of the batch that runs now. Those that are missing in it begin."""
        trials = self._study.trials()
        batch = trials[-1].batch if trials else 0
        own = [trial for trial in trials if trial.batch == batch]
        if own and all(trial.state != RUNNING for trial in own):
            batch, own = batch + 1, []
        if all(trial.state == RUNNING for trial in own):
            first = own[0].number if own else len(trials)
            most = self._plan.batch if self._plan.trials is None else min(self._plan.batch, self._plan.trials - first)
            for number in range(first + len(own), first + most):
                self._study.begin(batch, None if number else first_settings(self._directory))
        trials = self._study.trials()
        self._sources = sources(trials)
        return [trial for trial in trials if trial.batch == batch]

    def _run_batch(self, batch: Sequence[Trial]) -> None:
        """Have the trials of a batch race, and tell Optuna how each has ended."""
        plan, self._batch, self._failed = self._plan, batch, {}
        trials = {trial.number: trial for trial in batch}
        with SeedsBar(plan.config, most_jobs(len(batch), plan.rounds)) as self._bar:
            history, complete = race(
                list(trials), plan.rounds, lambda going, seeds: self._measure(trials, going, seeds)
            )
        for number, values in history.items():
            told = {seeds: loss_of(plan.objective, loss) for seeds, loss in values}
            if number in self._failed:
                self._study.tell(number, FAILED, told, failed=self._failed[number])
            else:
                _, low, high = mean_interval(self.values(trials[number], values[-1][0]))
                state = COMPLETE if number in complete else PRUNED
                self._study.tell(number, state, told, seeds=values[-1][0], low=low, high=high)
        self._say(batch, complete)

    def _measure(self, trials: Mapping[int, Trial], going: Sequence[int], seeds: int) -> dict[int, float]:
        """The losses of these trials after so many seeds, of which those that are missing are trained."""
        wanted = range(self._plan.config.seed, self._plan.config.seed + seeds)
        jobs, owners = [], []
        for seed in wanted:
            for number in going:
                if seed in self._rows(trials[number]) or number in self._failed:
                    continue
                if trials[number].state == FAILED:  # before a break, which came while Optuna was told of the batch
                    self._failed[number] = trials[number].failed
                else:
                    self._add_job(jobs, owners, trials[number], seed)
        self._train(jobs, owners)
        losses = {}
        for number in going:
            if number not in self._failed:
                mean = mean_interval(self.values(trials[number], seeds))[0]
                losses[number] = loss_of(self._plan.objective, mean)
        return losses

    def _add_job(self, jobs: list[Message], owners: list[tuple[Trial, int]], trial: Trial, seed: int) -> None:
        source = self._sources[trial.number]
        if any((source, seed) == (self._sources[other.number], other_seed) for other, other_seed in owners):
            return
        path = self._directory.run(source, seed)
        try:
            config = trial_config(self._plan.config, trial.settings)
        except InputError as error:  # a combination that the check of the search space has not met
            self._fail(trial, str(error))
            return
        jobs.append(training_job(len(jobs), replace(config, seed=seed, output_dir=str(path), progress=False), True))
        owners.append((trial, seed))

    def _train(self, jobs: list[Message], owners: list[tuple[Trial, int]]) -> None:
        for message in self._workers.run(jobs, self._interrupted):
            trial, seed = owners[message["id"]]
            if "row" in message:
                self._directory.add(self._sources[trial.number], SeedRow(*message["row"]))
                self._bar.advance()
            elif "failed" in message:
                self._check_disk(message["failed"])
                self._fail(trial, f"seed {seed}: {message['failed']}")
        if self._interrupted.is_set():
            raise Stopped

    def _fail(self, trial: Trial, why: str) -> None:
        """Note that a trial has failed, and those of the batch that are equal to it."""
        for other in self._batch:
            if other.settings == trial.settings and other.number not in self._failed:
                self._failed[other.number] = why
                self._show(f"trial {other.number} failed: {why}")

    def _check_disk(self, why: str) -> None:
        if shutil.disk_usage(self._directory.path).free < FULL:
            raise RunFailed(f"the disk of {self._directory.path} is full ({why}); --resume goes on")

    def _rows(self, trial: Trial) -> dict[int, SeedRow]:
        return self._directory.rows.get(self._sources[trial.number], {})

    def values(self, trial: Trial, seeds: int) -> list[float]:
        """The value of each of the first seeds of a trial."""
        config, rows = self._plan.config, self._rows(trial)
        return [seed_value(self._plan.objective, rows[config.seed + k], config) for k in range(seeds)]

    def _say(self, batch: Sequence[Trial], complete: Sequence[int]) -> None:
        """A line about a batch that has ended, and about the best trial so far."""
        trials = self._study.trials()
        line = f"batch {batch[0].batch}, trials {batch[0].number} to {batch[-1].number}:"
        best = best_trial(trials, self._plan.objective)
        if best is None:
            self._show(f"{line} all failed")
            return
        values = described(self._plan.objective, self.values(best, max(best.history)))
        won = f" trial {complete[0]} won." if len(complete) == 1 else ""
        self._show(f"{line}{won} Best so far: trial {best.number}, {WORDS[self._plan.objective]} {values}")


def first_settings(directory: SweepDirectory) -> dict[str, object]:
    """The settings of the first trial: those that the sweep begins with, or the nearest to them in the space."""
    return {one.name: one.nearest(getattr(directory.plan.config, one.name)) for one in directory.plan.space}


def trial_config(config: Config, settings: Mapping[str, object]) -> Config:
    """The settings of a run of a trial. ValueError if they do not go together."""
    return replace(config, **settings)


def best_trial(trials: Sequence[Trial], objective: str) -> Trial | None:
    """The best of the trials that have done all rounds; the earliest of equal ones. None if there is none."""
    complete = [trial for trial in trials if trial.state == COMPLETE]
    return min(complete, key=lambda trial: (loss_of(objective, trial.value), trial.number), default=None)
