"""`Trainer(config).run()` and `run_steps()`: the loop of DQN, when it stops, and what it leaves behind."""

import atexit
import contextlib
import math
import signal
import threading
import weakref
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from fastlander.config import Config
from fastlander.environments import make_training_env, module_of
from fastlander.experience.collector import Finished
from fastlander.learner.dqn import DQN
from fastlander.learner.parameters import Parameters
from fastlander.learner.schedules import learning_rate_at
from fastlander.learner.torch_threads import one_torch_thread
from fastlander.storage.files import RunFailed
from fastlander.storage.run_directory import RunDirectory, event_writer
from fastlander.storage.saved_run import read_config
from fastlander.storage.tables import MetricsRow
from fastlander.training.needs import check_run_fits
from fastlander.training.process import Interrupt, interrupts
from fastlander.training.result import Result
from fastlander.training.run_progress import Progress
from fastlander.training.run_state import Run
from fastlander.validation import InputError, check_path
from fastlander.viewing.report_page import report_page

if TYPE_CHECKING:
    from fastlander.training.fused_steps import FusedSteps


class Diverged(RunFailed):
    """The loss is no finite number any more; the weights of the last row of metrics before that were kept."""


def steps(run: Run) -> Iterator[Finished]:
    """Deep Q-learning (Mnih et al. 2015): act, step, store, learn, for ever. Gives the episodes that each step ended.

    The updates that one vector step earned are made beside the next one: while the environments step, nothing else
    needs the network or the buffer. Where a kernel can do the same, it does, up to `run.at_once` steps at a time.
    """
    dqn, collector, buffer = run.dqn, run.collector, run.buffer
    fused = fused_steps(run)
    while True:
        if fused is not None and fused.are_ready():
            yield fused.take()
            continue
        action = run.act()
        dqn.learning_rate = learning_rate_at(run.config, run.timesteps)
        with dqn.learning(buffer, run.updates_due()):
            transitions, finished = collector.step(action)
        buffer.extend_unchecked(transitions)
        run.timesteps += run.env.num_envs
        yield finished


def fused_steps(run: Run) -> "FusedSteps | None":
    """What takes several steps in one kernel, if that can be."""
    if not run.config.is_native:
        return None  # and the lander's kernels are not loaded
    from fastlander.training.fused_steps import FusedSteps

    return FusedSteps(run) if FusedSteps.fits(run) else None


