"""The best settings of a sweep against those that it began with, on seeds that the search has not seen."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fastlander.config import WITHOUT_EFFECT, Config, setting_types
from fastlander.evaluation.statistics import probability_of_improvement
from fastlander.storage.files import remove
from fastlander.storage.seeds_directory import SeedRow, SeedsDirectory, is_seeds_directory
from fastlander.sweeps.directory import JUDGED, SweepDirectory
from fastlander.sweeps.objective import loss_of, seed_value
from fastlander.sweeps.search import Stopped
from fastlander.sweeps.study import Trial
from fastlander.training.engines import Engine
from fastlander.training.process import Interrupt
from fastlander.training.progress import SeedsBar
from fastlander.training.worker import training_job


@dataclass(frozen=True)
class Judgement:
    """The values of fresh seeds: of the best settings, and of those that the sweep began with."""

    best: list[float]
    start: list[float]
    failed: list[str]
    """Why seeds failed, a line for each. Those have no value."""
    improvement: tuple[float, float, float] | None
    """The probability that the best settings are better, with its interval; None if one side has no value."""


def judge(
    directory: SweepDirectory,
    best: Trial,
    workers: Engine,
    interrupted: Interrupt,
    show: Callable[[str], None],
    imports: Sequence[str],
) -> Judgement:
    """Train the seeds that judge, as far as they are missing, and compare.

    Raises:
        Stopped: a signal came. What has ended is kept.
        ValueError: a directory of seeds from before was damaged.
        RunFailed: a file cannot be written.
    """
    plan, jobs, owners, failed = directory.plan, [], [], []
    with contextlib.ExitStack() as stack:
        own = replace(plan.config, seed=plan.judge_from)
        sides = [
            stack.enter_context(_open(directory, name, config, imports))
            for name, config in ((f"trial{best.number}", replace(own, **best.settings)), ("start", own))
        ]
        for seed in sides[0].seeds:
            for side in sides:
                if seed not in side.rows:
                    jobs.append(training_job(len(jobs), side.config_of(seed), True))
                    owners.append((side, seed))
        bar = stack.enter_context(SeedsBar(plan.config, 2 * plan.judge_seeds))
        bar.advance(2 * plan.judge_seeds - len(jobs))
        if jobs:
            show(f"{len(jobs)} seeds judge trial {best.number} and the settings that the sweep began with")
        for message in workers.run(jobs, interrupted):
            side, seed = owners[message["id"]]
            if "row" in message:
                side.add(SeedRow(*message["row"]))
                bar.advance()
            elif "failed" in message:
                failed.append(f"{side.path.name}, seed {seed}: {message['failed']}")
                show(failed[-1])
        if interrupted.is_set():
            raise Stopped
        for side in sides:
            side.finish()
        values = [[seed_value(plan.objective, row, plan.config) for row in side.rows.values()] for side in sides]
    better = [[-loss_of(plan.objective, value) for value in side] for side in values]
    return Judgement(*values, failed, probability_of_improvement(*better) if all(better) else None)


def _open(directory: SweepDirectory, name: str, config: Config, imports: Sequence[str]) -> SeedsDirectory:
    path = directory.path / JUDGED / name
    if is_seeds_directory(path):
        return SeedsDirectory.reopen(path, imports)
    remove(path)  # of a process that was killed before it had begun
    return SeedsDirectory.create(replace(config, output_dir=str(path)), directory.plan.judge_seeds, True)


def file_settings(config: Config, searched: Mapping[str, Any]) -> dict[str, Any]:
    """What best.toml names: the settings that were searched, and all others that no default gives.

    A file of settings is read on top of the defaults of its environment. So what is neither the default there nor that
    of `Config` is named.
    """
    bases = [Config(), Config.preset(env_id=config.env_id)]
    names = [name for name in setting_types() if name not in ("seed", *WITHOUT_EFFECT)]
    own = {name: getattr(config, name) for name in names}
    return {
        name: value
        for name, value in own.items()
        if name in searched or any(value != getattr(base, name) for base in bases)
    }
