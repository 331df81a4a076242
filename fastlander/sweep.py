"""`python -m fastlander.sweep`: search for better settings."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

import tyro

from fastlander.arguments import Imports, parse
from fastlander.config import Config, Positive, setting_types
from fastlander.presets import PRESETS, PresetName
from fastlander.terminal import FAILED, end_process, exit_status, print_lines
from fastlander.train import SETTINGS_HELP, base_settings
from fastlander.training.worker import EngineName
from fastlander.validation import Count, InputError, check

PROG = "fastlander sweep"
Words = Annotated[tuple[tuple[str, ...], ...], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="NAME=VALUES ...")]


@dataclass(frozen=True)
class Arguments:
    """Search for better settings: trials race over paired seeds, and Optuna proposes the next ones."""

    search: Words = ()
    """What to search: a range (n_step=1..12), a logarithmic one (learning_rate=log:1e-4..1e-2), or values
    (loss=huber,mse hidden_sizes=128-64-32,256-256)."""
    space: Annotated[str | None, tyro.conf.arg(metavar="FILE")] = None
    """TOML file of more of these, such as n_step = "1..12"."""
    objective: Literal["steps", "seconds", "return"] = "steps"
    """What is made better: steps or seconds until solved (the whole budget where unsolved), or the greedy mean return
    at total_timesteps."""
    trials: Count | None = None
    """Trials, at most."""
    minutes: Positive | None = None
    """Minutes for the search, about. A batch of trials begins if it will probably end in time. Judging comes after."""
    batch: Count = 8
    """Trials that race against each other."""
    rounds: tuple[Count, ...] = (2, 4, 8, 16)
    """Seeds that a trial has done after each round of its race. After each the worse half leaves."""
    judge_seeds: Count = 20
    """Fresh seeds that compare the best settings with those that the sweep began with."""
    resume: Annotated[str | None, tyro.conf.arg(metavar="DIR")] = None
    """Directory of a sweep to go on with. It takes --trials and --minutes, and keeps all other settings."""
    engine: EngineName = "local"
    """local (processes of this machine) or ray (actors of a Ray cluster)."""
    ray_address: Annotated[str | None, tyro.conf.arg(metavar="ADDRESS")] = None
    """Of the Ray cluster, or auto. None starts one on this machine."""
    preset: PresetName = "default"
    """Settings to begin with, as of `fastlander train`."""
    config_file: Annotated[str | None, tyro.conf.arg(name="config", metavar="FILE")] = None
    """File of settings on top of the preset's: TOML, or the config.json of a run. Other flags change these."""
    quiet: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print nothing but warnings and errors. The exit status tells how it ended."""
    imports: Imports = ()
    """Python module to import first, as it registers the environment. May be given several times."""
    config: Annotated[Config, tyro.conf.OmitArgPrefixes, tyro.conf.arg(help=SETTINGS_HELP)] = field(
        default_factory=Config
    )


def read_arguments(argv: Sequence[str] | None = None) -> Arguments:
    """The arguments of a command line. ValueError if they cannot be used."""
    args = list(sys.argv[1:] if argv is None else argv)
    preset, config = base_settings(args)
    own: dict[str, Any] = {"batch": Count, "rounds": tuple[Count, ...], "judge_seeds": Count}
    limits: dict[str, Any] = {"trials": Count | None, "minutes": Positive | None}
    objective = Literal["steps", "seconds", "return"]
    hints = {**setting_types(), **own, **limits, "preset": Literal[tuple(PRESETS)], "objective": objective}
    hints["engine"] = EngineName
    arguments = parse(Arguments, args, PROG, hints, default=Arguments(preset=preset, config=config))
    for name in (*own, *limits):
        check(name, hints[name], getattr(arguments, name))
    if arguments.resume is not None:
        plain = replace(arguments, config=replace(arguments.config, progress=True))
        kept = {
            name: getattr(plain, name)
            for name in ("resume", "engine", "ray_address", "trials", "minutes", "quiet", "imports")
        }
        if plain != Arguments(**kept):
            raise InputError(
                "--resume takes no other setting but --trials, --minutes, --engine, --ray-address, --no-progress, "
                "--quiet and --import: the sweep has its settings"
            )
    if arguments.quiet:
        return replace(arguments, config=replace(arguments.config, progress=False))
    return arguments


def main(argv: Sequence[str] | None = None) -> int:
    """Search as the command line says; exit status as of `fastlander train`."""
    return exit_status(PROG, lambda: _sweep(read_arguments(argv)))


def _sweep(arguments: Arguments) -> int:
    from fastlander.storage.files import RunFailed

    try:
        return _run(arguments)
    except RunFailed as error:
        print_lines(f"{PROG}: {error}", sys.stderr)
        return FAILED


def _run(arguments: Arguments) -> int:
    from fastlander.sweeps.plan import Plan
    from fastlander.sweeps.space import read_space
    from fastlander.sweeps.sweep import resume_sweep, sweep  # without torch, which the workers import

    progress = arguments.config.progress
    show = print_lines if progress else lambda line: None
    limits = {"trials": arguments.trials, "minutes": arguments.minutes}
    engine = {"engine": arguments.engine, "ray_address": arguments.ray_address}
    if arguments.resume is not None:
        outcome = resume_sweep(arguments.resume, show, imports=arguments.imports, progress=progress, **limits, **engine)
    else:
        plan = Plan(
            config=arguments.config,
            search=read_space([text for texts in arguments.search for text in texts], arguments.space),
            objective=arguments.objective,
            rounds=arguments.rounds,
            batch=arguments.batch,
            judge_seeds=arguments.judge_seeds,
            **limits,
        )
        outcome = sweep(plan, show, imports=arguments.imports, **engine)
    if not arguments.quiet:
        print_lines(outcome.summary())
    if outcome.interrupted:
        return 128 + outcome.signal
    return FAILED if outcome.judgement is not None and outcome.judgement.failed else 0


if __name__ == "__main__":
    end_process(main())
