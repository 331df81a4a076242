"""Damage to every file of a run directory, by seed, and what every command makes of it.

    python -m tests.mutations --seed 0 --count 300

Four small runs are made: a finished one, one that was broken off, one that had just begun, and others to take files
from. Each mutation is one change to one file (or folder) of one of the first three. Then every command runs on the
directory, in a process of its own with a limit of time. A command may refuse with one line and status 2, or succeed
with the result that it has without the mutation. Everything else is a fault, and the exit status is 1 then.
"""

import argparse
import collections
import contextlib
import csv
import functools
import hashlib
import importlib.util
import io
import multiprocessing
import multiprocessing.connection
import os
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

from fastlander import Config, Trainer, cli
from fastlander.storage import run_directory
from fastlander.storage.run_directory import RunDirectory
from fastlander.training import trainer
from tests.mutators import mutate

SETTINGS = {
    "num_envs": 4, "total_timesteps": 4_000, "eval_episodes": 3, "learning_starts": 500, "buffer_size": 1_000,
    "hidden_sizes": (16,), "eval_gate": -1e9, "eval_interval": 1_500, "checkpoint_interval": 1e-9, "progress": False,
}  # fmt: skip
BROKEN_AT = 2_700  # timesteps
RUNS = {"finished": 2, "broken": 2, "begun": 1}  # how often each is mutated
LIMIT = 120.0  # seconds for all commands on one mutation
WORKERS = 2
TIMES = ("steps_per_second", "seconds")  # columns of metrics.csv that differ between equal runs
TABLES = ("episodes.csv", "evaluations.csv", "metrics.csv")  # a report shows them as they are
GOOD, FAULTS = (
    ("same", "refused", "shown"),
    ("traceback", "crash", "hang", "other result", "no clear line", "changed though refused", "wrote elsewhere"),
)


class Finding(NamedTuple):
    """What a command made of a mutation."""

    command: str
    verdict: str  # one of GOOD or FAULTS
    detail: str


class Outcome(NamedTuple):
    """What a command did: exit status, what it printed, and a digest of what it left."""

    status: int | str  # "traceback" if it raised
    out: str
    err: str
    left: str


def make_runs(base: pathlib.Path) -> None:
    """Make the runs that are mutated, and others to take files from, in the directory `base`."""
    share = run_directory.LARGEST_SHARE
    run_directory.LARGEST_SHARE = 0.5  # so that the broken one has several checkpoints
    for folder, seed in (("", 0), ("others", 1)):
        Trainer(Config(**SETTINGS, seed=seed, output_dir=base / folder / "finished")).run()
        break_off(Config(**SETTINGS, seed=seed, output_dir=base / folder / "broken"))
        with RunDirectory.create(Config(**SETTINGS, seed=seed, output_dir=base / folder / "begun")):
            pass
    run_directory.LARGEST_SHARE = share


def break_off(config: Config) -> None:
    """A run that ends as by SIGKILL: nothing more is written."""

    class Broken(Exception):
        pass

    steps = trainer.steps

    def dying(run):
        for finished in steps(run):
            if run.timesteps > BROKEN_AT:
                raise Broken
            yield finished

    trainer.steps = dying
    try:
        with contextlib.suppress(Broken):
            Trainer(config).run()
    finally:
        trainer.steps = steps


def commands(k: int, name: str) -> dict[str, list[str]]:
    """The arguments of each command for mutation number `k`, of the file `name`. A run's directory is "run".

    record, export and card take longest. They read nothing but the model, so they see one in six mutations of other
    files.
    """
    all_commands = {
        "evaluate": ["evaluate", "run", "--episodes", "3"],
        "report": ["report", "run"],
        "record": ["record", "run"],
        "export": ["export", "run"],
        "card": ["card", "run", "--episodes", "10", "--video", "none", "--no-onnx"],
        "resume": ["train", "--resume", "run", "--no-progress"],
    }
    if "model" not in name and k % 6:
        del all_commands["record"], all_commands["export"], all_commands["card"]
    if importlib.util.find_spec("onnxscript") is None:
        all_commands.pop("export", None)
    return all_commands


