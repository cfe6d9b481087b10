"""What both sides of the control socket agree on: its errors, its lines, its exit codes, its path."""

import json
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapterd.core.errors import AdapterdError
from adapterd.ports import Conflict, Denied, DeviceBusy, LostLease, NotFound, Transient

SCHEMA = 1
LONGEST_PATH = 107
"""Bytes that the kernel has for a socket's path."""
LONGEST_REQUEST = 1024 * 1024
"""Bytes of one request, its newline included."""
LONGEST_ANSWER = 64 * 1024 * 1024

BUG, USAGE, ACT, NOT_FOUND, DENIED, LATER, CONFIGURATION = 1, 2, 4, 5, 6, 75, 78
_EXITS: tuple[tuple[type[AdapterdError], int], ...] = (
    (Denied, DENIED),
    (NotFound, NOT_FOUND),
    (Transient, LATER),
    (Conflict, LATER),
    (DeviceBusy, LATER),
    (LostLease, LATER),
)
_BLOCK = 65536


class NoDaemonError(AdapterdError):
    """Nobody listens at the socket."""


class ControlError(AdapterdError):
    """The daemon refused, or did not answer; `exit` is the exit code that says which."""

    def __init__(self, message: str, hint: str = "", *, exit: int = ACT) -> None:  # noqa: A002 - the wire's word
        """Keep the exit code."""
        super().__init__(message, hint)
        self.exit = exit


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody asks the daemon to do, and why; `uid` and `user` are the kernel's word, not theirs."""

    do: str
    arguments: Mapping[str, Any]
    reason: str
    uid: int
    user: str


def exit_code(error: AdapterdError) -> int:
    """The exit code of an error: its own `exit` where it has one, else its class's; a person must act otherwise."""
    own = getattr(error, "exit", None)
    if isinstance(own, int):
        return own
    return next((code for kind, code in _EXITS if isinstance(error, kind)), ACT)


def demand_short(path: Path) -> None:
    """AdapterdError where the kernel has no room for the path."""
    length = len(os.fsencode(path))
    if length > LONGEST_PATH:
        raise ControlError(
            f"the control socket's path {path} has {length} bytes; the kernel takes {LONGEST_PATH}",
            "set a shorter runtime_dir, such as /run/adapterd",
            exit=CONFIGURATION,
        )


def read_line(peer: socket.socket, longest: int, until: float) -> bytes:
    """One line without its newline. However slowly it drips, it ends at `until`."""
    found = bytearray()
    while b"\n" not in found[-_BLOCK:]:
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the line did not end in time")
        peer.settimeout(left)
        block = peer.recv(_BLOCK)
        if not block:
            raise ConnectionResetError("the line did not end")
        found += block
        if len(found) > longest:
            raise ControlError(f"a line has more than {longest} bytes", "ask for it in parts", exit=USAGE)
    return bytes(found[: found.index(b"\n")])


def request(line: bytes, uid: int, user: str) -> Request:
    """Parse a request; ControlError where it is none."""
    try:
        asked = document(line)
    except ValueError as error:
        raise ControlError(f"the request is no JSON object: {error}", exit=USAGE) from error
    do, arguments, reason = asked.get("do"), asked.get("arguments", {}), asked.get("reason", "")
    if asked.get("schema") != SCHEMA:
        raise ControlError(
            f"the daemon speaks schema {SCHEMA}, the request has {asked.get('schema')!r}",
            "restart the daemon: it is not of this adapterd's version",
            exit=USAGE,
        )
    if not isinstance(do, str) or not isinstance(arguments, dict) or not isinstance(reason, str):
        raise ControlError("a request has `do` and `reason`, two texts, and `arguments`, an object", exit=USAGE)
    return Request(do, arguments, reason, uid, user)


def document(line: bytes) -> dict[str, Any]:
    """Parse a line; ValueError where it is no JSON object."""
    try:
        document = json.loads(line, parse_constant=_no_number)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    if not isinstance(document, dict):
        raise ValueError("not an object")  # noqa: TRY004 - what the caller takes as a malformed line
    return document


def _no_number(name: str) -> float:
    """Refuse what JSON does not have."""
    raise ValueError(f"{name} is no number")


def refusal(message: str, hint: str, code: int) -> dict[str, Any]:
    """An answer that says no."""
    return {"schema": SCHEMA, "ok": False, "exit": code, "message": message, "hint": hint}


def line(document: Mapping[str, Any]) -> bytes:
    """One line of JSON."""
    return json.dumps(document, separators=(",", ":"), allow_nan=False).encode() + b"\n"
