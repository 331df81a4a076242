"""The tests on the oldest versions that pyproject.toml allows: `python -m tests.lower_bounds DIRECTORY`.

It makes a virtual environment in DIRECTORY, installs there each dependency, and each package that the tests need, at
its lower bound, and runs the tests. Kernels compile anew for an older Numba or numpy, into DIRECTORY. What follows
DIRECTORY goes to pytest: `python -m tests.lower_bounds /tmp/lower tests/lander -q`. Options of pip come from its own
variables (PIP_INDEX_URL, PIP_FIND_LINKS): torch's oldest release is a CUDA build of several GB on the usual index.

The bounds are those of the oldest Python that the package allows. A newer one has no wheel of some of them; there pip
takes newer versions by itself. `--list` in the place of DIRECTORY prints the versions and installs nothing.
"""

import os
import pathlib
import subprocess
import sys
import tomllib
import venv

from packaging.requirements import Requirement

ROOT = pathlib.Path(__file__).parent.parent


def lower_bounds(extras=("test",)):
    """Each dependency as `name==bound`. ValueError for one without a lower bound."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    waiting = list(project["dependencies"]) + [line for extra in extras for line in of_extra(project, extra)]
    bounds = {}
    for requirement in map(Requirement, waiting):
        if requirement.marker and not requirement.marker.evaluate():
            continue
        lowest = [part.version for part in requirement.specifier if part.operator in (">=", "==")]
        if len(lowest) != 1:
            raise ValueError(f"pyproject.toml: {requirement} must have one lower bound")
        extra = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
        bounds[requirement.name] = f"{requirement.name}{extra}=={lowest[0]}"
    return sorted(bounds.values())


def of_extra(project, name):
    """The requirements of an extra. An extra can name other extras of the same package."""
    for line in project["optional-dependencies"][name]:
        requirement = Requirement(line)
        if requirement.name == project["name"]:
            for other in sorted(requirement.extras):
                yield from of_extra(project, other)
        else:
            yield line


def main(arguments):
    """Install and test. The exit status is that of the first step that fails."""
    if not arguments or arguments[0].startswith("-"):
        print("\n".join(lower_bounds()) if arguments == ["--list"] else __doc__)
        return 0 if arguments in (["--list"], ["--help"]) else 2
    directory, *options = arguments
    directory = pathlib.Path(directory).absolute()
    python = directory / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        venv.create(directory, with_pip=True)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(directory / "kernels")}
    for command in (["pip", "install", "--quiet", *lower_bounds()], ["pytest", *options]):
        status = subprocess.run([python, "-m", *command], cwd=ROOT, env=environment, check=False).returncode
        if status:
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
