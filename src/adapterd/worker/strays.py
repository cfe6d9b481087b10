"""End everything that a worker or a gate started, wherever it went: out of its group, or from one parent to the next.

Each of them has a random mark in its environment, which what it starts inherits. While a worker lives, whoever
descends from it is found as well, with or without the mark: its orphans come back to it, since it is their reaper
(`worker.yielding`). Linux alone, and only as far as /proc shows: the process group is killed by `worker.child`
everywhere.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from adapterd.worker.environment import MARK

_ROUNDS = 20
"""Looks at the process table: what forks faster than it is killed is stopped by its own limit of processes."""
_LONGEST = 256 * 1024
"""Bytes of an environment that are read."""
PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class _Process:
    """One running process of our user."""

    pid: int
    parent: int
    marked: bool


def end(mark: str, root: int | None = None, proc: Path = PROC) -> None:
    """SIGKILL to all processes with this mark, and to the descendants of `root`, which itself is spared.

    Call it with the root while that lives; afterwards its descendants are nobody's. Zombies are left to their parents.
    """
    for _ in range(_ROUNDS):
        found = _strays(list(_processes(mark, proc)), root)
        if not found:
            return
        for process in found:
            _kill(process, mark, proc)


def _strays(processes: list[_Process], root: int | None) -> list[_Process]:
    """The marked ones and the descendants of the root."""
    family = set() if root is None else {root}
    grown = bool(family)
    while grown:
        fresh = {process.pid for process in processes if process.parent in family} - family
        family |= fresh
        grown = bool(fresh)
    spared = {root, os.getpid()}
    return [each for each in processes if (each.marked or each.pid in family) and each.pid not in spared]


def _processes(mark: str, proc: Path) -> Iterator[_Process]:
    """Every process of our user that runs."""
    own = os.getuid()
    try:
        names = [path.name for path in proc.iterdir() if path.name.isdecimal()]
    except OSError:
        return
    for name in names:
        with suppress(OSError):
            if (proc / name).stat().st_uid == own and (found := _process(int(name), mark, proc)):
                yield found


def _process(pid: int, mark: str, proc: Path) -> _Process | None:
    """One process as it is now; None where it has ended."""
    try:
        state, parent = (proc / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()[:2]
    except (OSError, ValueError):
        return None
    if state in (b"Z", b"X"):
        return None
    environment = b""
    with suppress(OSError), (proc / str(pid) / "environ").open("rb") as file:
        environment = file.read(_LONGEST)
    return _Process(pid, int(parent), f"{MARK}={mark}".encode() in environment.split(b"\0"))


def _kill(process: _Process, mark: str, proc: Path) -> None:
    """Kill it, if its number still means the process that was found."""
    if not hasattr(os, "pidfd_open"):
        return
    with suppress(OSError):
        held = os.pidfd_open(process.pid)
        try:
            if _process(process.pid, mark, proc) == process:
                signal.pidfd_send_signal(held, signal.SIGKILL)
        finally:
            os.close(held)
