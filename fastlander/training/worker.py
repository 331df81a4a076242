"""A worker process: trains one run after the other for the process that started it (`fastlander.training.pool`).

Messages are lines of JSON on its standard input and output. The first one, the setup, holds besides plain values what
only Python can say (`objects`): a pickle, from the process that started this one and from nobody else.
"""

import base64
import contextlib
import gc
import json
import os
import pickle
import queue
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TextIO

from fastlander.terminal import SIGNALS, shortage
from fastlander.validation import InputError

if TYPE_CHECKING:
    from fastlander.config import Config


EngineName = Literal["local", "ray"]
"""What does the jobs: `local`, processes of this machine, or `ray`, actors of a Ray cluster."""


class Stop(threading.Event):
    """Set when the seed that is trained shall end, in order. The process then ends too."""

    signal = signal.SIGINT


class Setup(NamedTuple):
    """What a worker has to know before its first seed."""

    config: str  # `Config.to_json`, by which `prepare` checks and compiles; each job has its own
    imports: list[str]  # modules to import
    objects: str  # base64 of a pickle by cloudpickle: `make_dqn` or None, Gymnasium's spec of the environment or None


def training_job(number: int, config: "Config", compact: bool) -> dict[str, Any]:
    """The order to train by `config`, whose `output_dir` must be set, or to go on with the run that is there.

    Args:
        number: of the job, which the reply carries as its "id".
        config: the settings.
        compact: leave out the report, and the checkpoints when the run has ended.

    Returns:
        For `Pool.run`. The reply to it has "row" and "line", or "failed" and "bad_input", or "interrupted".
    """
    return {"id": number, "config": config.to_json(), "compact": compact}


def main() -> None:
    """Serve until standard input ends, which it does also when the process at its other end is killed."""
    stop, jobs = Stop(), queue.SimpleQueue()

    def on_sigterm(*_: object) -> None:
        stop.set()
        jobs.put({})  # wakes a process that waits for a job

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process; the one that started this one decides
    signal.signal(signal.SIGTERM, on_sigterm)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    orders, replies = _take_over(0, os.O_RDONLY, "r"), _take_over(1, os.O_WRONLY, "w")
    os.dup2(2, 1)  # what environments print
    if hasattr(os, "register_at_fork"):  # an environment's process must not keep the pipes open
        os.register_at_fork(after_in_child=lambda: [os.close(file.fileno()) for file in (orders, replies)])
    threading.Thread(target=_listen, args=(orders, jobs, stop), daemon=True).start()

    def reply(message: dict[str, Any]) -> None:
        replies.write(json.dumps(message) + "\n")
        replies.flush()

    with contextlib.suppress(BrokenPipeError):
        _serve(jobs, reply, stop)
    _leave(0)


def _take_over(descriptor: int, flags: int, mode: str) -> TextIO:
    """The pipe that a standard descriptor is, as a file of its own; the descriptor leads nowhere then."""
    file = os.fdopen(os.dup(descriptor), mode, encoding="utf-8")
    nowhere = os.open(os.devnull, flags)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
    return file


def _listen(orders: TextIO, jobs: queue.SimpleQueue, stop: Stop) -> None:
    """Pass orders on; end the process at once when they end."""
    for line in orders:
        order = json.loads(line)
        if "stop" in order:
            stop.signal = signal.Signals(order["stop"])
            stop.set()
        jobs.put(order)
    _leave(0)


