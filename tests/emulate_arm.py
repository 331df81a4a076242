"""The package on an emulated 64-bit Arm processor, compared with this machine byte for byte.

    apt install qemu-user-static debootstrap
    python -m tests.emulate_arm DIRECTORY

It needs Linux, root (debootstrap asks for it), Python 3.11 (that of Debian 12, from which the emulated one comes), an
x86-64 processor with FMA (without it, the learner rounds products that it does not round on Arm), the package with its
dependencies, a package index, Debian's archive, 3 GB, and some minutes. It makes in DIRECTORY:

- `root`: Python for arm64, from Debian's packages, unpacked and not installed
- `site`: the wheels for aarch64 of the versions that are installed here, but for torch, which is the last one with a
  small build for aarch64. Machine code fits only the Numba and llvmlite that compiled it.
- `kernels-...`: all kernels, compiled on this machine for aarch64 (`fastlander.kernels.ship`)
- `package`: this package, with these kernels

What is there already is used again, kernels as long as they are of these sources. Then `python -m tests.digests` runs
here, and under qemu with the kernels from `package`, where none is compiled. Exit status 1 if a digest differs, if one
is missing, or if anything was compiled under qemu.
"""

import importlib.metadata
import json
import os
import pathlib
import shutil
import subprocess
import sys
import zipfile

import llvmlite.binding
import numba
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from fastlander.kernels.kernel_cache import code_digest

SOURCE = pathlib.Path(__file__).parent.parent
QEMU = "qemu-aarch64-static"
TORCH = "2.10.0"  # 2.13 for aarch64 is a CUDA build of 427 MB
PLATFORMS = [f"manylinux{name}_aarch64" for name in ("_2_28", "_2_27", "_2_17", "2014")]


def dependencies():
    """What fastlander needs on aarch64, as `name==version` of what is installed here."""
    found, waiting = {}, [("fastlander", ())]
    while waiting:
        name, extras = waiting.pop()
        try:
            package = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # what this machine runs without
        found[canonicalize_name(name)] = package.version
        for requirement in map(Requirement, package.requires or []):
            wanted = canonicalize_name(requirement.name)
            environments = [{"platform_machine": "aarch64", "extra": extra} for extra in ("", *extras)]
            if wanted not in found and (
                requirement.marker is None or any(requirement.marker.evaluate(one) for one in environments)
            ):
                waiting.append((wanted, requirement.extras))
    found["torch"] = TORCH
    return sorted(f"{name}=={version}" for name, version in found.items() if name not in ("fastlander", "box2d"))


def say(line):
    print(line, flush=True)


