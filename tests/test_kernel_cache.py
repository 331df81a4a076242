"""What makes kernels compile anew: an edit of code that they are made from, and nothing else."""

import ast
import itertools
import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

import fastlander
from fastlander.kernels import kernel_cache

PACKAGE = pathlib.Path(fastlander.__file__).parent


def names(files):
    return {".".join(file.relative_to(PACKAGE).with_suffix("").parts) for file in files}


def test_imports_are_found_as_python_finds_them():
    for path in PACKAGE.rglob("*.py"):
        expected = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path} has a relative import"
                expected |= {node.module}
            elif isinstance(node, ast.Import):
                expected |= {alias.name for alias in node.names}
        expected = {name.removeprefix("fastlander.") for name in expected if name.startswith("fastlander.")}
        assert names(kernel_cache.imported_files(path)) == expected, path


def test_the_lander_is_made_of_kernels_physics_and_five_files():
    files = names(kernel_cache.source_files(PACKAGE / "lander" / "step.py"))
    physics = names(path for path in (PACKAGE / "physics").glob("*.py") if path.stem != "__init__")
    assert physics < files
    assert {name for name in files - physics if not name.startswith("kernels.")} == {
        f"lander.{name}" for name in ("exchange", "game", "pcg64", "step", "variant")
    }


def test_a_folder_stands_for_all_its_files(tmp_path):
    path = tmp_path / "kernels_of_a_user.py"
    path.write_text("from fastlander.physics import bodies\n")
    assert "physics.bodies" in names(set(kernel_cache.source_files(path)) - {path})


SOURCE = '''"""A module."""

import math

RADIUS = 3.0


class Disc:
    """A disc."""

    radius: float
    """m"""


def area(r):
    return math.pi * r * r
'''
SAME_CODE = '''"""A module,
described at length."""
import math

RADIUS = 3.0  # m


class Disc:
    radius: float
# All of it.


def area(r):
    """The area of a disc."""

    return (math.pi * r * r)
'''


def test_only_code_counts(tmp_path):
    number = itertools.count()

    def digest(text):
        path = tmp_path / f"{next(number)}.py"  # a file is read only once per process
        path.write_text(text)
        return kernel_cache.code_digest([path])

    assert digest(SOURCE) == digest(SAME_CODE)
    for old, new in (
        ("3.0", "3.5"),
        ("r * r", "r * r * 1"),
        ('"""m"""', "mass: float"),
        ("import math", "import cmath"),
    ):
        assert digest(SOURCE.replace(old, new)) != digest(SOURCE)


def test_a_digest_is_remembered_for_a_text(tmp_path, monkeypatch):
    path, memo = tmp_path / "module.py", tmp_path / "memo"
    path.write_text(SOURCE)
    expected = kernel_cache.code_digest([path])
    for content in (None, "", "no json", "[]", '{"text": 1}', json.dumps({"text": "another", "code": "wrong"})):
        if content is not None:
            memo.write_text(content)
        assert kernel_cache.remembered_code_digest([path], memo) == expected
        assert json.loads(memo.read_text())["code"] == expected
    assert sorted(tmp_path.iterdir()) == [memo, path]
    monkeypatch.setattr(kernel_cache, "code_digest", None)
    assert kernel_cache.remembered_code_digest([path], memo) == expected
    monkeypatch.undo()
    assert kernel_cache.remembered_code_digest([path], tmp_path / "no directory" / "memo") == expected


# Kernels as the lander has them, but quickly compiled: one that is called, and two that serve.
SMALL_KERNELS = '''
import numpy as np
from fastlander.kernels.jit import kernel, part
from fastlander.kernels.threads import run_here, serving
from fastlander.lander.step import pad
from fastlander.physics.bodies import NUM_EDGES


@kernel
def edges():
    return NUM_EDGES


@part
def fill(members):
    pad(members, NUM_EDGES)


@part
def count(members):
    members[0] += 1


serve_fill, serve_count = serving(fill), serving(count)


def compiled():
    """(the number of edges, how many kernels had to be compiled)."""
    members = np.zeros(64, np.int64)
    edges()
    run_here(serve_fill, members)
    run_here(serve_count, members)
    assert members[0] == 1
    return edges(), sum(sum(k.stats.cache_misses.values()) for k in (edges, serve_fill, serve_count))
'''


@pytest.fixture
def copy(tmp_path):
    """A copy of the package with SMALL_KERNELS in it, and without compiled kernels."""
    package = tmp_path / "fastlander"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "lander" / "small.py").write_text(SMALL_KERNELS)
    return package


def run_in(package, code):
    """What `code` prints in a process that imports the copy and keeps compiled kernels there."""
    environment = {**os.environ, "PYTHONPATH": str(package.parent)}
    environment.pop("NUMBA_CACHE_DIR", None)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=package.parent, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_what_makes_small_kernels_compile_anew(copy):
    def small_kernels(before=""):
        return run_in(copy, f"import numba\n{before}\nfrom fastlander.lander.small import compiled\nprint(*compiled())")

    assert small_kernels() == "11 3\n"
    page = copy / "viewing" / "page.py"
    page.write_text(page.read_text() + "\n\nADDED = 1\n")
    assert small_kernels() == "11 0\n"
    edit(copy / "physics" / "bodies.py", '"""The', '"""Another line.\n\nThe')
    edit(copy / "lander" / "step.py", "@inlined", "# A comment that moves\n# what comes after it.\n\n\n@inlined")
    edit(copy / "lander" / "small.py", "def fill(members):", "def fill(members):\n    'Its first docstring.'\n")
    assert small_kernels() == "11 0\n"
    edit(copy / "physics" / "bodies.py", "NUM_EDGES = 11", "NUM_EDGES = 12")
    assert small_kernels() == "12 3\n"
    assert small_kernels("import llvmlite\nllvmlite.__version__ = 'another one'") == "12 3\n"


@pytest.mark.slow
def test_what_makes_the_lander_compile_anew(copy):
    code = (
        "from fastlander import LunarLanderVectorEnv as E\n"
        "obs = E(2).reset(seed=0)[0]\n"
        "from fastlander.lander.step import serve_steps\n"
        "print(sum(serve_steps.stats.cache_misses.values()), obs.tobytes().hex())"
    )
    first = run_in(copy, code).split()
    assert first[0] == "1"
    for path in (copy / "viewing" / "page.py", copy / "lander" / "vector_env.py"):
        path.write_text(path.read_text() + "\n\nADDED = 1\n")
    edit(copy / "physics" / "island.py", '"""', '"""Another line.\n\n')
    edit(copy / "lander" / "step.py", "@inlined", "# A comment that moves\n# what comes after it.\n\n\n@inlined")
    assert run_in(copy, code).split() == ["0", first[1]]
    edit(copy / "physics" / "bodies.py", "reference_angle=np.float32(-0.05)", "reference_angle=np.float32(-0.06)")
    changed = run_in(copy, code).split()
    assert changed[0] == "1"
    assert changed[1] != first[1]