def _leave(status: int) -> None:
    """End the process without what Python does at an exit, which takes long and waits for threads."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.flush()
    os._exit(status)


def _serve(jobs: queue.SimpleQueue, reply: Any, stop: Stop) -> None:
    try:
        trainee = Trainee(Setup(**jobs.get()))
    except InputError as error:
        reply({"refused": str(error)})
        return
    except Exception as error:
        reply({"broken": shortage(error) or f"{type(error).__name__}: {error}"})
        return
    reply({"ready": True})
    while not stop.is_set():
        job = jobs.get()
        if "prepare" in job:
            try:
                reply({"prepared": trainee.prepare(job["prepare"])})
            except InputError as error:
                reply({"refused": str(error)})
        elif "id" in job:
            reply({"id": job["id"], **trainee.train(job, stop)})


class Trainee:
    """Trains seeds by one setup.

    Raises:
        ValueError: a module that cannot be imported, or an environment that this process cannot make.
    """

    def __init__(self, setup: Setup) -> None:
        gc.disable()  # as `fastlander.train` does, and for the same reason
        from fastlander.config import Config
        from fastlander.environments import import_module, module_of
        from fastlander.learner.dqn import DQN
        from fastlander.training.trainer import Trainer

        gc.freeze()
        gc.enable()
        self._trainer = Trainer
        self.config = Config.from_json(setup.config)
        self._imports = module_of(self.config.env_id)
        for module in setup.imports:
            import_module(module)
        make_dqn, spec = self._objects(setup.objects)
        self._make_dqn = make_dqn or DQN
        if spec is not None:
            import gymnasium as gym

            gym.registry.setdefault(spec.id, spec)
        self._told = False  # whether a traceback was printed

    def _objects(self, text: str) -> tuple[Any, Any]:
        try:
            return pickle.loads(base64.b64decode(text))
        except Exception as error:
            got = f"{type(error).__name__}: {error}"
            raise InputError(f"make_dqn and env_id must be importable in other processes, got {got}") from None

    def prepare(self, most: int) -> int:
        """Check the settings, compile all kernels or load them: how many runs fit in memory at once, at most `most`.

        Raises:
            ValueError: a setting that cannot be used here.
        """
        from contextlib import closing

        from fastlander.environments import make_training_env
        from fastlander.learner.torch_threads import one_torch_thread
        from fastlander.storage.run_directory import event_writer
        from fastlander.training.needs import runs_that_fit
        from fastlander.training.run_state import Run

        config = self.config
        if config.tensorboard:
            event_writer()
        with one_torch_thread(), closing(make_training_env(config)) as env:
            sizes = env.single_observation_space.shape[0], int(env.single_action_space.n)
            at_once = runs_that_fit(config, *sizes, most)
            with closing(Run(config, env, self._make_dqn, processors=1)) as run:
                for _ in range(config.n_step):
                    run.buffer.extend_unchecked(run.collector.step(run.act())[0])
                if len(run.buffer):
                    run.dqn.learn(run.buffer, 1)
        return at_once

    def train(self, job: dict[str, Any], stop: Stop) -> dict[str, Any]:
        """Train a seed, or go on with it: a row of seeds.csv and a line, or why there is none."""
        try:
            return self._train(job, stop)
        except Exception as error:
            from fastlander.storage.files import RunFailed

            if isinstance(error, RunFailed | InputError):
                return {"failed": str(error), "bad_input": isinstance(error, InputError)}
            if not self._told:
                self._told = True
                traceback.print_exc()
            return {"failed": shortage(error) or f"{type(error).__name__}: {error}", "bad_input": False}

    def _train(self, job: dict[str, Any], stop: Stop) -> dict[str, Any]:
        from fastlander.config import Config
        from fastlander.storage.files import CHECKPOINT_DIRECTORY, CONFIG_FILE, remove
        from fastlander.storage.run_directory import remove_run_files

        config = Config.from_json(job["config"])
        directory = Path(config.output_dir)
        if (directory / CONFIG_FILE).exists():
            trainer = self._trainer.resume(directory, imports=self._imports, make_dqn=self._make_dqn, progress=False)
        else:
            remove_run_files(directory)  # of a process that was killed before the run had begun
            trainer = self._trainer(config, self._make_dqn)
        result = trainer.run(processors=1, interrupted=stop, compact=job["compact"])
        if result.interrupted:
            return {"interrupted": True}
        if job["compact"]:
            remove(directory / CHECKPOINT_DIRECTORY)
        mean = None if result.evaluation is None else result.evaluation.mean
        row = [config.seed, result.solved, result.timesteps, result.updates, result.seconds, mean]
        return {"row": row, "line": result.summary().splitlines()[0]}