def call(command: str, argv: list[str], directory: pathlib.Path) -> Outcome:
    """Call a command in the working directory `directory`, which holds "run"."""
    out, err = io.StringIO(), io.StringIO()
    before = os.getcwd()
    os.chdir(directory)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.simplefilter("ignore", DeprecationWarning)  # as Python does by itself
            status = cli.main(argv)
        left = digest(command, directory / "run") if status == 0 else ""
    except BaseException:
        status, left = "traceback", ""
        err.write(traceback.format_exc())
    finally:
        os.chdir(before)
    return Outcome(status, "" if command == "resume" else out.getvalue(), err.getvalue(), left)


def digest(command: str, run: pathlib.Path) -> str:
    """A digest of what a command left in the run directory, but for the times in it."""
    files = {
        "evaluate": [], "report": ["report.html"], "record": ["flight.gif"], "export": ["model.onnx"],
        "card": ["card/README.md", "card/model.safetensors", "card/config.json", "card/results.json"],
        "resume": ["model.safetensors", "episodes.csv", "evaluations.csv"],
    }[command]  # fmt: skip
    found = hashlib.sha256()
    for name in files:
        found.update((run / name).read_bytes())
    if command == "resume":
        with open(run / "metrics.csv", newline="") as file:
            rows = [{name: cell for name, cell in row.items() if name not in TIMES} for row in csv.DictReader(file)]
        found.update(repr(rows).encode())
    return found.hexdigest()


def contents(directory: pathlib.Path) -> dict[str, object]:
    """Everything in a directory: the content of a file, the target of a link, the kind of another thing."""
    found: dict[str, object] = {}
    for folder, directories, files in os.walk(directory):
        for path in [pathlib.Path(folder, name) for name in directories + files]:
            name = str(path.relative_to(directory))
            found[name] = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else "other"
    return found


def expected(base: pathlib.Path) -> dict[str, dict[str, Outcome]]:
    """The outcome of each command on each run without a mutation."""
    results: dict[str, dict[str, Outcome]] = {}
    for run in RUNS:
        results[run] = {}
        for command, argv in commands(0, "").items():
            with tempfile.TemporaryDirectory() as place:
                shutil.copytree(base / run, pathlib.Path(place, "run"))
                results[run][command] = call(command, argv, pathlib.Path(place))
    unbroken = results["finished"]["resume"]
    if unbroken.status != 0 or any(results[run]["resume"] != unbroken for run in RUNS):
        raise SystemExit("the runs do not come to the same without a mutation")
    return results


def examine(base: pathlib.Path, wanted: dict[str, dict[str, Outcome]], seed: int, k: int) -> tuple[str, list[Finding]]:
    """Mutation number `k` of a seed: what was mutated, and what every command made of it."""
    findings, what, name, command = [], "", "", ""
    (run,) = random.Random(f"{seed} {k}").choices(list(RUNS), list(RUNS.values()))
    todo = [""]  # the first time round only tells what is mutated
    while todo:
        command = todo.pop(0)
        with tempfile.TemporaryDirectory() as place:
            directory = pathlib.Path(place)
            shutil.copytree(base / run, directory / "run")
            (directory / "victim").write_text("precious")
            name, what = mutate(random.Random(f"{seed} {k} mutate"), directory, base / "others" / run)
            if not command:
                todo = list(commands(k, name))
                continue
            before = contents(directory)
            outcome = call(command, commands(k, name)[command], directory)
            findings.append(judge(command, name, wanted[run][command], outcome, before, contents(directory)))
    return f"{run}: {what}", findings


def judge(command: str, name: str, wanted: Outcome, got: Outcome, before: dict, after: dict) -> Finding:
    """Whether what a command did is right.

    Args:
        command: its name.
        name: the path of the mutated file in the run directory.
        wanted: what it does without the mutation.
        got: what it did with it.
        before: `contents` of the directory around the run before the command.
        after: the same after it.
    """
    outside = [path for path in before.keys() | after.keys() if not path.startswith("run/")]
    if any(before.get(path) != after.get(path) for path in outside):
        return Finding(command, "wrote elsewhere", got.err)
    if got.status == "traceback":
        return Finding(command, "traceback", got.err)
    if got.status != 0:
        clear = got.err.startswith("fastlander ") and got.err.count("\n") == 1 and len(got.err) < 1500 and not got.out
        if got.status != 2 or not clear:
            return Finding(command, "no clear line", f"status {got.status}: {got.err}")
        changed = [path for path in before.keys() | after.keys() if before.get(path) != after.get(path)]
        if changed:
            return Finding(command, "changed though refused", f"{', '.join(changed)}: {got.err}")
        return Finding(command, "refused", got.err)
    if got.err != wanted.err:
        return Finding(command, "no clear line", f"status 0: {got.err}")
    if got == wanted:
        return Finding(command, "same", "")
    if command == "report" and name in TABLES:
        return Finding(command, "shown", "")
    return Finding(command, "other result", f"{got.out} instead of {wanted.out}")


