import os
import shutil
import subprocess
import sys

import numba
import pytest

from fastlander.kernels import kernel_cache, shipped
from fastlander.kernels.jit import kernel
from fastlander.kernels.ship import ship
from fastlander.kernels.shipped import LEVELS, features_of, levels_of

V2 = "cx16 popcnt sse3 sse4.1 sse4.2 ssse3".split()
V3 = [*V2, *"avx avx2 bmi bmi2 f16c fma lzcnt movbe".split()]
V4 = [*V3, *"avx512f avx512bw avx512cd avx512dq avx512vl".split()]


@pytest.mark.parametrize(
    ("machine", "names", "levels"),
    [
        ("x86_64", V4, ["x86-64-v4", "x86-64-v3", "x86-64-v2"]),
        ("AMD64", V3, ["x86-64-v3", "x86-64-v2"]),
        ("x86_64", V2, ["x86-64-v2"]),
        ("x86_64", V2[1:], []),
        ("x86_64", [name for name in V4 if name != "fma"], ["x86-64-v2"]),
        ("aarch64", ["neon"], ["aarch64"]),
        ("arm64", [], ["aarch64"]),
        ("riscv64", V4, []),
    ],
)
def test_a_processor_has_every_level_whose_features_it_has(machine, names, levels):
    assert levels_of(machine, dict.fromkeys(names, True)) == levels


def test_each_level_has_what_the_level_below_has():
    features = [set(features_of(level).split(",")) for level in LEVELS if level != "aarch64"]
    assert features[0] > features[1] > features[2]
    assert {name.removeprefix("+") for name in features[0]} == set(V4)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A place for code that comes with the package; the function tells which level is used of it."""
    monkeypatch.setattr(shipped, "FOLDER", tmp_path / "compiled")
    monkeypatch.setattr(kernel_cache, "FOLDER", tmp_path / "compiled")
    for name in ("NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES", "FASTLANDER_JIT"):
        monkeypatch.delenv(name, raising=False)
    shipped.usable_level.cache_clear()
    yield tmp_path / "compiled"
    shipped.usable_level.cache_clear()


def usable():
    shipped.usable_level.cache_clear()
    return shipped.usable_level()


@pytest.mark.skipif(sys.platform != "linux" or not shipped.machine_levels(), reason="nothing is shipped for it")
def test_the_highest_level_that_is_there_is_used_unless_the_user_says_otherwise(package, monkeypatch):
    assert usable() is None
    lowest, highest = shipped.machine_levels()[-1], shipped.machine_levels()[0]
    (package / "x86-64-v9").mkdir(parents=True)
    assert usable() is None
    (package / lowest).mkdir()
    assert usable() == lowest
    (package / highest).mkdir(exist_ok=True)
    assert usable() == highest
    for variable, value in (("FASTLANDER_JIT", "1"), ("NUMBA_CPU_NAME", "generic"), ("NUMBA_CPU_FEATURES", "+avx")):
        with monkeypatch.context() as patch:
            patch.setenv(variable, value)
            assert usable() is None
    monkeypatch.setenv("FASTLANDER_JIT", "0")
    assert usable() == highest


ARGUMENTS = (numba.float64,)


@pytest.fixture
def halves(tmp_path, monkeypatch):
    """A function that makes the kernel of a module anew, as another process would: with nothing compiled."""
    source = tmp_path / "halves.py"
    source.write_text("def half(x):\n    return x / 2\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(kernel_cache, "PACKAGE", tmp_path)

    def make(cache):
        monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / cache))
        for remembered in (kernel_cache._read, kernel_cache.imported_files, kernel_cache._tree_digest):
            remembered.cache_clear()
        namespace = {}
        exec(compile(source.read_text(), str(source), "exec"), namespace)
        function = namespace["half"]
        function.__module__ = "halves"
        return kernel(function)

    yield make, source
    for remembered in (kernel_cache._read, kernel_cache.imported_files, kernel_cache._tree_digest):
        remembered.cache_clear()


def misses(dispatcher):
    assert dispatcher(5.0) == 2.5
    return sum(dispatcher.stats.cache_misses.values())


@pytest.mark.skipif(sys.platform != "linux" or not shipped.machine_levels(), reason="nothing is shipped for it")
def test_shipped_code_is_loaded_if_it_is_of_the_same_sources(package, halves):
    make, source = halves
    level = shipped.machine_levels()[0]
    builder = make("build")
    assert misses(builder) == 1
    (package / level).mkdir(parents=True)
    builder._cache.ship(ARGUMENTS, builder.overloads[ARGUMENTS], package / level, level)
    usable()
    fresh = make("user")
    assert fresh._cache.holds(ARGUMENTS, fresh.targetctx)
    assert misses(fresh) == 0
    source.write_text("def half(x):\n    return x * 0.5\n")
    changed = make("user")
    assert not changed._cache.holds(ARGUMENTS, changed.targetctx)
    assert misses(changed) == 1


@pytest.mark.skipif(sys.platform != "linux" or not shipped.machine_levels(), reason="nothing is shipped for it")
def test_damaged_code_is_compiled_anew(package, halves, capsys):
    make, _ = halves
    level = shipped.machine_levels()[0]
    builder = make("build")
    builder(1.0)
    (package / level).mkdir(parents=True)
    builder._cache.ship(ARGUMENTS, builder.overloads[ARGUMENTS], package / level, level)
    (file,) = (package / level).iterdir()
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 4
    file.write_bytes(content)
    usable()
    kernel_cache._said.clear()
    assert misses(make("user")) == 1
    assert "damaged" in capsys.readouterr().err


def test_a_level_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(ValueError, match="level must be one of x86-64-v4"):
        ship("x86-64-v9", tmp_path)


SHIP = """
import os, pathlib, sys
from fastlander.kernels import ship
ship._compile_into = lambda folder, level: len(os.listdir(os.environ["NUMBA_CACHE_DIR"])) + ("numba" in sys.modules)
print(ship.ship("x86-64-v2", pathlib.Path("nowhere")))
"""


def test_what_was_compiled_before_is_not_loaded_to_be_shipped(tmp_path):
    """Numba refuses to write what it loaded. It reads where its cache is when it is imported."""
    (tmp_path / "file").touch()
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    process = subprocess.run([sys.executable, "-c", SHIP], env=environment, capture_output=True, text=True, check=False)
    assert process.stdout == "0\n", process.stderr


@pytest.mark.slow
@pytest.mark.parametrize("level", LEVELS)
def test_every_level_compiles_and_the_machine_s_own_give_the_same_lander(level, tmp_path):
    """A package with shipped code, in an empty cache: it compiles nothing, and verify finds no difference."""
    root = os.path.dirname(os.path.dirname(shipped.__file__))
    copy = tmp_path / "fastlander"
    shutil.copytree(root, copy, ignore=shutil.ignore_patterns("__pycache__", "compiled"))
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("NUMBA_CPU", "FASTLANDER_JIT"))}
    environment |= {"PYTHONPATH": str(tmp_path), "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    command = [sys.executable, "-m", "fastlander.kernels.ship", level, str(copy / "compiled" / level)]
    subprocess.run(command, env=environment, cwd=tmp_path, check=True)
    assert not (tmp_path / "cache").exists()
    if level not in shipped.machine_levels():
        return
    process = subprocess.run(
        [sys.executable, "-m", "fastlander.verify", "--episodes", "20"],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    assert "compil" not in process.stderr
    assert not list((tmp_path / "cache").rglob("*.nbc"))
