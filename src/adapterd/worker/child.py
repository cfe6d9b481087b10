"""One worker process: its process group, its end of the wire, and the last of its output."""

import contextlib
import os
import secrets
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence

from adapterd.worker import strays
from adapterd.worker.environment import MARK
from adapterd.worker.tail import LogTail
from adapterd.worker.wire import LONGEST_LINE, BadMessage

_TURN = 0.25
"""How often a silent worker is looked at: its end of the wire may live on in a process that it started."""
_REAP = 10.0
"""How long a killed process may take to go; one that hangs in a driver is left to the kernel."""


class OverdueError(Exception):
    """The deadline passed."""


class GoneError(Exception):
    """The process ended, or closed its end of the wire."""


class Child:
    """A process in a session of its own. All that it started dies with it, in its group or not: it has no other use."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], clock: Callable[[], float]) -> None:
        """Start `command` with ``--fd N --parent PID``; N is its end of the wire."""
        self._clock = clock
        self._buffer = bytearray()
        self._mark = secrets.token_hex(16)
        self.closed_by_us = False
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module, or a test's
                    [*command, "--fd", str(theirs.fileno()), "--parent", str(os.getpid())],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                    env={**environment, MARK: self._mark},
                    cwd="/",
                )
            except BaseException:
                ours.close()
                raise
        self._wire = ours
        stdout = self._process.stdout
        self._log = LogTail(os.dup(stdout.fileno()) if stdout else os.open(os.devnull, os.O_RDONLY))
        if stdout:
            stdout.close()

    @property
    def pid(self) -> int:
        """The worker's process id, which is also its group's."""
        return self._process.pid

    def alive(self) -> bool:
        """Tell whether the process still runs."""
        return self._process.poll() is None

    def send(self, line: bytes, deadline: float) -> None:
        """Write one line.

        Raises:
            OverdueError: the worker does not read.
            GoneError: it is gone.
        """
        try:
            self._wire.settimeout(max(deadline - self._clock(), 0.001))
            self._wire.sendall(line)
        except TimeoutError as exc:
            raise OverdueError from exc
        except OSError as exc:
            raise GoneError from exc

    def receive(self, deadline: float) -> bytes:
        """Read one line.

        Raises:
            OverdueError: none came in time.
            GoneError: none will come.
            BadMessage: it has no end.
        """
        while (left := deadline - self._clock()) > 0 and b"\n" not in self._buffer:
            if len(self._buffer) > LONGEST_LINE:
                raise BadMessage(f"a line of more than {LONGEST_LINE} bytes")
            ended = not self.alive()  # asked before the read: what it wrote before its end is still read
            try:
                self._wire.settimeout(0.001 if ended else min(left, _TURN))
                chunk = self._wire.recv(65536)
            except TimeoutError:
                if not ended:
                    continue
                chunk = b""
            except OSError:
                chunk = b""
            if not chunk:
                raise GoneError
            self._buffer += chunk
        if left <= 0:  # also of one that talks without end
            raise OverdueError
        line, _, rest = self._buffer.partition(b"\n")
        self._buffer = rest
        return bytes(line)

    def clear_log(self) -> None:
        """Forget the output so far."""
        self._log.clear()

    def log(self) -> str:
        """Give the last lines of its output."""
        return self._log.text()

    def settle(self, wait: float = 0.0) -> tuple[int | None, str]:
        """Wait shortly for an end that has begun, then end the group; exit status and the last of its output.

        The status is as in subprocess: negative for a signal, None for a process that still ran.
        """
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(wait)
        status = self._process.poll()
        self.close()
        return status, self._log.text(_TURN)

    def kill(self) -> None:
        """SIGKILL to the whole group and what left it: native code in a loop hears nothing softer."""
        if self.alive():
            strays.end(self._mark, self.pid)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_REAP)
        strays.end(self._mark)

    def close(self) -> None:
        """End the group and our end of the wire; only for the thread that reads from it."""
        self.kill()
        self._wire.close()
