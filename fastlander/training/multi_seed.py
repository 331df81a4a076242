"""`train_seeds`: an agent per seed, in a process per processor, and statistics over the seeds."""

import base64
import contextlib
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import cloudpickle

from fastlander.config import Config
from fastlander.environments import find_spec, import_module, module_of
from fastlander.evaluation.statistics import interquartile_mean
from fastlander.memory import check_memory
from fastlander.storage.files import RunFailed, check_empty
from fastlander.storage.seeds_directory import SeedRow, SeedsDirectory, seeds_path
from fastlander.terminal import print_lines
from fastlander.training.clock import Clock
from fastlander.training.engines import Engine, check_engine, open_engine
from fastlander.training.pool import Message
from fastlander.training.process import interrupts
from fastlander.training.progress import SeedsBar
from fastlander.training.worker import Setup, training_job
from fastlander.validation import Count, InputError, Seed, check, check_path

if TYPE_CHECKING:
    from fastlander.learner.dqn import DQN
    from fastlander.training.result import Result

BYTES_PER_SEED = 1_000
"""Memory that one of several seeds takes in the process that waits for them, at least."""
COMPACT_FROM = 50
"""Seeds from which on their runs are compact, unless something else is asked for."""


class Results(Mapping[int, "Result"]):
    """The `Result` of each seed that has ended, by seed. Each is read from its run directory when it is asked for."""

    def __init__(self, directory: SeedsDirectory) -> None:
        self._directory, self._read = directory, {}

    def __len__(self) -> int:
        return len(self._directory.rows)

    def __iter__(self) -> Iterator[int]:
        return iter(self._directory.rows)

    def __getitem__(self, seed: int) -> "Result":
        if seed not in self._read:
            from fastlander.training.result import read_result

            row, config = self._directory.rows[seed], self._directory.config_of(seed)
            self._read[seed] = read_result(config, row.solved, row.timesteps, row.updates, row.seconds)
        return self._read[seed]


@dataclass(frozen=True)
class Seeds:
    """The outcomes of several seeds, in the order of the seeds."""

    rows: dict[int, SeedRow]
    """By seed: the row of seeds.csv. A seed that failed, was interrupted or was not begun has none."""
    results: Mapping[int, "Result"]
    """By seed, for those that have a row: what its run would have given alone, read from its directory when needed."""
    failed: dict[int, RunFailed]
    """By seed: why it failed."""
    interrupted: bool
    """Whether Ctrl-C or SIGTERM ended it."""
    seconds: float
    """Wall clock of the whole."""
    output_dir: Path
    """Holds seeds.csv and a run directory per seed."""
    signal: int = signal.SIGINT
    """If it was interrupted: by which signal, SIGINT (Ctrl-C) or SIGTERM."""

    def summary(self) -> str:
        """The statistics over seeds, as a table."""
        rows = list(self.rows.values())
        solved = [row for row in rows if row.solved]
        lines = [f"{len(solved)} of {len(rows)} seeds solved, in {self.seconds:.1f} s"]
        lines += [f"seed {seed} stopped: {error}" for seed, error in self.failed.items()]
        table = [
            ("greedy mean return", [row.eval_mean for row in rows if row.eval_mean is not None], ",.1f"),
            ("steps until solved", [row.timesteps for row in solved], ",.0f"),
            ("seconds until solved", [row.seconds for row in solved], ",.2f"),
        ]
        for name, values, form in table:
            if len(values) > 1:
                mean, low, high = interquartile_mean(values)
                if name == table[0][0]:
                    lines.append(f"{'':<22}{'IQM':>10}  95% interval over seeds")
                lines.append(f"{name:<22}{mean:>10{form}}  {low:{form}} to {high:{form}}")
        if self.interrupted:
            lines.append(f"Interrupted: --resume {self.output_dir} goes on")
        return "\n".join([*lines, f"Saved in {self.output_dir}"])


def train_seeds(
    config: Config,
    count: int,
    show: Callable[[str], None] = print_lines,
    make_dqn: "Callable[..., DQN] | None" = None,
    *,
    imports: Sequence[str] = (),
    compact: bool | None = None,
    engine: str = "local",
    ray_address: str | None = None,
) -> Seeds:
    """Train `count` agents with the seeds from `config.seed` on, one per processor at a time.

    Each run has the result that it would have alone. Ctrl-C ends the open runs as it ends a single one.

    Args:
        config: the settings; `output_dir` becomes the parent of the run directories.
        count: seeds.
        show: takes a line for each run that ends.
        make_dqn: as of `Trainer`; it is pickled for the processes that train. None is `DQN`.
        imports: modules that the processes import first, as they register the environment.
        compact: leave out the report and the checkpoints of each seed that has ended. None does from 50 seeds on.
        engine: "local", processes of this machine, or "ray", actors of a Ray cluster. The results are the same.
        ray_address: of the cluster, or "auto". None starts one on this machine, which ends with the seeds.

    Raises:
        ValueError: a setting that cannot be used here, before anything is written; or all seeds failed, as their
            environment gave what is no finite number.
        RunFailed: the processes cannot be started, or seeds.csv cannot be written.
    """
    count = check("seeds", Count, count)
    check_engine(engine, ray_address)
    check_memory("seeds", count, count * BYTES_PER_SEED)
    check("the last seed", Seed, config.seed + count - 1)
    compact = count >= COMPACT_FROM if check("compact", bool | None, compact) is None else compact
    check_empty(seeds_path(config, count))
    create = partial(SeedsDirectory.create, config, count, compact)
    start = partial(open_engine, engine, size=count, ray_address=ray_address)
    return _train(config, create, start, count, show, make_dqn, imports)


