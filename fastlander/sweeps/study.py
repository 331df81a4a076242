"""`Study`: the trials of a sweep in Optuna's journal file, and what Optuna proposes next.

A trial is written in one line when it begins, with all its values, so that a process that is killed leaves no half of
one. What Optuna proposes depends on the seed, the number of the trial and the trials before it alone: a sweep that goes
on gets the proposals that it would have had without a break.
"""

import contextlib
import math
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np

from fastlander.storage.files import RunFailed, reason, remove
from fastlander.storage.reading import read_file
from fastlander.storage.tables import LARGEST_TABLE
from fastlander.sweeps.space import Choices, Dimension
from fastlander.validation import InputError, quoted

NAME = "sweep"
"""Of the study in the journal."""
RUNNING, COMPLETE, PRUNED, FAILED = "RUNNING", "COMPLETE", "PRUNED", "FAIL"
"""States of a trial, in Optuna's words. A pruned one left the race before its end."""


class Trial(NamedTuple):
    """A trial as the journal has it."""

    number: int
    batch: int
    state: str
    settings: dict[str, Any]  # values of the search space, as `Config` takes them
    history: dict[int, float]  # the value after each round, by seeds
    failed: str | None  # why it failed

    @property
    def value(self) -> float:
        """The value after its last round; nan if there is none."""
        return self.history[max(self.history)] if self.history else math.nan


class Study:
    """The trials of a sweep. `create` or `open` makes it."""

    def __init__(self, path: Path, study: Any, space: Sequence[Dimension], seed: int) -> None:
        self._path, self._study, self._space, self._seed = path, study, space, seed
        self._distributions = {one.name: _distribution(one) for one in space}

    @classmethod
    def create(cls, path: Path, space: Sequence[Dimension], maximize: bool, seed: int) -> Self:
        """The study of a new journal file. RunFailed if it cannot be written."""
        optuna = require_optuna()
        with _writing(path):
            for old in (path, _lock_file(path)):  # of a process that was killed before it had written a line
                remove(old)
            direction = "maximize" if maximize else "minimize"
            sampler = optuna.samplers.RandomSampler(0)  # `propose` has one of its own
            study = optuna.create_study(storage=_storage(path), study_name=NAME, direction=direction, sampler=sampler)
        return cls(path, study, space, seed)

    @classmethod
    def open(cls, path: Path, space: Sequence[Dimension], maximize: bool, seed: int) -> Self:
        """The study of a journal file that is there. Nothing else may write it meanwhile.

        A last line that a killed process has not written to its end is cut off.

        Raises:
            ValueError: it is no journal, it was damaged, or it is of another sweep. It is not changed then.
        """
        optuna = require_optuna()
        try:
            content = read_file(path, LARGEST_TABLE)
            sampler = optuna.samplers.RandomSampler(0)
            study = optuna.load_study(storage=_storage(path), study_name=NAME, sampler=sampler)
            if (study.direction == optuna.study.StudyDirection.MAXIMIZE) != maximize:
                raise ValueError("it has another objective")
            self = cls(path, study, space, seed)
            for number, trial in enumerate(self.trials()):
                if trial.number != number:
                    raise ValueError(f"trial {number} is missing")
            if not 0 <= self.seconds < math.inf:
                raise ValueError("it has no time")
        except Exception as error:  # whatever Optuna meets in a file that somebody has changed
            why = reason(error) if isinstance(error, OSError | ValueError) else f"{type(error).__name__}: {error}"
            raise InputError(f"{path} must be the journal of this sweep, got another ({quoted(why)})") from None
        with _writing(path):
            remove(_lock_file(path))  # of a process that was killed while it wrote
            os.truncate(path, content.rfind(b"\n") + 1)
        return self

    @staticmethod
    def is_begun(path: Path) -> bool:
        """Whether a journal file has a line. One that cannot be read counts as begun: `open` says what is wrong."""
        try:
            return b"\n" in read_file(path, LARGEST_TABLE)
        except FileNotFoundError:
            return False
        except OSError:
            return True

    def trials(self) -> list[Trial]:
        """All trials, in order. ValueError if one is not of this search space."""
        return [self._read(frozen) for frozen in self._study.get_trials(deepcopy=False)]

    def begin(self, batch: int, settings: Mapping[str, Any] | None = None) -> None:
        """Begin the next trial, with these settings or with those that Optuna proposes. RunFailed if it has no room."""
        from optuna.trial import TrialState, create_trial

        if settings is None:
            settings = self.propose()
        encoded = {one.name: one.encode(settings[one.name]) for one in self._space}
        with _writing(self._path):
            self._study.add_trial(
                create_trial(
                    state=TrialState.RUNNING,
                    params=encoded,
                    distributions=self._distributions,
                    user_attrs={"batch": batch},
                )
            )

    def propose(self) -> dict[str, Any]:
        """The settings that Optuna's TPE sampler proposes for the next trial, given all those that there are."""
        import optuna

        trials = self._study.get_trials(deepcopy=False)
        seed = int(np.random.SeedSequence([self._seed, len(trials)]).generate_state(1)[0])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Optuna calls the two options below experimental
            # Trials of a batch begin together: with the constant liar they keep away from each other.
            sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True)
            twin = optuna.create_study(direction=self._study.direction, sampler=sampler)
            twin.add_trials(trials)
            params = twin.ask(self._distributions).params
        return {one.name: one.rounded(one.decode(params[one.name])) for one in self._space}

    def tell(self, trial: int, state: str, history: Mapping[int, float], **notes: Any) -> None:
        """Note how a trial has ended. RunFailed if that cannot be written.

        Args:
            trial: its number.
            state: COMPLETE, PRUNED or FAIL.
            history: the value after each round, by seeds.
            **notes: for people who look at the journal. `failed` says why it failed.
        """
        import optuna

        frozen = self._study.get_trials(deepcopy=False)[trial]
        if frozen.state.name != RUNNING:
            return
        live = optuna.trial.Trial(self._study, frozen._trial_id)  # what `ask` gives has begun in this process only
        with _writing(self._path):
            for seeds, value in history.items():
                if seeds not in frozen.intermediate_values:  # as it is when a process was killed while it told
                    live.report(value, seeds)
            for name, note in notes.items():
                live.set_user_attr(name, note)
            value = history[max(history)] if state == COMPLETE else None
            self._study.tell(trial, value, state=optuna.trial.TrialState[state])

    @property
    def seconds(self) -> float:
        """Wall clock of all batches that have ended."""
        return float(self._study.user_attrs.get("seconds", 0.0))

    def add_seconds(self, seconds: float) -> None:
        """Add the wall clock of a batch. RunFailed if that cannot be written."""
        with _writing(self._path):
            self._study.set_user_attr("seconds", self.seconds + seconds)

    def _read(self, frozen: Any) -> Trial:
        if frozen.distributions != self._distributions or frozen.state.name == "WAITING":
            raise ValueError(f"trial {frozen.number} has another search space")
        settings = {one.name: one.decode(frozen.params[one.name]) for one in self._space}
        if any(one.nearest(settings[one.name]) != settings[one.name] for one in self._space):
            raise ValueError(f"trial {frozen.number} is outside the search space")
        batch, failed = frozen.user_attrs.get("batch"), frozen.user_attrs.get("failed")
        history = {int(seeds): float(value) for seeds, value in frozen.intermediate_values.items()}
        state = frozen.state.name
        if not isinstance(batch, int) or not all(map(math.isfinite, history.values())):
            raise ValueError(f"trial {frozen.number} has no batch or no values")
        if state in (COMPLETE, PRUNED) and not history:
            raise ValueError(f"trial {frozen.number} has no value")
        return Trial(frozen.number, batch, state, settings, history, None if failed is None else quoted(failed))


