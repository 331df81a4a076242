"""What makes kernels compile anew: an edit of code that they are made from, and nothing else."""

import ast
import hashlib
import importlib.util
import itertools
import json
import os
import pathlib
import pickle
import re
import shutil
import subprocess
import sys

import numpy as np
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


def test_the_lander_is_made_of_kernels_physics_and_seven_files():
    files = names(kernel_cache.source_files(PACKAGE / "lander" / "step.py"))
    physics = names(path for path in (PACKAGE / "physics").glob("*.py") if path.stem != "__init__")
    assert physics < files
    assert {name for name in files - physics if not name.startswith("kernels.")} == {
        f"lander.{name}" for name in ("costs", "exchange", "game", "lane_solvers", "pcg64", "step", "variant")
    }


@pytest.mark.parametrize(
    ("kernel", "files"),
    [
        (
            "learner.fused.update",
            "experience.transition lander.symmetry learner.adam chunks matmul passes plan temporal_difference update",
        ),
        ("learner.fused.choose", "matmul passes plan choose"),
        ("learner.adam", "learner.adam"),
        ("experience.fold", "experience.fold"),
        ("experience.sampling", "experience.sampling"),
    ],
)
def test_the_learner_s_kernels_are_made_of_few_files(kernel, files):
    """Settings, checks, states and classes are not among them, nor is the physics."""
    found = names(kernel_cache.source_files(PACKAGE.joinpath(*kernel.split(".")).with_suffix(".py")))
    expected = {name if "." in name else f"learner.fused.{name}" for name in files.split()}
    assert {name for name in found if not name.startswith("kernels.")} == expected


def test_every_kernel_stands_in_a_file_of_kernels():
    """A file with kernels imports no file with settings or states: an edit there would compile the kernels anew."""
    for path in PACKAGE.rglob("*.py"):
        if re.search(r"^@(uncounted_)?kernel$", path.read_text(), re.M):
            found = names(kernel_cache.source_files(path))
            assert not found & {"config", "states", "validation", "environments", "learner.q_network"}, path


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


CHEAP_KERNEL = """
from fastlander.kernels.jit import kernel


@kernel
def double(x):
    return 2 * x
"""


@pytest.fixture
def cheap(tmp_path, monkeypatch):
    """A file with a kernel that compiles quickly, whose machine code is kept beside it."""
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setattr("numba.config.CACHE_DIR", "")  # Numba reads the variable again only when it compiles
    monkeypatch.setattr(kernel_cache, "_said", set())
    path = tmp_path / "cheap.py"
    path.write_text(CHEAP_KERNEL)
    return path


