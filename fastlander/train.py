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
from fastlander.config import PRESETS, Config, setting_types
from fastlander.terminal import FAILED, exit_status, print_lines
from fastlander.validation import Count, InputError, check

PROG = "fastlander train"


@dataclass(frozen=True)
class Arguments:
    """Train a DQN on LunarLander (or another environment with flat observations and discrete actions)."""

    preset: Literal["default", "best", "lecture"] = "default"
    """Settings to start from: default (solves fastest), best (best lander of two million steps) or the lecture's."""
    seeds: Count | None = None
    """Agents to train at once, with the seeds from --seed on. Prints statistics over the seeds. None is one agent."""
    resume: str | None = None
    """Directory of a run that stopped early and is to go on. No setting may be given with it but --no-progress."""
    imports: Imports = ()
    """Python module to import first, as it registers the environment or a resumed run's env_id names it. May repeat."""
    config: Annotated[Config, tyro.conf.OmitArgPrefixes] = field(default_factory=Config)


def read_arguments(argv: Sequence[str] | None = None) -> Arguments:
    """The arguments of a command line: the settings of its preset, changed by its other flags."""
    args = list(sys.argv[1:] if argv is None else argv)
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    first.add_argument("--preset", choices=PRESETS, default="default")
    try:
        preset = first.parse_known_args(args)[0].preset
    except argparse.ArgumentError:
        preset = "default"  # tyro refuses the preset below, with the same kind of line as for every other flag
    hints: dict[str, Any] = {"preset": Literal[tuple(PRESETS)], "seeds": Count | None, **setting_types()}
    arguments = parse(Arguments, args, PROG, hints, default=Arguments(preset, config=Config.preset(preset)))
    check("seeds", Count | None, arguments.seeds)
    if arguments.resume is not None:
        plain = dataclasses.replace(arguments.config, progress=True)
        if arguments.preset != "default" or arguments.seeds is not None or plain != Config():
            raise InputError("--resume takes no other setting but --no-progress and --import: the run has its settings")
    return arguments


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
    # Importing torch and numba makes a million objects that stay. The garbage collector would search them many times
    # during the imports, and once more at exit: 0.6 s in all.
    gc.disable()
    from fastlander.environments import import_module
    from fastlander.storage.run_directory import RunFailed
    from fastlander.training.trainer import Trainer  # here, so that --help does not wait for torch and numba

    gc.freeze()
    gc.enable()
    if arguments.resume is None:
        for module in arguments.imports:
            import_module(module)
    if arguments.seeds is not None:
        status = _train_seeds(arguments.config, arguments.seeds)
        gc.freeze()
        return status
    try:
        progress = arguments.config.progress
        resumed = arguments.resume
        if resumed is None:
            trainer = Trainer(arguments.config)
        else:
            trainer = Trainer.resume(resumed, imports=arguments.imports, progress=progress)
        result = trainer.run()
    except RunFailed as error:
        print_lines(f"{PROG}: {error}", sys.stderr)
        return FAILED
    print_lines(result.summary())
    gc.freeze()
    return 128 + result.signal if result.interrupted else 0


def _train_seeds(config: Config, count: int) -> int:
    from fastlander.training.multi_seed import train_seeds

    seeds = train_seeds(config, count, print_lines if config.progress else lambda line: None)
    print_lines(seeds.summary())
    return 128 + seeds.signal if seeds.interrupted else FAILED if seeds.failed else 0


if __name__ == "__main__":
    sys.exit(main())
