"""Methods to be compared: the runs of one group of settings with several seeds, read from their directories."""

import itertools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fastlander.config import Config
from fastlander.environments import OWN_MODULE, solved_score
from fastlander.evaluation.evaluation import Evaluation
from fastlander.evaluation.scores import WINDOW
from fastlander.storage.files import CONFIG_FILE, EPISODES_FILE, EVALUATIONS_FILE, METRICS_FILE, reason
from fastlander.storage.model_file import difference
from fastlander.storage.reading import LARGEST_SETTINGS, read_file
from fastlander.storage.seeds_directory import SeedsDirectory, is_seeds_directory
from fastlander.storage.tables import read_finite_table, read_judgements
from fastlander.validation import InputError, quoted, shown


class EndedRun(NamedTuple):
    """What a comparison needs of a run that has ended."""

    config: Config
    solved: bool
    timesteps: int
    seconds: float  # wall clock of training and judging
    ends: np.ndarray  # float64[episodes], timesteps at the end of each training episode, which never fall
    scores: np.ndarray  # float64[episodes], of the training episodes
    returns: np.ndarray  # float64[E], of the greedy episodes of the policy that was kept

    @property
    def greedy_mean(self) -> float:
        """Mean return of the policy that was kept."""
        return float(self.returns.mean())


class Method(NamedTuple):
    """One group of settings and its runs, which differ in the seed."""

    label: str
    runs: list[EndedRun]  # in the order of the seeds, at least one
    asked: int  # how many seeds it is to have; those that are missing have not ended or have failed


def read_method(label: str, directories: Sequence[Path]) -> Method:
    """The runs of a method. Nothing is written, nothing imported, and no model is loaded.

    Args:
        label: its name.
        directories: of runs, and of several seeds each.

    Raises:
        ValueError: a directory is neither, has no run that ended, or is damaged; the settings are not the same in all
            of them, but for the seed; or a seed is there twice.
    """
    runs, asked = [], 0
    for directory in directories:
        if is_seeds_directory(directory):
            read, count = _read_seeds(directory)
        elif os.path.lexists(directory / CONFIG_FILE):
            read, count = [_read_run(directory)], 1
        else:
            raise InputError(
                f"directory must be of a run or of several seeds (with a {CONFIG_FILE} or a seeds.json), "
                f"got {str(directory)!r}"
            )
        runs, asked = runs + read, asked + count
    first = runs[0].config
    for run in runs[1:]:
        found = difference(_settings(first), _settings(run.config))
        if found:
            raise InputError(f"{label} must have runs that differ in the seed only, got {found}")
    seeds = sorted(run.config.seed for run in runs)
    twice = [seed for seed, after in itertools.pairwise(seeds) if seed == after]
    if twice:
        raise InputError(f"{label} must have each seed once, got seed {twice[0]} twice")
    return Method(label, sorted(runs, key=lambda run: run.config.seed), asked)


def known_score(config: Config) -> float | None:
    """`solved_score` where no module has to be imported to tell it; None elsewhere."""
    module, _, _ = config.env_id.rpartition(":")
    if config.solved_score is None and module not in ("", OWN_MODULE):
        return None
    try:
        return solved_score(config)
    except InputError:
        return None


def _settings(config: Config) -> dict[str, object]:
    return {**config.result_settings(), "seed": None}


def _read_seeds(path: Path) -> tuple[list[EndedRun], int]:
    """The runs that have ended in a directory of several seeds, and how many it is to have."""
    directory = SeedsDirectory.read(path)
    if not directory.rows:
        raise InputError(f"directory must have a seed that has ended, got {str(path)!r}, which has none yet")
    runs = [
        _read_run(directory.run(seed))._replace(solved=row.solved, timesteps=row.timesteps, seconds=row.seconds)
        for seed, row in sorted(directory.rows.items())
    ]
    return runs, len(directory.seeds)


def _read_run(path: Path) -> EndedRun:
    """A run that has ended.

    Whether it was solved is not in its files; `_was_solved` derives it.
    """
    file = path / CONFIG_FILE
    try:
        config = Config.from_json(read_file(file, LARGEST_SETTINGS).decode())
    except (OSError, ValueError) as error:
        raise InputError(f"{file} must be as the run left it, got another ({quoted(reason(error))})") from None
    if not os.path.lexists(path / EVALUATIONS_FILE):
        raise InputError(
            f"directory must be of a run that has ended, with {EVALUATIONS_FILE}, got {str(path)!r}: "
            "its policy was never judged"
        )
    judgements, kept = read_judgements(path / EVALUATIONS_FILE)
    evaluation = judgements[kept].evaluation
    episodes = read_finite_table(path / EPISODES_FILE, ("timesteps", "score"))
    metrics = read_finite_table(path / METRICS_FILE, ("timesteps", "seconds"))
    if not len(metrics["timesteps"]):
        raise InputError(f"{path / METRICS_FILE} must have a row, got none")
    return EndedRun(
        config=config,
        solved=_was_solved(config, evaluation, episodes["score"]),
        timesteps=int(metrics["timesteps"][-1]),
        seconds=float(metrics["seconds"][-1]),
        ends=np.maximum.accumulate(episodes["timesteps"]),
        scores=episodes["score"],
        returns=evaluation.returns,
    )


def _was_solved(config: Config, evaluation: Evaluation, scores: np.ndarray) -> bool:
    """Whether a run that ended with these episodes of the policy it kept, and these training scores, was solved.

    As `Judge` says it: the last 100 training scores, or the chosen candidate's episodes, or the first `eval_episodes`
    of the policy and those that confirmed it.
    """
    score = known_score(config)
    if config.solved_by == "training" and not config.candidates:
        return score is not None and len(scores) >= WINDOW and bool(scores[-WINDOW:].mean() >= score)
    if config.candidates:
        return evaluation.passes(score, config.required_landings)
    first, others = evaluation.part(0, config.eval_episodes), evaluation.part(config.eval_episodes)
    return all(part.passes(score, config.required_landings) for part in (first, others))


def check_same_environment(methods: Sequence[Method]) -> None:
    """ValueError if not all methods are on one environment."""
    first, *others = methods
    for method in others:
        wanted, got = first.runs[0].config.env_id, method.runs[0].config.env_id
        if wanted != got:
            raise InputError(
                f"directories must be of runs on one environment, got {shown(wanted)} ({first.label}) "
                f"and {shown(got)} ({method.label})"
            )
