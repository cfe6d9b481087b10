"""The command line's side of the control socket."""

import contextlib
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adapterd.control import wire
from adapterd.control.wire import ControlError, NoDaemonError


def call(
    path: Path, do: str, arguments: Mapping[str, Any], reason: str = "", timeout: float = 60.0
) -> Mapping[str, Any]:
    """Ask the daemon to do something; what its handler gave.

    Raises:
        NoDaemonError: nobody listens.
        ControlError: the daemon refused, or whether it was done is not known.
    """
    wire.demand_short(path)
    until = time.monotonic() + timeout
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as client:
        client.settimeout(timeout)
        try:
            client.connect(os.fspath(path))
        except PermissionError as error:
            raise ControlError(
                f"{path} may not be used: {error.strerror}", "run it as the user of the daemon", exit=wire.DENIED
            ) from error
        except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError) as error:
            raise NoDaemonError(f"no daemon listens at {path}", "start it with `adapterd watch`") from error
        except OSError as error:  # its queue is full, which is EAGAIN or a timeout
            raise ControlError(
                f"the daemon at {path} takes no requests: {error.strerror or error}",
                "again in a moment",
                exit=wire.LATER,
            ) from error
        asked = wire.line({"schema": wire.SCHEMA, "do": do, "arguments": dict(arguments), "reason": reason})
        if len(asked) > wire.LONGEST_REQUEST:
            raise ControlError(
                f"the request has {len(asked)} bytes; the daemon takes {wire.LONGEST_REQUEST}",
                "ask for it in parts",
                exit=wire.USAGE,
            )
        try:
            # A daemon that refuses answers at once and may not read: its answer matters, not that sending failed.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                client.sendall(asked)
            answer = wire.document(wire.read_line(client, wire.LONGEST_ANSWER, until))
        except (OSError, ValueError) as error:
            late = isinstance(error, TimeoutError)
            raise ControlError(
                f"the daemon did not answer within {timeout:g} s" if late else "the daemon ended before it answered",
                "whether it was done is not known: see `adapterd status`",
                exit=wire.LATER,
            ) from error
    if answer.pop("ok", False) is not True:
        raise ControlError(
            str(answer.get("message", "")), str(answer.get("hint", "")), exit=int(answer.get("exit", wire.BUG))
        )
    answer.pop("schema", None)
    return answer