def make_root(root):
    """Unpack Debian's Python for arm64. Its maintainer scripts do not run, so nothing of it must be emulated."""
    say("unpacking Python for arm64")
    include = "--include=python3,libgomp1"
    subprocess.run(
        ["debootstrap", "--arch=arm64", "--foreign", "--variant=minbase", include, "bookworm", root],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    for package in sorted((root / "var/cache/apt/archives").glob("*.deb")):
        subprocess.run(["dpkg-deb", "-x", package, root], check=True)


def make_site(site, wheels):
    """Download the wheels and unpack them. pip itself would install what this machine's markers ask for."""
    say("downloading wheels for aarch64")
    options = ["--quiet", "--no-deps", "--only-binary=:all:", "--python-version=3.11", "--implementation=cp"]
    options += [f"--abi={abi}" for abi in ("cp311", "abi3", "none")] + [f"--platform={name}" for name in PLATFORMS]
    subprocess.run([sys.executable, "-m", "pip", "download", "-d", wheels, *options, *dependencies()], check=True)
    for wheel in wheels.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(site)


def kernels_folder():
    """A name for the kernels of these sources, compiled by this Numba and llvmlite."""
    sources = code_digest(sorted((SOURCE / "fastlander").rglob("*.py")))
    return f"kernels-{numba.__version__}-{llvmlite.__version__}-{sources[:16]}"


def make_kernels(kernels):
    """Compile every kernel for aarch64, as `hatch_build.py` does for a wheel."""
    say("compiling kernels for aarch64")
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    command = [sys.executable, "-m", "fastlander.kernels.ship", "aarch64", kernels]
    subprocess.run(command, cwd=SOURCE, env=environment, check=True)


def make_package(package, kernels):
    """Copy the package, the tests and the kernels."""
    shutil.rmtree(package, ignore_errors=True)
    for folder in ("fastlander", "tests"):
        ignored = shutil.ignore_patterns("__pycache__", "compiled", "data")
        shutil.copytree(SOURCE / folder, package / folder, ignore=ignored)
    shutil.copytree(kernels, package / "fastlander/compiled/aarch64")


def emulated(directory):
    """The digests under qemu: the command's output, once nothing was compiled. RuntimeError otherwise."""
    cache = directory / "cache"
    shutil.rmtree(cache, ignore_errors=True)
    path = os.pathsep.join(str(directory / name) for name in ("package", "site"))
    # Only what is named here: the settings of this machine's Python and Numba are not for the other one.
    environment = {"PATH": os.defpath, "HOME": str(directory), "PYTHONPATH": path, "NUMBA_CACHE_DIR": str(cache)}
    root = directory / "root"
    command = [QEMU, "-cpu", "max", "-L", root, root / "usr/bin/python3.11", "-m", "tests.digests", "--shipped"]
    output = digests(command, directory / "package", environment)
    compiled = [str(file) for file in cache.rglob("*.nbc")]
    if compiled:
        raise RuntimeError(f"compiled under qemu: {', '.join(compiled)}")
    return output


def digests(command, folder, environment):
    """What computed, and name and digest of each thing, as they are printed. RuntimeError if the command fails."""
    lines = []
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            lines.append(json.loads(line))
            say(f"  {line.rstrip()}")
    if process.returncode:
        raise RuntimeError(f"{command[0]} ended with exit status {process.returncode}")
    return lines[0], dict(lines[1:])


def main(arguments):
    """Build what is missing, compute on both, compare."""
    if len(arguments) != 1 or arguments[0].startswith("-"):
        say(__doc__)
        return 0 if arguments == ["--help"] else 2
    missing = [name for name in (QEMU, "debootstrap", "dpkg-deb") if shutil.which(name) is None]
    if missing or sys.version_info[:2] != (3, 11):
        version = sys.version.split()[0]
        say(f"needs Python 3.11, got {version}; commands that are missing: {', '.join(missing) or 'none'}")
        return 2
    if not llvmlite.binding.get_host_cpu_features().get("fma"):
        say("needs an x86-64 processor with FMA")
        return 2
    directory = pathlib.Path(arguments[0]).absolute()
    directory.mkdir(parents=True, exist_ok=True)
    kernels = kernels_folder()
    parts = {"root": make_root, "site": lambda site: make_site(site, directory / "wheels"), kernels: make_kernels}
    for name, make in parts.items():
        if not (directory / name).exists():
            unfinished = directory / f"{name}.unfinished"
            shutil.rmtree(unfinished, ignore_errors=True)
            make(unfinished)
            unfinished.rename(directory / name)
    make_package(directory / "package", directory / kernels)
    say("computing on this machine")
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    here, ours = digests([sys.executable, "-m", "tests.digests"], SOURCE, environment)
    say("computing under qemu")
    there, theirs = emulated(directory)
    if (here["machine"], there["machine"], there["kernels"]) != ("x86_64", "aarch64", "aarch64"):
        raise RuntimeError(f"these are not the machines to be compared: {here}, {there}")
    return report(ours, theirs)


def report(ours, theirs):
    """Say what differs. Exit status 1 if anything does, or if nothing was compared."""
    different = [name for name in ours | theirs if ours.get(name) != theirs.get(name)]
    for name in different:
        say(f"DIFFERS: {name}: {ours.get(name)} here, {theirs.get(name)} under qemu")
    say(f"{len(ours)} things compared, {len(different)} differ")
    return 1 if different or not ours else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