class Trainer:
    """Trains a DQN by a `Config`.

    Args:
        config: the settings; None is the default preset.
        make_dqn: `DQN`, or what makes another learner of the same arguments and methods.

    Examples:
        >>> result = Trainer(Config(num_envs=16)).run()
        >>> result.agent.q_net

        >>> trainer = Trainer(Config(num_envs=16, progress=False))
        >>> for progress in trainer.run_steps():
        ...     if progress.score_mean > 100:
        ...         break
        >>> trainer.result.output_dir
    """

    def __init__(self, config: Config | None = None, make_dqn: Callable[..., DQN] = DQN) -> None:
        self.config = Config() if config is None else config
        self.result: Result | None = None
        """The outcome of `run` or of a loop over `run_steps`, once it has ended."""
        self._make_dqn = make_dqn
        self._resumed: Path | None = None

    @classmethod
    def resume(
        cls,
        directory: str | Path,
        *,
        imports: Sequence[str] = (),
        make_dqn: Callable[..., DQN] = DQN,
        **changes: Any,
    ) -> Self:
        """A trainer that goes on with the run in `directory`, from its newest checkpoint or else from the beginning.

        The outcome is that of a run without a break. On the Box2D backends, whose state cannot be saved, the run goes
        on with new episodes.

        Args:
            directory: of a run that was broken off. This is where the run writes, wherever it was made.
            imports: modules that may be imported, where the run's environment is "module:id". They are imported.
            make_dqn: with which the run began.
            **changes: `progress`, which changes no result.

        Raises:
            ValueError: no run directory, or one that needs a module that is not in `imports`.
        """
        directory = check_path("resume", directory)
        config = read_config(directory, imports)
        trainer = cls(replace(config, output_dir=str(directory), **changes), make_dqn)
        trainer._resumed = directory
        return trainer

    def run(
        self,
        processors: int | None = None,
        interrupted: threading.Event | None = None,
        compact: bool = False,
        show: Callable[[str], None] | None = None,
    ) -> Result:
        """Train until solved, out of budget or interrupted (Ctrl-C), and leave a run directory.

        Output that cannot be written is left out; it stops no run.

        Args:
            processors: how many may be used; this changes no result. None is all that this process may use.
            interrupted: when set, the run ends as on Ctrl-C; None listens to Ctrl-C itself.
            compact: write no report, and no checkpoint at the end of a run that was not interrupted.
            show: takes the summary of the result when the policy is saved, before the report is written.

        Raises:
            ValueError: a setting that cannot be used here (environment, device, output directory, what does not fit in
                memory), or an environment that gives rewards or observations that are no finite numbers.
            RunFailed: the loss is no longer finite (Diverged), or the disk is full (NotWritten).
        """
        for _ in self._run_steps(processors, interrupted, compact, show, MANY):
            pass
        assert self.result is not None
        return self.result

    def run_steps(
        self,
        processors: int | None = None,
        interrupted: threading.Event | None = None,
        compact: bool = False,
        show: Callable[[str], None] | None = None,
    ) -> Generator[Progress, None, None]:
        """`run` as an iterator: train, and give the progress after each vector step.

        What a loop over it does changes no result, and takes its own time only. When the run has ended, all is saved
        and the last progress has a `result`. A loop that is left before, by `break` or by an exception, ends the run as
        Ctrl-C does: with a checkpoint, from which `Trainer.resume` goes on, and with the best policy so far. `result`
        is then in the trainer. Ctrl-C inside the loop ends the run after the next step, and with it the loop.

        An iterator that has a name of its own ends the run when it is closed or deleted, or when the process ends.
        An error in saving is raised by its `close`, and printed where Python itself closes it, as after a `break`:
        `with contextlib.closing(trainer.run_steps()) as steps` raises it.

        Args:
            processors, interrupted, compact, show: as of `run`.

        Raises:
            ValueError, RunFailed: as of `run`, at the first step or later.
        """
        steps = self._run_steps(processors, interrupted, compact, show, 1)
        _OPEN.add(steps)
        return steps

    def _run_steps(
        self,
        processors: int | None,
        interrupted: threading.Event | None,
        compact: bool,
        show: Callable[[str], None] | None,
        at_once: int,
    ) -> Generator[Progress, None, None]:
        config = self.config
        self.result = None
        if config.tensorboard:
            event_writer()  # refuses, where it is not installed, before anything is written
        with contextlib.ExitStack() as stack:
            stack.enter_context(one_torch_thread())
            env = stack.enter_context(contextlib.closing(make_training_env(config)))
            check_run_fits(config, env.single_observation_space.shape[0], int(env.single_action_space.n))
            run = Run(config, env, self._make_dqn, processors)
            run.at_once = at_once
            stack.enter_context(contextlib.closing(run))
            if self._resumed is None:
                directory = RunDirectory.create(config)
            else:
                directory = RunDirectory.reopen(self._resumed, config, run.set_state)
            stack.enter_context(directory)
            stack.enter_context(run.display)
            say_device(run)
            if interrupted is None:
                interrupted = stack.enter_context(interrupts())
            progress, solved = Progress(run, directory.path), run.solved
            training = iter(()) if solved is not None else train(run, directory, progress)
            try:
                for solved in training:
                    if solved is not None or interrupted.is_set():
                        break
                    yield progress
            except GeneratorExit:
                left = Interrupt()
                left.set()
                self.result = finish(run, directory, False, left, compact, show)
                raise
            except InputError:
                if run.dqn.updates:
                    directory.save_model(Parameters(run.dqn.sizes, run.dqn.parameters))
                else:
                    directory.discard()
                raise
            self.result = progress.result = finish(run, directory, bool(solved), interrupted, compact, show)
        yield progress


MANY = 1_000
"""Vector steps that may be taken at once where nobody looks at each of them. Fewer are, as episodes end."""
LARGE_NETWORK = 50_000
"""Parameters from which on a GPU makes updates faster than a CPU (`benchmarks/bench_cuda.py`)."""
_OPEN: weakref.WeakSet[Generator[Progress, None, None]] = weakref.WeakSet()
"""The iterators of `Trainer.run_steps`."""


@atexit.register
def _close_open_runs() -> None:
    """End the runs whose iterators are open, while the modules that save them are still there."""
    for steps in list(_OPEN):
        with contextlib.suppress(ValueError):  # One that another thread is in goes on to the end of the process.
            steps.close()