def serve(connection, work: Callable[[int], Any]) -> None:
    """The life of a process: to do the work of every number that comes through the connection."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    connection.send("ready")
    while True:
        connection.send(work(connection.recv()))


class Worker:
    """A process that works on one number after the other, and is replaced when it dies or takes too long.

    Args:
        work: what is done with a number; it can be pickled.
        limit: seconds for a number.
    """

    def __init__(self, work: Callable[[int], Any], limit: float = LIMIT) -> None:
        self._work, self._limit = work, limit
        self._process: multiprocessing.context.SpawnProcess | None = None
        self.k: int | None = None

    def give(self, k: int) -> None:
        """Begin the work on the number `k`."""
        if self._process is None:
            context = multiprocessing.get_context("spawn")
            self.connection, theirs = context.Pipe()
            self._process = context.Process(target=serve, args=(theirs, self._work), daemon=True)
            self._process.start()
            theirs.close()
            self.connection.recv()  # it has imported what it needs, which takes long
        self.k, self._deadline = k, time.monotonic() + self._limit
        self.connection.send(k)

    def take(self) -> Any:
        """The result of the work, or why there is none: "crash" or "hang". None while it is not known."""
        result = None
        try:
            if self.connection.poll():
                result = self.connection.recv()
            elif time.monotonic() > self._deadline:
                result = "hang"
        except (EOFError, ConnectionError):
            result = "crash"
        if result in ("hang", "crash"):
            self.end()
        if result is not None:
            self.k = None
        return result

    def end(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None


def examine_all(work: Callable[[int], Any], count: int, workers: int = WORKERS) -> dict[int, tuple[str, list[Finding]]]:
    """The findings of the mutations 0 .. count - 1, each in a process that may crash or hang; in this one if 0 workers.

    Args:
        work: `examine` with its first arguments.
        count: of mutations.
        workers: processes.
    """
    if not workers:
        return {k: work(k) for k in range(count)}
    waiting, results = collections.deque(range(count)), {}
    pool = [Worker(work) for _ in range(min(workers, count))]
    try:
        while len(results) < count:
            for worker in pool:
                if worker.k is None and waiting:
                    worker.give(waiting.popleft())
                k = worker.k
                if k is not None and (found := worker.take()) is not None:
                    results[k] = ("", [Finding("", found, "")]) if isinstance(found, str) else found
            multiprocessing.connection.wait([worker.connection for worker in pool if worker.k is not None], timeout=1.0)
    finally:
        for worker in pool:
            worker.end()
    return results


def main(argv: list[str] | None = None) -> int:
    """Print a table of verdicts, and every fault with its mutation; 1 if there is any."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutations", description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=0, help="of the mutations (default: 0)")
    parser.add_argument("--count", type=int, default=300, help="mutations (default: 300)")
    parser.add_argument("--workers", type=int, default=WORKERS, help=f"processes; 0 is this one (default: {WORKERS})")
    parser.add_argument("--show", action="store_true", help="print every mutation and what came of it")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as place:
        base = pathlib.Path(place)
        make_runs(base)
        work = functools.partial(examine, base, expected(base), arguments.seed)
        results = examine_all(work, arguments.count, arguments.workers)
    counted = collections.Counter((f.command, f.verdict) for _, findings in results.values() for f in findings)
    names = list(dict.fromkeys(command for command, _ in sorted(counted)))
    print(f"{arguments.count} mutations, seed {arguments.seed}\n{'':24}" + "".join(f"{name:>10}" for name in names))
    for verdict in (*GOOD, *FAULTS):
        print(f"{verdict:<24}" + "".join(f"{counted[name, verdict]:>10}" for name in names))
    bad = 0
    for k, (what, findings) in sorted(results.items()):
        for finding in findings:
            if finding.verdict in FAULTS or arguments.show:
                bad += finding.verdict in FAULTS
                print(f"\n{k}: {what}\n    {finding.command}: {finding.verdict}: {finding.detail.strip()}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
