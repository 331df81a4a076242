"""`python benchmarks/first_run.py`: how long a first command takes beside later ones, and what of those is imports.

Each command is a process. As it is typed with nothing compiled (an empty NUMBA_CACHE_DIR), again with what the first
one compiled, which is what it is compared with, and with other seeds; after each of the warm runs
`python -c "import torch, numba, gymnasium"`: machines are not equally fast from one minute to the next, so a run is
compared with the imports beside it. Seeds differ, too: how many steps a run takes is luck, and the one that is typed,
0, takes twice the usual number. Five seeds a round, of which the medians are shown, of seconds and of ratios. What is
measured is the fastlander that this Python imports: a checkout, or a wheel that carries compiled kernels. Python keeps
bytecode, as it does by default: with PYTHONDONTWRITEBYTECODE it would compile a checkout's modules in every process,
and those of installed packages never.
"""

import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import fastlander
from fastlander.kernels.shipped import usable_level

TRAIN = ["-m", "fastlander.train", "--num-envs", "16", "--no-progress", "--output-dir"]
OTHERS = 4  # seeds of a round beside the one that is typed
WIDTHS = (7, 7, 12, 7, 8, 9, 14, 16)
IMPORTS = ["-c", "import torch, numba, gymnasium"]


def seconds(arguments: list[str], cache: str) -> tuple[float, float]:
    """Wall clock of a Python process that keeps compiled kernels in a directory: to its first line, and to its end."""
    start = time.perf_counter()
    command, env = [sys.executable, *arguments], {**os.environ, "NUMBA_CACHE_DIR": cache}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        process.stdout.readline()
        to_line = time.perf_counter() - start
        process.stdout.read()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return to_line, time.perf_counter() - start


def main() -> None:
    """Run the commands and print their times."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    level = usable_level()
    code = "compiles its kernels" if level is None else f"carries kernels for {level}"
    print(f"{pathlib.Path(fastlander.__file__).parent}, which {code}; seconds, in {rounds} rounds")
    print("first, warm: the command as it is typed; then medians of five seeds, to the end of the process or, solved,")
    print("to the line that says so")
    heads = ("first", "warm", "first/warm", "warm", "solved", "imports", "warm/imports", "solved/imports")
    print(f"{'':8}" + "".join(f"{head:>{width}}" for head, width in zip(heads, WIDTHS, strict=True)))
    found = []
    for number in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            _, first = seconds([*TRAIN, f"{folder}/first"], f"{folder}/cache")
            runs = []
            for seed in (0, *range(OTHERS * number + 1, OTHERS * (number + 1) + 1)):
                solved, warm = seconds([*TRAIN, f"{folder}/warm{seed}", "--seed", str(seed)], f"{folder}/cache")
                _, imports = seconds(IMPORTS, f"{folder}/cache")
                runs.append((warm, solved, imports, warm / imports, solved / imports))
        typed = runs[0][0]
        found.append((first, typed, first / typed, *map(statistics.median, zip(*runs, strict=True))))
        print(line(f"round {number + 1}", found[-1]), flush=True)
    print(line("median", [statistics.median(column) for column in zip(*found, strict=True)]))


def line(name: str, numbers: tuple[float, ...] | list[float]) -> str:
    """A row of the table."""
    forms = [".1f", ".1f", ".2f", ".1f", ".1f", ".1f", ".2f", ".2f"]
    return f"{name:8}" + "".join(f"{n:{w}{form}}" for n, w, form in zip(numbers, WIDTHS, forms, strict=True))


if __name__ == "__main__":
    main()
