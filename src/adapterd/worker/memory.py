"""How much memory the host has and can give now: the kernel's figures, and the limits of our control groups."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from adapterd.worker.room import Device

_LIMITS = ("memory.max", "memory.high")
"""Above the first the kernel kills, above the second it slows a process down to a crawl."""


def host(proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> Device:
    """The CPU with its memory; what nobody says is None."""
    total, free = _kernel(proc)
    for most, used in _limits(proc, groups):
        total = most if total is None else min(total, most)
        left = max(most - used, 0)
        free = left if free is None else min(free, left)
    return Device("cpu", total, free)


def _kernel(proc: Path) -> tuple[int | None, int | None]:
    """All of the host's memory, and what is available without swapping."""
    try:
        lines = (proc / "meminfo").read_text(encoding="ascii").splitlines()
        named = dict(line.split(":", 1) for line in lines if ":" in line)
        return tuple(int(named[key].split()[0]) * 1024 for key in ("MemTotal", "MemAvailable"))  # type: ignore[return-value] # two keys
    except (OSError, KeyError, ValueError):
        with suppress(OSError, ValueError, AttributeError):  # not Linux: the size at least
            return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), None
    return None, None


def _limits(proc: Path, groups: Path) -> Iterator[tuple[int, int]]:
    """Each limit that we are under, and what counts against it: of our group (version 2) and all above it."""
    try:
        lines = (proc / "self" / "cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    own = next((line[3:] for line in lines if line.startswith("0::/")), None)
    if own is None:
        return
    group = groups / own.strip("/")
    for folder in (group, *group.parents):
        if not folder.is_relative_to(groups):
            return
        used = _number(folder / "memory.current")
        for name in _LIMITS:
            most = _number(folder / name)
            if most is not None and used is not None:
                # Pages of files that are given up when they are needed: those of the base's own weights above all.
                yield most, max(used - _stat(folder / "memory.stat", "inactive_file"), 0)


def _number(path: Path) -> int | None:
    """A file's number; None for `max`, and where there is no such file."""
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _stat(path: Path, key: str) -> int:
    """One entry of a file of pairs, 0 where it is not there."""
    with suppress(OSError, ValueError):
        for line in path.read_text(encoding="ascii").splitlines():
            name, _, value = line.partition(" ")
            if name == key:
                return int(value)
    return 0
