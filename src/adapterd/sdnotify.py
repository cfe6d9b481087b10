"""sd_notify in thirty lines: tells systemd that the daemon is ready, alive, reloading or stopping.

It never raises: without systemd, or with one that does not answer, the daemon works just the same.
"""

import os
import socket
import time
from collections.abc import Callable, Mapping, MutableMapping
from typing import Self

_VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
_LONGEST = 1024  # bytes of one value: systemd drops a whole message above 4,096


class Notifier:
    """The service's side of the notification socket."""

    def __init__(
        self,
        environ: Mapping[str, str],
        pid: int | None = None,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
        timeout_s: float = 1.0,
    ) -> None:
        """Read where to send, and for whom the watchdog runs."""
        self._address = environ.get("NOTIFY_SOCKET", "")
        self._watchdog_usec = environ.get("WATCHDOG_USEC", "")
        self._watchdog_pid = environ.get("WATCHDOG_PID", "")
        self._pid = os.getpid() if pid is None else pid
        self._monotonic_ns = monotonic_ns
        self._timeout_s = timeout_s

    @classmethod
    def take(cls, environ: MutableMapping[str, str]) -> Self:
        """Read the variables and remove them, so that no child can speak in the daemon's name."""
        return cls({name: environ.pop(name) for name in _VARIABLES if name in environ})

    def notify(self, **fields: str | int) -> bool:
        """Send one message; False where there is nobody to send to or it did not arrive."""
        if not self._address.startswith(("/", "@")) or os.getpid() != self._pid:
            return False
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        message = "\n".join(f"{name}={_one_line(str(value))}" for name, value in fields.items())
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.settimeout(self._timeout_s)
                sock.connect(address)
                sock.sendall(message.encode("utf-8", "backslashreplace"))
        except (OSError, ValueError):  # ValueError: a null byte in the address
            return False
        return True

    def ready(self) -> bool:
        """Say that the start, or a reload, is done."""
        return self.notify(READY=1)

    def reloading(self) -> bool:
        """Say that a reload begins; systemd wants the time to tell it from an earlier one."""
        return self.notify(RELOADING=1, MONOTONIC_USEC=self._monotonic_ns() // 1000)

    def stopping(self) -> bool:
        """Say that the daemon winds down."""
        return self.notify(STOPPING=1)

    def status(self, text: str) -> bool:
        """Show one line in ``systemctl status``."""
        return self.notify(STATUS=text)

    def watchdog(self) -> bool:
        """Say that the loop has turned."""
        return self.notify(WATCHDOG=1)

    def watchdog_interval(self) -> float | None:
        """Give the seconds between two pings, half of what systemd allows; None where it does not watch us."""
        if self._watchdog_pid and self._watchdog_pid != str(self._pid):
            return None
        if not self._watchdog_usec.isdecimal() or int(self._watchdog_usec) == 0:
            return None
        return int(self._watchdog_usec) / 2_000_000


def _one_line(text: str) -> str:
    """Join the lines, since a newline would begin another field, and cut to what systemd takes."""
    flat = " ".join(text.splitlines())
    return flat.encode("utf-8", "backslashreplace")[:_LONGEST].decode("utf-8", "ignore")