def compiles(path, call=21):
    """Import the file anew and call its kernel: how often the kernel had to be compiled."""
    spec = importlib.util.spec_from_file_location("cheap", path)
    module = sys.modules["cheap"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.double(call) == 2 * call
    return sum(module.double.stats.cache_misses.values())


def machine_code(path):
    (file,) = path.parent.glob("__pycache__/cheap.double.*.nbc")
    return file


def flip(content, place):
    return content[:place] + bytes([content[place] ^ 16]) + content[place + 1 :]


def foreign(content):
    """Something whole that is not what Numba expects."""
    label = content[32:].partition(b"\n")[0]
    body = label + b"\n" + pickle.dumps(("not", "machine code"))
    return hashlib.sha256(body).digest() + body


DAMAGES = {
    "empty": lambda content: b"",
    "short": lambda content: content[:20],
    "half": lambda content: content[: len(content) // 2],
    "last byte missing": lambda content: content[:-1],
    "zeros": lambda content: bytes(len(content)),
    "random": lambda content: np.random.default_rng(1).bytes(len(content)),
    "longer": lambda content: content + b"x",
    "first bit": lambda content: flip(content, 0),
    "a bit of the label": lambda content: flip(content, 40),
    "a bit of the machine code": lambda content: flip(content, len(content) * 2 // 3),
    "text": lambda content: b"<html>404</html>",
    "foreign": foreign,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_is_said_and_replaced(damage, cheap, capsys):
    assert compiles(cheap) == 1
    file = machine_code(cheap)
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    assert compiles(cheap) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "compiled again" in lines[0]
    assert str(file.parent) in lines[0]
    assert compiles(cheap) == 0
    assert capsys.readouterr().err == ""
    assert list(file.parent.glob("cheap.double.*.nbc*")) == [file]


@pytest.mark.parametrize("kind", ["directory", "link to nothing", "full directory"])
def test_what_stands_in_a_file_s_place_is_replaced_if_nothing_is_lost(kind, cheap, capsys):
    assert compiles(cheap) == 1
    file = machine_code(cheap)
    file.unlink()
    if kind == "link to nothing":
        file.symlink_to(file.parent / "nothing")
    else:
        file.mkdir()
    if kind == "full directory":
        (file / "kept").touch()
    assert compiles(cheap) == 1
    assert (
        len(capsys.readouterr().err.splitlines()) == {"directory": 1, "link to nothing": 0, "full directory": 2}[kind]
    )
    assert compiles(cheap) == (1 if kind == "full directory" else 0)
    assert capsys.readouterr().err == ""  # each line is said once
    assert kind != "full directory" or (file / "kept").exists()


def test_each_signature_has_a_file_of_its_own(cheap):
    assert [compiles(cheap), compiles(cheap, 1.5), compiles(cheap), compiles(cheap, 2.5)] == [1, 1, 0, 0]
    assert len(list(cheap.parent.glob("__pycache__/cheap.double.*.nbc"))) == 2


RUN_CHEAP = """
import importlib.util, resource, sys
if sys.argv[2:]:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
spec = importlib.util.spec_from_file_location("cheap", sys.argv[1])
module = sys.modules["cheap"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
print(module.double(21), sum(module.double.stats.cache_misses.values()))
"""


def start_cheap(path, *limit):
    command = [sys.executable, "-c", RUN_CHEAP, str(path), *map(str, limit)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("room", [0, *(pytest.param(room, marks=pytest.mark.slow) for room in (300, 2000))])
def test_a_full_disk_costs_time_only(room, cheap):
    """A limit for the size of files stands for the full disk."""
    out, err = start_cheap(cheap, room).communicate()
    assert out == "42 1\n"
    lines = err.splitlines()
    assert len(lines) == 1, err
    assert "compiled kernels cannot be written and will be compiled again" in lines[0]
    assert {file.suffix for file in cheap.parent.glob("__pycache__/*")} <= {".source", ".pyc", ".lock"}
    assert start_cheap(cheap).communicate() == ("42 1\n", "")
    assert start_cheap(cheap, room).communicate() == ("42 0\n", "")


def test_processes_that_compile_at_the_same_time_do_not_harm_each_other(cheap):
    together = [start_cheap(cheap) for _ in range(3)]
    notice = r"fastlander: (another process compiles double: waiting for it|waited [\d.]+ s for double)"
    for process in together:
        out, err = process.communicate()
        assert out in ("42 0\n", "42 1\n")
        assert all(re.fullmatch(notice, line) for line in err.splitlines()), err
    assert start_cheap(cheap).communicate() == ("42 0\n", "")


# Two kernels with a part each. The parts differ only in a number that the function which makes them was given, and are
# so big that they stay functions of their own.
ALIKE = """
import numpy as np
from fastlander.kernels.jit import part, uncounted_kernel

def make(start):
    @part
    def chain(numbers, k):
        total = np.int64(start)
        for i in range(len(numbers)):
            LINES
        return total
    return chain

first, second = make(1), make(2)

@uncounted_kernel
def call_first(numbers):
    return first(numbers, 3) + 1000 * first(numbers[:0], 5)

@uncounted_kernel
def call_second(numbers):
    return second(numbers, 3) + 1000 * second(numbers[:0], 5)

@uncounted_kernel
def call_both(numbers):
    return call_first(numbers) + call_second(numbers)
""".replace("LINES", "\n            ".join(f"total = total * {n} ^ numbers[i - i // {n}]" for n in range(3, 30)))
CALL = """
import sys
sys.path.insert(0, sys.argv[1])
import alike
for name in sys.argv[2:]:
    kernel = getattr(alike, name)
    print(name, kernel(alike.np.arange(0)), sum(kernel.stats.cache_misses.values()))
"""


def test_parts_that_two_processes_gave_one_name_stay_two(tmp_path):
    (tmp_path / "alike.py").write_text(ALIKE)

    def call(*names):
        command = [sys.executable, "-c", CALL, str(tmp_path), *names]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()

    assert call("call_first") == ["call_first", "1001", "1"]
    assert call("call_second") == ["call_second", "2002", "1"]
    assert call("call_first", "call_second") == ["call_first", "1001", "0", "call_second", "2002", "0"]
    assert call("call_second", "call_first") == ["call_second", "2002", "0", "call_first", "1001", "0"]
    # Kernels that were loaded are linked into one that is compiled.
    assert call("call_first", "call_both") == ["call_first", "1001", "0", "call_both", "3003", "1"]
    assert call("call_both") == ["call_both", "3003", "0"]


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[" * 100_000, b"{}", b'{"text": "x"}', b"null", None])
def test_a_damaged_memo_is_made_again(content, cheap):
    assert compiles(cheap) == 1
    (memo,) = cheap.parent.glob("__pycache__/cheap.double.*.source")
    if content is None:
        memo.write_text(memo.read_text().replace('"code": "', '"code": "0'))
    else:
        memo.write_bytes(content)
    assert compiles(cheap) == 0


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
