"""`python -m fastlander.train`: train a DQN, with a Config from the command line."""

import argparse
import dataclasses
import gc
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import tyro

from fastlander.arguments import Imports, parse
from fastlander.config import LANDER_ID, Config, env_defaults, setting_types
from fastlander.presets import PRESETS, PresetName
from fastlander.terminal import FAILED, end_process, exit_status, print_lines
from fastlander.training.worker import EngineName
from fastlander.validation import Count, InputError, check, check_path

PROG = "fastlander train"
SETTINGS_HELP = (
    "The settings of a run. The defaults are those that solved LunarLander fastest. A timestep is one step of one "
    "environment. A vector step is a step of all environments together."
)
"""Stands above the settings in the help."""


@dataclass(frozen=True)
class Arguments:
    """Train a DQN on LunarLander (or another environment with flat observations and discrete actions)."""

    preset: PresetName = "default"
    """Settings to start from: default (solves fastest), best (best lander of two million steps), finest (of twelve) or
    the lecture's. CartPole-v1, Acrobot-v1 and MountainCar-v0 have a default of their own, and no other preset."""
    config_file: Annotated[str | None, tyro.conf.arg(name="config", metavar="FILE")] = None
    """File of settings on top of the preset's: TOML, or the config.json of a run. Other flags change these."""
    seeds: Count | None = None
    """Agents to train at once, with the seeds from --seed on. Prints statistics over the seeds. None is one agent."""
    resume: Annotated[str | None, tyro.conf.arg(metavar="DIR")] = None
    """Directory of a run, or of seeds, that stopped early and is to go on. Its settings stay as they are."""
    compact: bool | None = None
    """With --seeds: leave out each seed's report and checkpoints. None does from 50 seeds on."""
    engine: EngineName = "local"
    """With --seeds: train in processes of this machine (local), or of a Ray cluster (ray). The results are the same."""
    ray_address: Annotated[str | None, tyro.conf.arg(metavar="ADDRESS")] = None
    """With --engine ray: host:port of the cluster, or auto for the one of this machine. None starts one here."""
    quiet: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print nothing but warnings and errors. The exit status tells how it ended."""
    imports: Imports = ()
    """Python module to import first, as it registers the environment or a resumed run's env_id names it. May repeat."""
    config: Annotated[Config, tyro.conf.OmitArgPrefixes, tyro.conf.arg(help=SETTINGS_HELP)] = field(
        default_factory=Config
    )


def read_arguments(argv: Sequence[str] | None = None) -> Arguments:
    """The arguments of a command line: the settings of its preset and environment, or of its file, then its flags."""
    args = list(sys.argv[1:] if argv is None else argv)
    preset, config = base_settings(args)
    hints: dict[str, Any] = {
        "preset": Literal[tuple(PRESETS)],
        "config": str | None,
        "seeds": Count | None,
        "compact": bool | None,
        "engine": EngineName,
        **setting_types(),
    }
    arguments = parse(Arguments, args, PROG, hints, default=Arguments(preset, config=config))
    check("seeds", Count | None, arguments.seeds)
    if arguments.resume is not None:
        plain = dataclasses.replace(arguments.config, progress=True)
        other = arguments.seeds is not None or arguments.compact is not None or plain != Config()
        if arguments.preset != "default" or arguments.config_file is not None or other:
            raise InputError(
                "--resume takes no other setting but --no-progress, --quiet, --import, --engine and --ray-address: "
                "the run has its settings"
            )
    elif arguments.compact is not None and arguments.seeds is None:
        raise InputError(f"compact must be None without --seeds, got {arguments.compact}")
    if arguments.engine != "local" and arguments.seeds is None and arguments.resume is None:
        raise InputError(f"engine must be local without --seeds, got {arguments.engine}")
    if arguments.quiet:
        return dataclasses.replace(arguments, config=dataclasses.replace(arguments.config, progress=False))
    return arguments


