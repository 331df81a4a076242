"""Wheels that carry compiled kernels: `FASTLANDER_KERNELS=x86_64 python -m build`.

Without FASTLANDER_KERNELS the wheel is pure Python, and kernels are compiled at their first use. Its values: x86_64
(all levels), aarch64, native (the level of this machine), or names of levels of `fastlander/kernels/shipped.py`, with
commas. Such a wheel is for Linux and for the version of Python that builds it. Its machine code is used with the same
Numba and llvmlite only; with others, kernels are compiled as if it carried none.

The description of the package is README.md without links into the repository: on the page of a package index they
would lead nowhere.
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface

VARIABLE = "FASTLANDER_KERNELS"
GROUPS = {"x86_64": ["x86-64-v2", "x86-64-v3", "x86-64-v4"], "aarch64": ["aarch64"]}
# glibc's functions of mathematics are all that the code calls of the system.
PLATFORM = "manylinux_2_17"


class CompiledKernels(BuildHookInterface):
    """Compiles the kernels, each level in a process of its own, and puts them into the wheel."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """What compiling needs, as the package asks for it."""
        if not os.environ.get(VARIABLE):
            return []
        needed = ("filelock", "gymnasium>", "numba", "numpy")
        return [line for line in self.metadata.core.dependencies if line.startswith(needed)]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and mark the wheel as one for this Python and this kind of processor."""
        asked_for = os.environ.get(VARIABLE)
        if not asked_for or version == "editable":
            return
        self._folder = tempfile.TemporaryDirectory()
        root, compiled = pathlib.Path(self.root), pathlib.Path(self._folder.name, "compiled")
        levels = self._levels(asked_for, root)
        for level in levels:
            self.app.display_info(f"compiling kernels for {level}")
            environment = {**os.environ, "PYTHONPATH": str(root)}
            command = [sys.executable, "-m", "fastlander.kernels.ship", level, str(compiled / level)]
            subprocess.run(command, env=environment, cwd=root, check=True, stderr=subprocess.DEVNULL)
        build_data["force_include"][str(compiled)] = "fastlander/compiled"
        build_data["pure_python"] = False
        python = f"cp{sys.version_info[0]}{sys.version_info[1]}"
        machine = "aarch64" if levels == ["aarch64"] else "x86_64"
        build_data["tag"] = f"{python}-{python}{sys.abiflags}-{PLATFORM}_{machine}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what was compiled from the temporary folder: it is in the wheel."""
        if hasattr(self, "_folder"):
            self._folder.cleanup()

    def _levels(self, asked_for: str, root: pathlib.Path) -> list[str]:
        """The levels that the variable names."""
        sys.path.insert(0, str(root))
        from fastlander.kernels.shipped import LEVELS, machine_levels

        groups = {**GROUPS, "native": machine_levels()[:1]}
        levels = [level for name in asked_for.split(",") for level in groups.get(name.strip(), [name.strip()])]
        wrong = [level for level in levels if level not in LEVELS]
        if wrong or not levels:
            raise ValueError(f"{VARIABLE} must be {', '.join([*groups, *LEVELS])}, got {asked_for!r}")
        if len({level.startswith("x86") for level in levels}) > 1:
            raise ValueError(f"{VARIABLE} must name levels of one kind of processor, got {asked_for!r}")
        return sorted(set(levels), key=LEVELS.index)


class Description(MetadataHookInterface):
    """README.md for the page of a package index."""

    PLUGIN_NAME = "custom"

    def update(self, metadata: dict[str, Any]) -> None:
        """Set the description."""
        text = pathlib.Path(self.root, "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": without_relative_links(text)}


# Code comes first: brackets in it are no link. A link with a scheme (https:) leads somewhere.
_CODE_OR_LINK = re.compile(
    r"```.*?```|`[^`\n]*`|!?\[([^]]+)\]\((?![a-z]+:)([^)#]*)(?:#[^)]*)?\)|<img src=\"(?![a-z]+:)[^>]*>", re.DOTALL
)


def without_relative_links(text: str) -> str:
    """Markdown whose links and pictures within the repository are text, and that has no `<img>` of one."""
    return _CODE_OR_LINK.sub(_plain, text)


def _plain(found: re.Match[str]) -> str:
    text, path = found[1], found[2]
    if text is None:
        return "" if found[0].startswith("<img") else found[0]
    return text if text.strip("`") == path or not path else f"{text} ({path})"
