"""`sweep` and `resume_sweep`: a search for better settings from beginning to end."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from fastlander.storage.files import RunFailed, check_empty, remove_empty, write_atomically
from fastlander.storage.settings_file import write_settings
from fastlander.sweeps.directory import BEST_FILE, JOURNAL_FILE, OPEN_RUNS, PAGE_FILE, SweepDirectory, sweep_path
from fastlander.sweeps.judgement import file_settings, judge
from fastlander.sweeps.outcome import Sweep
from fastlander.sweeps.page import sweep_page
from fastlander.sweeps.plan import Plan
from fastlander.sweeps.search import Search, Stopped, best_trial, first_settings
from fastlander.sweeps.space import word
from fastlander.sweeps.study import FAILED, Study, require_optuna, sources
from fastlander.terminal import print_lines
from fastlander.training.engines import Engine, check_engine, open_engine
from fastlander.training.multi_seed import worker_setup
from fastlander.training.process import Interrupt, interrupts
from fastlander.validation import InputError, check_path


def sweep(
    plan: Plan,
    show: Callable[[str], None] = print_lines,
    *,
    imports: Sequence[str] = (),
    engine: str = "local",
    ray_address: str | None = None,
) -> Sweep:
    """Search for better settings.

    Args:
        plan: what to search, and how.
        show: takes a line for each batch of trials that ends.
        imports: modules that the processes import first, as they register the environment.
        engine, ray_address: as of `train_seeds`. The results are the same, but for seconds.

    Raises:
        ValueError: Optuna is not installed, or a setting cannot be used here, before anything is written.
        RunFailed: the processes cannot be started, a file cannot be written, or no trial has a value.
    """
    require_optuna()
    check_engine(engine, ray_address)
    check_empty(sweep_path(plan.config))
    with (
        _start(plan, imports, engine, ray_address) as workers,
        SweepDirectory.create(plan) as directory,
        interrupts() as interrupted,
    ):
        try:
            study = Study.create(
                directory.path / JOURNAL_FILE, plan.space, plan.objective == "return", plan.config.seed
            )
        except BaseException:
            directory.discard()
            raise
        moved = {
            name: value for name, value in first_settings(directory).items() if value != getattr(plan.config, name)
        }
        if moved:
            words = ", ".join(f"{name} {word(value)}" for name, value in moved.items())
            show(f"The settings it begins with are outside of the search space: the first trial has {words}")
        return _run(directory, study, workers, interrupted, show, imports)


def resume_sweep(
    directory: str | Path,
    show: Callable[[str], None] = print_lines,
    *,
    trials: int | None = None,
    minutes: float | None = None,
    imports: Sequence[str] = (),
    progress: bool = True,
    engine: str = "local",
    ray_address: str | None = None,
) -> Sweep:
    """Go on with a sweep that was broken off, or that is to go on for longer.

    Args:
        directory: of the sweep.
        show: takes a line for each batch of trials that ends.
        trials, minutes: other limits than those it had. None keeps both, if both are None.
        imports: modules that may be imported, where the environment is "module:id". They are imported.
        progress: show a bar on a terminal.
        engine, ray_address: as of `train_seeds`. It need not be the engine that it had before.

    Raises:
        ValueError: no directory of a sweep, or one with damaged files. Nothing is changed then.
        RunFailed: as for `sweep`.
    """
    require_optuna()
    check_engine(engine, ray_address)
    with SweepDirectory.reopen(check_path("resume", directory), imports) as reopened:
        plan = replace(reopened.plan, config=replace(reopened.plan.config, progress=progress))
        if trials is not None or minutes is not None:
            plan = replace(plan, trials=trials, minutes=minutes)
        reopened.plan = plan
        path = reopened.path / JOURNAL_FILE
        begun = bool(reopened.rows) or Study.is_begun(path)
        open_study = Study.open if begun else Study.create
        study = open_study(path, plan.space, plan.objective == "return", plan.config.seed)
        _check_rows(reopened, study)
        reopened.begin()
        with _start(plan, imports, engine, ray_address) as workers, interrupts() as interrupted:
            return _run(reopened, study, workers, interrupted, show, imports)


def _start(plan: Plan, imports: Sequence[str], engine: str, ray_address: str | None) -> Engine:
    """An engine that is ready, and that has checked the settings the sweep begins with."""
    most = max(plan.batch * plan.rounds[0], plan.rounds[-1], 2 * plan.judge_seeds)
    started = open_engine(engine, worker_setup(plan.config, None, imports), most, ray_address)
    try:
        started.prepare()
    except BaseException:
        started.close()
        raise
    return started


def _check_rows(directory: SweepDirectory, study: Study) -> None:
    """ValueError if trials.csv has a trial that the journal has not, or not the seeds of one that has ended."""
    trials = study.trials()
    source = sources(trials)
    others = sorted(set(directory.rows) - set(source))
    if others:
        raise InputError(f"{directory.path} must have trials of its journal, got trial {others[0]} in trials.csv")
    for trial in trials:
        wanted = range(directory.plan.config.seed, directory.plan.config.seed + max(trial.history, default=0))
        missing = [seed for seed in wanted if seed not in directory.rows.get(source[trial.number], {})]
        if missing and trial.state != FAILED:
            got = f"none for seed {missing[0]} of trial {source[trial.number]}"
            raise InputError(f"{directory.path} must have a row in trials.csv for each seed of its journal, got {got}")


def _run(
    directory: SweepDirectory,
    study: Study,
    workers: Engine,
    interrupted: Interrupt,
    show: Callable[[str], None],
    imports: Sequence[str],
) -> Sweep:
    plan, judgement, stopped = directory.plan, None, False
    search = Search(directory, study, workers, interrupted, show)
    try:
        search.run()
        best = best_trial(study.trials(), plan.objective)
        if best is None:
            whys = [trial.failed for trial in study.trials() if trial.failed]
            raise RunFailed(f"no trial has a value; the first one failed: {whys[0] if whys else 'it was not begun'}")
        if best.settings != {one.name: getattr(plan.config, one.name) for one in plan.space}:
            judgement = judge(directory, best, workers, interrupted, show, imports)
    except Stopped:
        stopped = True
    trials = study.trials()
    values = {trial.number: search.values(trial, max(trial.history, default=0)) for trial in trials if trial.history}
    values = {number: own for number, own in values.items() if trials[number].state != FAILED}
    best = best_trial(trials, plan.objective)
    seconds, number = study.seconds, int(interrupted.signal)
    outcome = Sweep(plan, trials, values, best, judgement, seconds, stopped, number, directory.path)
    if not stopped:
        remove_empty([directory.path / OPEN_RUNS])
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
