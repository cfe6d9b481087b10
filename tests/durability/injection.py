"""strace around one function in a process of its own: record its system calls, or make one of them fail.

The function is forked from a process that has imported everything, so that a life costs no start of Python.
"""

import ctypes
import json
import os
import re
import select
import shutil
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILES = (
    "write", "pwrite64", "writev", "pwritev", "fsync", "fdatasync", "rename", "renameat", "renameat2", "mkdir",
    "mkdirat", "rmdir", "unlink", "unlinkat", "openat", "creat", "ftruncate", "fallocate", "chmod", "fchmod",
    "fchmodat", "link", "linkat", "symlink", "symlinkat", "copy_file_range", "sendfile",
)  # fmt: skip
"""System calls that change files."""
NETWORK = ("connect", "sendto", "sendmsg", "sendmmsg", "shutdown")
"""System calls that change what another process knows."""
_PR_SET_PTRACER, _ANYBODY = 0x59616D61, ctypes.c_ulong(-1)
_CALL = re.compile(r"^(\d+) +(\w+)\((.*)$")
_PATIENCE = 60.0


def missing() -> str:
    """Why system calls cannot be injected here; empty where they can."""
    if shutil.which("strace") is None:
        return "strace is not installed: `apt-get install strace`, or the like"
    tried = subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True, text=True, check=False)
    return f"strace may not trace here: {tried.stderr.strip()[:200]}" if tried.returncode else ""


@dataclass(frozen=True, slots=True)
class Spot:
    """The n-th call of this name in one thread."""

    call: str
    number: int


@dataclass(frozen=True, slots=True)
class Ended:
    """How a function ended: what it gave, or the signal that killed it; and whether anything was injected."""

    value: Any
    signal: int
    injected: bool


def apart(work: Callable[[], object], log: Path, trace: Sequence[str] = (), out: Path | None = None) -> Ended:
    """Run a function in a forked process, under strace where `trace` gives its options; its output goes to `log`."""
    go, ready = os.pipe()
    answer, given = socket.socketpair()  # a write to a pipe would be one more call to inject
    pid = os.fork()
    if pid == 0:
        _child(work, log, go, given, ready)
    os.close(go)
    given.close()
    tracer = _attached(pid, trace, out) if out is not None else None
    os.write(ready, b"!")
    os.close(ready)
    with answer, answer.makefile("rb") as file:
        said = file.read()
    _, status = os.waitpid(pid, 0)
    if tracer is not None:
        tracer.communicate()
    value = json.loads(said) if said else None
    traced = out.read_text() if out is not None else ""
    injected = "(INJECTED)" in traced or "+++ killed by" in traced
    return Ended(value, os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0, injected)


def _child(work: Callable[[], object], log: Path, go: int, given: socket.socket, ready: int) -> None:
    """Wait for the word, work, answer, and be gone: nothing of the parent's is cleaned up here."""
    code = 1
    try:
        os.close(ready)
        ctypes.CDLL(None).prctl(_PR_SET_PTRACER, _ANYBODY, 0, 0, 0)
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(out, 1)
        os.dup2(out, 2)
        os.read(go, 1)
        value = work()
        given.sendall(json.dumps(value).encode())
        code = 0
    except BaseException:  # noqa: BLE001 - the parent reads it in the log
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code)


def _attached(pid: int, trace: Sequence[str], out: Path) -> "subprocess.Popen[str]":
    command = ["strace", "-f", "-o", str(out), *trace, "-p", str(pid)]
    tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert tracer.stderr is not None
    said = ""
    while "attached" not in said:
        assert select.select([tracer.stderr], [], [], _PATIENCE)[0], "strace does not attach"
        line = tracer.stderr.readline()
        assert line, f"strace ended: {said}"
        said += line
    return tracer


def recording(calls: Sequence[str]) -> list[str]:
    """The options that only record; names that this machine does not have are left out."""
    return ["-e", "trace=" + ",".join(f"?{call}" for call in calls)]


def injecting(spot: Spot, what: str, *, onwards: bool) -> list[str]:
    """The options that inject at one spot, or from there on: `signal=SIGKILL`, `error=ENOSPC`."""
    when = f"{spot.number}+" if onwards else str(spot.number)
    return ["-e", f"trace={spot.call}", "-e", f"inject={spot.call}:{what}:when={when}"]


def spots(record: Path) -> list[Spot]:
    """Every spot of a recording, in order, counted by thread as strace does; an `openat` that makes nothing is none."""
    counts: Counter[tuple[str, str]] = Counter()
    found: dict[Spot, None] = {}
    for line in record.read_text().splitlines():
        if (match := _CALL.match(line)) is None:
            continue
        thread, call, rest = match.groups()
        counts[thread, call] += 1
        if call != "openat" or "O_CREAT" in rest:
            found.setdefault(Spot(call, counts[thread, call]))
    return list(found)