def resume_seeds(
    directory: str | Path,
    show: Callable[[str], None] = print_lines,
    make_dqn: "Callable[..., DQN] | None" = None,
    *,
    imports: Sequence[str] = (),
    progress: bool = True,
    engine: str = "local",
    ray_address: str | None = None,
) -> Seeds:
    """Train the seeds that are missing in a directory of `train_seeds`. The outcome is that without a break.

    A seed that has ended stays as it is. One that was broken off goes on from its checkpoint, if it has one.

    Args:
        directory: of the seeds.
        show: takes a line for each run that ends.
        make_dqn: as it was given to `train_seeds`.
        imports: modules that may be imported, where the environment is "module:id". They are imported.
        progress: show a bar on a terminal.
        engine, ray_address: as of `train_seeds`. Another engine than before gives the same results.

    Raises:
        ValueError: no directory of seeds, or one with other settings or damaged files. Nothing is changed then.
        RunFailed: as for `train_seeds`.
    """
    check_engine(engine, ray_address)
    reopened = SeedsDirectory.reopen(check_path("resume", directory), imports)
    config = replace(reopened.config, progress=progress)
    with reopened:
        missing = len(reopened.seeds) - len(reopened.rows)
        start = partial(open_engine, engine, size=missing, ray_address=ray_address)
        return _train(config, lambda: reopened, start, missing, show, make_dqn, imports)


def _train(
    config: Config,
    open_directory: Callable[[], SeedsDirectory],
    start: Callable[..., Engine],
    count: int,
    show: Callable[[str], None],
    make_dqn: "Callable[..., DQN] | None",
    imports: Sequence[str],
) -> Seeds:
    """Start an engine, have it check the settings, and only then open the directory and train what is missing in it."""
    clock, failed, refused = Clock(), {}, []
    setup = _setup(config, make_dqn, imports)
    with start(setup=setup) as engine:
        if count:
            engine.prepare()
        with open_directory() as directory, interrupts() as interrupted, SeedsBar(config, len(directory.seeds)) as bar:
            bar.advance(len(directory.rows))
            if not config.is_lander:
                show(config.origin())
            for message in engine.run(_jobs(directory), interrupted):
                _take(message, directory, failed, show)
                refused += [message["failed"]] if message.get("bad_input") else []
                bar.advance(0 if "interrupted" in message else 1)
            if len(refused) == len(directory.seeds):
                directory.discard()
                raise InputError(refused[0])
            directory.finish()
    failed = dict(sorted(failed.items()))
    results = Results(directory)
    return Seeds(
        directory.rows, results, failed, interrupted.is_set(), clock.seconds(), directory.path, interrupted.signal
    )


def _setup(config: Config, make_dqn: "Callable[..., DQN] | None", imports: Sequence[str]) -> Setup:
    """What the workers have to know. An environment that only this process has registered is sent to them.

    Raises:
        ValueError: an environment that is not known, or a `make_dqn` that cannot be pickled.
    """
    for module in imports:
        import_module(module)
    spec = find_spec(config.env_id)
    try:
        objects = cloudpickle.dumps((make_dqn, None))
    except Exception as error:
        raise InputError(
            f"make_dqn must be an object that can be pickled for other processes, got {make_dqn!r} "
            f"({type(error).__name__}: {error})"
        ) from None
    with contextlib.suppress(Exception):  # The workers can do without it if a module registers the environment.
        objects = cloudpickle.dumps((make_dqn, spec))
    own = replace(config, output_dir=None, progress=False)
    return Setup(own.to_json(), [*module_of(config.env_id), *imports], base64.b64encode(objects).decode())


def _jobs(directory: SeedsDirectory) -> list[Message]:
    missing = [seed for seed in directory.seeds if seed not in directory.rows]
    return [training_job(seed, directory.config_of(seed), directory.compact) for seed in missing]


def _take(
    message: Message, directory: SeedsDirectory, failed: dict[int, RunFailed], show: Callable[[str], None]
) -> None:
    """Note what a worker says of a seed."""
    seed: int = message["id"]
    if "failed" in message:
        failed[seed] = RunFailed(message["failed"])
        show(f"seed {seed}: {message['failed']}")
    elif "row" in message:
        directory.add(SeedRow(*message["row"]))
        show(f"seed {seed}: {message['line']}")
