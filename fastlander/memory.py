"""The memory that this process can still take, and a check that what is asked for fits in it."""

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fastlander.validation import InputError, shown

UNCHECKED = 2**26
"""Bytes that are granted without a look at the machine, so that small objects cost nothing."""


def check_memory(name: str, value: Any, needed: int) -> None:
    """ValueError if `needed` bytes, which the setting `name` asks for by its `value`, do not fit in memory."""
    if needed <= UNCHECKED:
        return
    available = available_memory()
    if available is not None and needed > available:
        raise InputError(
            f"{name} must fit in this machine's memory, got {shown(value)} "
            f"(needs {amount(needed)}, {amount(available)} are available)"
        )


def check_total(needed: Mapping[str, int], values: Mapping[str, Any]) -> None:
    """ValueError if all that several settings ask for does not fit in memory; it names those with the largest shares.

    Args:
        needed: bytes by the name of the setting.
        values: the values of the settings, by name.
    """
    total = sum(needed.values())
    largest = max(needed, key=lambda name: needed[name])
    if total <= UNCHECKED:
        return
    check_memory(largest, values[largest], needed[largest])
    available = available_memory()
    if available is not None and total > available:
        parts = sorted(needed.items(), key=lambda part: -part[1])
        words = ", ".join(f"{name} {shown(values[name])} {amount(size)}" for name, size in parts if size > 0.05 * total)
        raise InputError(
            f"the settings must fit in this machine's memory together, got {words} "
            f"(needs {amount(total)}, {amount(available)} are available)"
        )


def available_memory() -> int | None:
    """Bytes that this process can still take: the least of what its machine, control group and limits leave.

    None where the system does not tell.
    """
    limits = [*_of_machine(), *_of_control_groups(), *_of_process()]
    return max(min(limits), 0) if limits else None


def amount(size: int) -> str:
    """Bytes in words: 7100000000 is "7.1 GB"."""
    units = ("kB", "MB", "GB", "TB", "PB", "EB")
    power = min(max((len(str(size)) - 1) // 3, 1), len(units))
    return f"{size / 1000**power:.3g} {units[power - 1]}"


def _of_machine(file: Path = Path("/proc/meminfo")) -> Iterator[int]:
    """Memory and swap that are free or can be freed (Linux), or all memory where only that is known (macOS)."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        fields = dict(line.split(":") for line in file.read_text().splitlines())
        yield sum(int(fields[name].split()[0]) for name in ("MemAvailable", "SwapFree")) * 1024
        return
    with contextlib.suppress(ImportError, AttributeError, OSError, ValueError):
        yield os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _of_control_groups(
    root: Path = Path("/sys/fs/cgroup"), membership: Path = Path("/proc/self/cgroup")
) -> Iterator[int]:
    """What the control groups of this process, version 1 or 2, and those around them leave (Linux; containers)."""
    try:
        lines = os.fsdecode(membership.read_bytes()).splitlines()  # it has names of directories, in any encoding
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        top = root / "memory" if controllers else root
        names = ("memory.limit_in_bytes", "memory.usage_in_bytes") if controllers else ("memory.max", "memory.current")
        group = top / path.strip("/")
        # In a container the path may be one that only its host has. The container's own group is then the top.
        for directory in {group, *group.parents, top}:
            if not directory.is_relative_to(top):
                continue
            with contextlib.suppress(OSError, ValueError):
                limit, used = (int((directory / name).read_text()) for name in names)
                yield limit - used + _page_cache(directory)


def _page_cache(group: Path) -> int:
    """Bytes of files that a control group holds in memory and would drop for anything else."""
    statistics = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    names = ("total_active_file", "total_inactive_file")
    return sum(int(statistics.get(name) or statistics.get(name.removeprefix("total_"), 0)) for name in names)


def _of_process() -> Iterator[int]:
    """What the limits on this process's address space and data (`ulimit -v`, `ulimit -d`) leave."""
    if sys.platform == "win32":
        return
    import resource

    with contextlib.suppress(OSError, ValueError, IndexError):
        pages = Path("/proc/self/statm").read_text().split()
        for limit, used in ((resource.RLIMIT_AS, pages[0]), (resource.RLIMIT_DATA, pages[5])):
            allowed = resource.getrlimit(limit)[0]
            if allowed != resource.RLIM_INFINITY:
                yield allowed - int(used) * resource.getpagesize()
