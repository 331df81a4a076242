"""`python benchmarks/first_run.py`: how long a first command takes beside later ones, and what of those is imports.

Each command is a process. With nothing compiled (an empty NUMBA_CACHE_DIR), again with what the first one compiled, and
`python -c "import torch, numba, gymnasium"` after each of these: machines are not equally fast from one minute to the
next, so a run is compared with the imports beside it. Seeds differ, too: how many steps a run takes is luck. The warm
runs of a round have five seeds, 0 to 4 in the first one, and the medians are shown, of seconds and of ratios. The first
command has the first of these seeds, and is compared with its warm run. What is measured is the fastlander that this
Python imports: a checkout, or a wheel that carries compiled kernels. Python keeps bytecode, as it does by default: with
PYTHONDONTWRITEBYTECODE it would compile a checkout's modules in every process, and those of installed packages never.
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
REPEATS = 5
WIDTHS = (7, 7, 8, 9, 12, 14, 16)
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
    print("solved: from the prompt of a warm run to the line that says so; the others to the end of the process")
    heads = ("first", "warm", "solved", "imports", "first/warm", "warm/imports", "solved/imports")
    print(f"{'':8}" + "".join(f"{head:>{width}}" for head, width in zip(heads, WIDTHS, strict=True)))
    found = []
    for number in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            seeds = range(REPEATS * number, REPEATS * (number + 1))
            _, first = seconds([*TRAIN, f"{folder}/first", "--seed", str(seeds[0])], f"{folder}/cache")
            runs = []
            for seed in seeds:
                solved, warm = seconds([*TRAIN, f"{folder}/warm{seed}", "--seed", str(seed)], f"{folder}/cache")
                _, imports = seconds(IMPORTS, f"{folder}/cache")
                runs.append((warm, solved, imports, warm / imports, solved / imports))
        medians = [statistics.median(column) for column in zip(*runs, strict=True)]
        found.append((first, *medians[:3], first / runs[0][0], *medians[3:]))
        print(line(f"round {number + 1}", found[-1]), flush=True)
    print(line("median", [statistics.median(column) for column in zip(*found, strict=True)]))


def line(name: str, numbers: tuple[float, ...] | list[float]) -> str:
    """A row of the table."""
    forms = [".1f"] * 4 + [".2f"] * 3
    return f"{name:8}" + "".join(f"{n:{w}{form}}" for n, w, form in zip(numbers, WIDTHS, forms, strict=True))


if __name__ == "__main__":
    main()
