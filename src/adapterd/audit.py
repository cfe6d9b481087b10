"""The audit log: who did what, and why. Append-only lines of JSON, each chained to the one before.

Every line has `schema`, `at`, `uid`, `user`, `do`, `arguments`, `reason`, `outcome`, and `prev`: the sha256 of the
line before it without its newline, or 64 zeros in the first. Whoever changes, removes or inserts a line breaks the
chain there; whoever cuts the end off does not, so copy the file elsewhere where that matters.

A crash can leave a torn last line. It stays as it is, and the next entry begins on a line of its own. A torn line
carries no digest, so the next entry's covers it together with the entry before it.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from adapterd.core.errors import AdapterdError
from adapterd.durable import sync

SCHEMA = 1

_FIRST = "0" * 64
_BLOCK = 65536


@dataclass(frozen=True, slots=True)
class Entry:
    """One act: when (seconds since the epoch), who, what with which arguments, why, and what came of it."""

    at: float
    uid: int
    user: str
    do: str
    arguments: Mapping[str, Any]
    reason: str
    outcome: str


class AuditLog:
    """One file. Threads and processes may append to it at the same time."""

    def __init__(self, path: Path) -> None:
        """Name the file; the first entry makes it."""
        self.path = path

    def append(self, entry: Entry) -> None:
        """Add an entry, durable when this returns. AdapterdError where it cannot be written."""
        with self._explained(), _opened(self.path, os.O_RDWR | os.O_APPEND) as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # given back with the descriptor
            before, whole = _end(file)
            previous = hashlib.sha256(before).hexdigest() if before else _FIRST
            line = json.dumps({"schema": SCHEMA, **asdict(entry), "prev": previous}, separators=(",", ":"))
            _write(file, (b"" if whole else b"\n") + line.encode() + b"\n")
            os.fsync(file)

    def demand(self) -> None:
        """AdapterdError where an entry cannot be written just now."""
        with self._explained(), _opened(self.path, os.O_RDWR | os.O_APPEND):
            pass

    def broken_at(self) -> int | None:
        """Give the first line, counted from 1, that does not vouch for what stands before it; None where all do."""
        before = b""
        with self._explained(), self.path.open("rb") as file:
            for number, raw in enumerate(file, start=1):
                line = raw.removesuffix(b"\n")
                vouched = _vouched(line)
                if vouched is None:
                    before = before + b"\n" + line if before else line
                elif vouched != (hashlib.sha256(before).hexdigest() if before else _FIRST):
                    return number
                else:
                    before = line
        return None

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Say what the operating system's refusal means to a person."""
        try:
            yield
        except OSError as error:
            raise AdapterdError(
                f"the audit log {self.path} cannot be used: {error.strerror or error}",
                "let the user of adapterd write to its folder, and make room there",
            ) from error


def _vouched(line: bytes) -> str | None:
    """The digest that an entry carries of the line before it; None where the line is no entry."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    previous = entry.get("prev") if isinstance(entry, dict) else None
    return previous if isinstance(previous, str) else None


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    """Open the file, made with mode 0600 and durable in its folder where it is new."""
    flags |= os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        file = os.open(path, flags)
    except FileNotFoundError:
        file = os.open(path, flags | os.O_CREAT, 0o600)
        sync(path.parent)
    try:
        yield file
    finally:
        os.close(file)


def _end(file: int) -> tuple[bytes, bool]:
    """The last entry and any torn lines behind it, without the last newline; and whether the last line is whole."""
    start = os.fstat(file).st_size
    if start == 0:
        return b"", True
    tail = b""
    while True:
        begin = max(0, start - _BLOCK)
        tail, start = os.pread(file, start - begin, begin) + tail, begin
        lines = tail.removesuffix(b"\n").split(b"\n")
        # What stands at the start of the block may be the rest of a longer line.
        for first in range(len(lines) - 1, -1 if start == 0 else 0, -1):
            if _vouched(lines[first]) is not None:
                return b"\n".join(lines[first:]), tail.endswith(b"\n")
        if start == 0:
            return b"\n".join(lines), tail.endswith(b"\n")


def _write(file: int, data: bytes) -> None:
    """Write everything; a signal or a quota may cut one write short."""
    while data:
        data = data[os.write(file, data) :]