def say_device(run: Run) -> None:
    """Say so where a GPU was taken because there is one, for a network that a CPU trains faster."""
    if run.config.device == "auto" and run.dqn.on_gpu and len(run.dqn.parameters) < LARGE_NETWORK:
        run.display.say("the network is on the GPU; for one of this size --device cpu is faster")


def train(run: Run, directory: RunDirectory, progress: Progress) -> Iterator[bool | None]:
    """Take steps until the run has ended. Gives after each step whether it is solved; None while it goes on."""
    for finished in steps(run):
        solved, progress.row, judged = False, None, len(run.judge.judgements)
        if finished.scores:
            row_due = run.count(finished)
            solved = judge_if_due(run)
            if row_due:
                progress.row = log(run, directory)
        run.follow_schedules()
        progress.finished = finished
        progress.evaluation = run.judge.judgements[-1].evaluation if len(run.judge.judgements) > judged else None
        yield True if solved else False if run.out_of_budget() else None
        if directory.checkpoint_due():
            save_checkpoint(run, directory)


def judge_if_due(run: Run) -> bool:
    """Judge the greedy policy if that is due; whether the run is solved now."""
    if run.judge.is_due(run.scores, run.timesteps):
        with run.clock.aside():
            return run.judge.judge(run.timesteps)
    return run.judge.solved_in_training(run.scores)


def log(run: Run, directory: RunDirectory) -> MetricsRow:
    """Show and write a row of metrics, and give it. Raises Diverged if the loss is no finite number."""
    loss = float(run.dqn.loss)
    if not math.isfinite(loss) and run.dqn.updates:
        run.dqn.parameters = run.last_good
        path = directory.save_model(Parameters(run.dqn.sizes, run.last_good))
        raise Diverged(f"the loss became {loss} by step {run.timesteps:,}; the last good weights are in {path}")
    run.last_good[:] = run.dqn.parameters
    if not run.logged_at and not run.config.is_lander:
        run.display.say(run.config.origin())
    row = run.metrics_row()
    directory.log(row)
    run.display.show(row)
    return row


def save_checkpoint(run: Run, directory: RunDirectory) -> None:
    """Write a checkpoint; where that fails, warn and go on."""
    try:
        directory.save_checkpoint(run.timesteps, run.get_state())
    except OSError as error:
        before = "the one before stays" if directory.last_checkpoint() else "there is none yet"
        run.display.warn(f"checkpoint not written ({error.strerror or error}); {before}")


def finish(
    run: Run,
    directory: RunDirectory,
    solved: bool,
    interrupted: threading.Event,
    compact: bool = False,
    show: Callable[[str], None] | None = None,
) -> Result:
    """Choose the policy to keep, the confirmed or best judged one or else the last, and write all that stays.

    The report comes last: `show` has the summary by then.
    """
    broken_off = interrupted.is_set()
    steps_per_second = run.clock.mean_rate(run.timesteps)
    run.solved = None if broken_off else solved
    if broken_off or not compact:
        save_checkpoint(run, directory)
    if not broken_off:
        with run.clock.aside():
            solved = judge_at_the_end(run, solved)
    if run.timesteps > run.logged_at:
        log(run, directory)
    if run.judge.best_parameters is not None:
        run.dqn.parameters = run.judge.best_parameters
    if not broken_off:
        run.display.finish()
    network = run.dqn.network(run.dqn.parameters)
    directory.save_model(network)
    directory.save_episodes(run.scores, run.judge.judgements, run.judge.kept)
    result = Result(
        learned=run.learned(network),
        solved=solved,
        interrupted=interrupted.is_set(),
        timesteps=run.timesteps,
        updates=run.dqn.updates,
        seconds=run.clock.seconds(),
        steps_per_second=steps_per_second,
        evaluation=run.judge.best,
        output_dir=directory.path,
        config=run.config,
        signal=getattr(interrupted, "signal", signal.SIGINT),
    )
    if show is not None:
        show(result.summary())
    if run.judge.judgements and not compact:
        directory.save_report(report_page(directory.path, module_of(run.config.env_id)))
    return result


def judge_at_the_end(run: Run, solved: bool) -> bool:
    """Judge what a run that was not interrupted ends with; whether it is solved."""
    if not solved and run.config.candidates:
        solved = run.judge.select(run.candidates.all(run.timesteps), run.timesteps)
    elif not solved and run.config.solved_by != "training":
        solved = run.judge.judge(run.timesteps)
    if run.judge.best is None:
        run.judge.judge(run.timesteps)  # This one decides nothing: the report and the summary show it.
    return solved