def sources(trials: Sequence[Trial]) -> dict[int, int]:
    """By trial: the first one with the same settings, under which its seeds are kept. They are trained once."""
    first: dict[tuple, int] = {}
    return {trial.number: first.setdefault(tuple(trial.settings.values()), trial.number) for trial in trials}


def require_optuna() -> Any:
    """Optuna, which says nothing below an error from now on. ValueError if it is not installed."""
    try:
        import optuna
        from optuna.storages.journal import JournalFileBackend  # noqa: F401  # Optuna 4.0 was the first to have it
    except ImportError:
        raise InputError("a sweep needs a package more: pip install 'fastlander[sweep]'") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def _storage(path: Path) -> Any:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    return JournalStorage(JournalFileBackend(str(path)))


def _lock_file(path: Path) -> Path:
    """What Optuna makes beside a journal while it writes."""
    return Path(f"{path}.lock")


def _distribution(one: Dimension) -> Any:
    from optuna import distributions

    if isinstance(one, Choices):
        return distributions.CategoricalDistribution([one.encode(value) for value in one.values])
    kind = distributions.IntDistribution if one.integer else distributions.FloatDistribution
    return kind(one.low, one.high, log=one.log)


@contextlib.contextmanager
def _writing(path: Path) -> Any:
    try:
        yield
    except OSError as error:
        raise RunFailed(f"{path} could not be written ({reason(error)}); the trials in it are kept") from None
