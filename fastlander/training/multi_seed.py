"""`train_seeds`: an agent per seed, several at a time, and statistics over the seeds."""

import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy import stats

from fastlander.config import Config
from fastlander.environments import make_vec_env
from fastlander.kernels.threads import available_processors
from fastlander.learner.dqn import DQN
from fastlander.memory import check_memory
from fastlander.storage.files import fresh_path, make_empty_directory, write_atomically
from fastlander.storage.run_directory import RunFailed
from fastlander.storage.tables import table
from fastlander.terminal import print_lines
from fastlander.training.clock import Clock
from fastlander.training.needs import BYTES_PER_SEED, check_run_fits
from fastlander.training.process import interrupts, one_torch_thread
from fastlander.training.progress import SeedsBar
from fastlander.training.result import Result
from fastlander.training.trainer import Trainer
from fastlander.validation import Count, Seed, check

SEEDS_FILE = "seeds.csv"
COLUMNS = ("seed", "solved", "timesteps", "updates", "seconds", "eval_mean")
RESAMPLES = 10_000


@dataclass(frozen=True)
class Seeds:
    """The outcomes of several seeds, in the order of the seeds."""

    results: dict[int, Result]
    """By seed. A seed that failed or was not begun has none."""
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
        runs = list(self.results.values())
        solved = [run for run in runs if run.solved]
        lines = [f"{len(solved)} of {len(runs)} seeds solved, in {self.seconds:.1f} s"]
        lines += [f"seed {seed} stopped: {error}" for seed, error in self.failed.items()]
        rows = [
            ("greedy mean return", [run.evaluation.mean for run in runs if run.evaluation is not None], ",.1f"),
            ("steps until solved", [run.timesteps for run in solved], ",.0f"),
            ("seconds until solved", [run.seconds for run in solved], ",.2f"),
        ]
        for name, values, form in rows:
            if len(values) > 1:
                mean, low, high = interquartile_mean(values)
                if name == rows[0][0]:
                    lines.append(f"{'':<22}{'IQM':>10}  95% interval over seeds")
                lines.append(f"{name:<22}{mean:>10{form}}  {low:{form}} to {high:{form}}")
        return "\n".join([*lines, f"Saved in {self.output_dir}"])


def interquartile_mean(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean of the middle half, and its 95% percentile bootstrap interval (Agarwal et al. 2021)."""

    def middle(sample: np.ndarray, axis: int) -> np.ndarray:
        return stats.trim_mean(sample, 0.25, axis=axis)

    sample = np.asarray(values, np.float64)
    interval = stats.bootstrap(
        (sample,), middle, n_resamples=RESAMPLES, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    return float(middle(sample, 0)), float(interval.low), float(interval.high)


def train_seeds(
    config: Config, count: int, show: Callable[[str], None] = print_lines, make_dqn: Callable[..., DQN] = DQN
) -> Seeds:
    """Train `count` agents with the seeds from `config.seed` on, one per processor at a time.

    Each run has the result that it would have alone. Ctrl-C ends the open runs as it ends a single one.

    Args:
        config: the settings; `output_dir` becomes the parent of the run directories.
        count: seeds.
        show: takes a line for each run that ends.
        make_dqn: as of `Trainer`.

    Raises:
        ValueError: a setting that cannot be used here, before anything is written.
    """
    count = check("seeds", Count, count)
    check_memory("seeds", count, count * BYTES_PER_SEED)
    seeds = range(config.seed, config.seed + count)
    check("the last seed", Seed, seeds[-1])
    at_once = min(count, available_processors())
    with closing(make_vec_env(config.env_id, config.num_envs, backend=config.backend)) as env:
        sizes = env.single_observation_space.shape[0], int(env.single_action_space.n)
        check_run_fits(config, *sizes, runs=at_once)
        make_dqn(config, *sizes, processors=1)
        directory = config.output_dir
        parent = fresh_path(config.env_id, f"seeds{seeds[0]}-{seeds[-1]}") if directory is None else Path(directory)
        make_empty_directory(parent)
        env.reset(seed=0)  # compiles, where that is still to be done, before there are several threads to do it

    results: dict[int, Result] = {}
    failed: dict[int, RunFailed] = {}
    clock = Clock()
    with one_torch_thread(), interrupts() as interrupted, SeedsBar(config, count) as bar:

        def train(seed: int) -> None:
            if interrupted.is_set():
                return
            own = replace(config, seed=seed, output_dir=str(parent / f"seed{seed}"), progress=False)
            try:
                result = results[seed] = Trainer(own, make_dqn).run(processors=1, interrupted=interrupted)
            except RunFailed as error:
                failed[seed] = error
                show(f"seed {seed}: {error}")
            except BaseException:
                interrupted.set()
                raise
            else:
                show(f"seed {seed}: {result.summary().splitlines()[0]}")
            bar.advance()

        with ThreadPoolExecutor(at_once, thread_name_prefix="seed") as pool:
            list(pool.map(train, seeds))
    ordered = {seed: results[seed] for seed in seeds if seed in results}
    write_table(parent / SEEDS_FILE, ordered)
    return Seeds(ordered, failed, interrupted.is_set(), clock.seconds(), parent, interrupted.signal)


def write_table(path: Path, results: dict[int, Result]) -> None:
    """Write seeds.csv: a row per run."""
    rows = (
        (seed, run.solved, run.timesteps, run.updates, f"{run.seconds:.3f}", run.evaluation and run.evaluation.mean)
        for seed, run in results.items()
    )
    write_atomically(path, table(COLUMNS, rows))
