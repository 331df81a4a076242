"""`python benchmarks/first_run.py`: how long a first command takes beside later ones, and what of those is imports.

Each command is a process. With nothing compiled (an empty NUMBA_CACHE_DIR), again with what the first one compiled, and
`python -c "import torch, numba, gymnasium"`, in turn: ratios within a round are what counts, since machines differ.
What is measured is the fastlander that this Python imports: a checkout, or a wheel that carries compiled kernels.
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
IMPORTS = ["-c", "import torch, numba, gymnasium"]


def seconds(arguments: list[str], cache: str) -> float:
    """Wall clock of a Python process that keeps compiled kernels in a directory."""
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "NUMBA_CACHE_DIR": cache},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    return time.perf_counter() - start


def main() -> None:
    """Run the commands and print their times."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    level = usable_level()
    code = "compiles its kernels" if level is None else f"carries kernels for {level}"
    print(f"{pathlib.Path(fastlander.__file__).parent}, which {code}; seconds, in {rounds} rounds")
    print(f"{'':8}{'first':>8}{'warm':>8}{'imports':>9}{'first/warm':>12}{'warm/imports':>14}")
    found = []
    for number in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            first = seconds([*TRAIN, f"{folder}/first"], f"{folder}/cache")
            warm = statistics.median(seconds([*TRAIN, f"{folder}/{k}"], f"{folder}/cache") for k in range(3))
            imports = statistics.median(seconds(IMPORTS, f"{folder}/cache") for _ in range(3))
        found.append((first, warm, imports, first / warm, warm / imports))
        print(line(f"round {number + 1}", found[-1]), flush=True)
    print(line("median", [statistics.median(column) for column in zip(*found, strict=True)]))


def line(name: str, numbers: tuple[float, ...] | list[float]) -> str:
    """A row of the table."""
    first, warm, imports, to_warm, to_imports = numbers
    return f"{name:8}{first:8.1f}{warm:8.1f}{imports:9.1f}{to_warm:12.2f}{to_imports:14.2f}"


if __name__ == "__main__":
    main()