def base_settings(args: list[str]) -> tuple[Any, Config]:
    """The preset that a command line names, and the settings of that preset and environment, or of its file."""
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    first.add_argument("--preset", choices=PRESETS, default="default")
    first.add_argument("--config")
    first.add_argument("--env-id", "--env_id", default=LANDER_ID)
    try:
        found = first.parse_known_args(args)[0]
        preset, file, env_id = found.preset, found.config, found.env_id
    except argparse.ArgumentError:
        # tyro refuses it below, with the same kind of line as for every other flag
        preset, file, env_id = "default", None, LANDER_ID
    if file is not None:
        return preset, _read_file(file, preset)
    if env_defaults(env_id) is not None:
        return preset, Config.preset(preset, env_id=env_id)
    return preset, Config.preset(preset)


def _read_file(path: str, preset: str) -> Config:
    from fastlander.storage.settings_file import read_settings  # here, as few command lines name a file

    return read_settings(path, preset)


def main(argv: Sequence[str] | None = None) -> int:
    """Train as the command line says.

    Exit status:
        0: done.
        1: failed (the loss diverged, the disk is full), or done with output lost. A terminal, pipe or file that takes
            no output stops no run: all its files are written.
        2: bad input; nothing was written.
        130, 143: ended by Ctrl-C or SIGTERM. A run that has begun ends in order and saves its model. A second signal
            ends it at once; its last checkpoint stays.
    """
    return exit_status(PROG, lambda: _train(read_arguments(argv)))


def _train(arguments: Arguments) -> int:
    from fastlander.storage.files import RunFailed
    from fastlander.storage.seeds_directory import is_seeds_directory

    seeds = arguments.seeds is not None
    if arguments.resume is not None:
        seeds = is_seeds_directory(check_path("resume", arguments.resume))
        if arguments.engine != "local" and not seeds:
            raise InputError(f"engine must be local for one run, got {arguments.engine}")
    try:
        return _train_seeds(arguments) if seeds else _train_one(arguments)
    except RunFailed as error:
        print_lines(f"{PROG}: {error}", sys.stderr)
        return FAILED


def _train_one(arguments: Arguments) -> int:
    # Importing numba, and torch where it is needed, makes a million objects that stay. The garbage collector would
    # search them many times during the imports.
    gc.disable()
    _compile_ahead(arguments.config)
    from fastlander.environments import import_module
    from fastlander.training.trainer import Trainer  # here, so that --help does not wait for numba

    gc.freeze()
    gc.enable()
    if arguments.resume is None:
        for module in arguments.imports:
            import_module(module)
        trainer = Trainer(arguments.config)
    else:
        trainer = Trainer.resume(arguments.resume, imports=arguments.imports, progress=arguments.config.progress)
    result = trainer.run(show=None if arguments.quiet else print_lines)
    return 128 + result.signal if result.interrupted else 0


def _compile_ahead(config: Config) -> None:
    """If the lander is not compiled yet, let helpers begin with the learner."""
    if config.is_native:
        from fastlander.lander.compiled import start_helpers

        start_helpers("learner", "loops", "lanes")


def _train_seeds(arguments: Arguments) -> int:
    from fastlander.training.multi_seed import resume_seeds, train_seeds  # without torch, which the workers import

    progress = arguments.config.progress
    show = print_lines if progress else lambda line: None
    common = {"imports": arguments.imports, "engine": arguments.engine, "ray_address": arguments.ray_address}
    if arguments.resume is None:
        seeds = train_seeds(arguments.config, arguments.seeds, show, compact=arguments.compact, **common)
    else:
        seeds = resume_seeds(arguments.resume, show, progress=progress, **common)
    if not arguments.quiet:
        print_lines(seeds.summary())
    return 128 + seeds.signal if seeds.interrupted else FAILED if seeds.failed else 0


if __name__ == "__main__":
    end_process(main())
