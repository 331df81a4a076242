"""`Trainer(config).run()`: a run in its directory, with all that has to be closed and given back after it."""

import contextlib
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from fastlander.config import Config
from fastlander.environments import make_vec_env
from fastlander.storage.run_directory import RunDirectory, event_writer, read_config
from fastlander.training.process import interrupts, one_torch_thread
from fastlander.training.result import Result
from fastlander.training.run_state import Run
from fastlander.validation import InputError


class Trainer:
    """Trains a DQN by a `Config`, in a loop over vector steps.

    Examples:
        >>> result = Trainer(Config(num_envs=16)).run()
        >>> result.agent.q_net
    """

    def __init__(self, config: Config | None = None) -> None:
        self.config = Config() if config is None else config
        self._resumed: Path | None = None

    @classmethod
    def resume(cls, directory: str | Path, **changes: Any) -> Self:
        """A trainer that goes on with the run in `directory`, from its newest checkpoint or else from the beginning.

        What the run comes to is what it would have come to without a break; on the Box2D backends, whose state cannot
        be saved, it goes on with new episodes.

        Args:
            directory: of a run that was broken off.
            **changes: `progress`, which decides nothing.

        Raises:
            ValueError: no run directory.
        """
        trainer = cls(replace(read_config(Path(directory)), **changes))
        trainer._resumed = Path(directory)
        return trainer

    def run(self, processors: int | None = None, interrupted: threading.Event | None = None) -> Result:
        """Train until solved, out of budget or interrupted (Ctrl-C), and leave a run directory.

        Args:
            processors: that may be used, which changes no result; None is all there are for this process.
            interrupted: when set, the run ends as on Ctrl-C; None listens to Ctrl-C itself.

        Raises:
            ValueError: a setting that cannot be used here (environment, device, output directory), or an environment
                that gives rewards or observations that are no finite numbers.
            RunFailed: the loss is no longer finite (Diverged), or the disk is full (NotWritten).
        """
        config = self.config
        if config.tensorboard:
            event_writer()  # refuses, where it is not installed, before anything is written
        with contextlib.ExitStack() as stack:
            stack.enter_context(one_torch_thread())
            env = make_vec_env(
                config.env_id, config.num_envs, backend=config.backend, max_episode_steps=config.max_episode_steps
            )
            stack.enter_context(contextlib.closing(env))
            run = Run(config, env, processors)
            stack.enter_context(contextlib.closing(run))
            if self._resumed is None:
                directory = stack.enter_context(RunDirectory.create(config))
            else:
                directory, state = RunDirectory.reopen(self._resumed, config)
                stack.enter_context(directory)
                if state is not None:
                    run.set_state(state)
            stack.enter_context(run.display)
            if interrupted is None:
                interrupted = stack.enter_context(interrupts())
            try:
                solved = run.train(directory, interrupted)
            except InputError:
                if run.dqn.updates:
                    directory.save_model(run.dqn.q_network)
                else:
                    directory.discard()
                raise
            return run.finish(directory, solved, interrupted.is_set())
