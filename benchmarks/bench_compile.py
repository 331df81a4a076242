"""Compiling the step of landers, in a new process with nothing compiled, by the passes of parts and by Numba's own."""

import os
import subprocess
import sys
import tempfile

import pytest

COMPILE = """
from numba.core.compiler import Compiler
from fastlander.kernels.compile_ahead import HELPERS
from fastlander.kernels.part_compiler import PartCompiler
from fastlander.signatures import compile_group

HELPERS.allowed = False
if {own}:
    PartCompiler.define_pipelines = Compiler.define_pipelines
compile_group("lander")
"""


@pytest.mark.parametrize("own", [True, False])
def test_step(measure, own):
    def compile_step():
        with tempfile.TemporaryDirectory() as folder:
            env = {**os.environ, "NUMBA_CACHE_DIR": folder, "FASTLANDER_JIT": "1"}
            env.pop("PYTHONDONTWRITEBYTECODE", None)
            command = [sys.executable, "-c", COMPILE.format(own=own)]
            subprocess.run(command, env=env, check=True, capture_output=True)

    name = "Numba's own passes" if own else "the passes of parts"
    measure(compile_step, group="compile the step", name=name, unit="processes", peer=own, rounds=2)
