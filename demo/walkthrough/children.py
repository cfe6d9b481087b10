"""Child processes: started with a log file each, ended by their own id, whatever becomes of this process."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

PATIENCE = 20.0
"""Seconds in which a child ends by itself once it was told to."""
_TAIL = 12


class ChildError(Exception):
    """A child process did not do what it was started for."""


class Children:
    """Every process that was started here; leaving the block ends those that still run, the youngest first."""

    def __init__(self, logs: Path) -> None:
        """`logs` is the folder that takes what they print."""
        self._logs = logs
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, command: Sequence[str], environ: Mapping[str, str], out: Path | None = None) -> None:
        """Start one, in a session of its own: Ctrl-C reaches this process alone, which then ends it in order.

        What it prints goes into its log; with `out` its standard output goes there.
        """
        with ExitStack() as files:
            log = files.enter_context(self.log(name).open("wb"))
            told = files.enter_context(out.open("wb")) if out else log
            self._running[name] = subprocess.Popen(
                command, env=environ, stdin=subprocess.DEVNULL, stdout=told, stderr=log, start_new_session=True
            )

    def python(self, name: str, script: Path, arguments: Sequence[str], environ: Mapping[str, str]) -> None:
        """Start one of the scripts beside `demo.py`."""
        self.start(name, [sys.executable, str(script), *arguments], environ)

    def log(self, name: str) -> Path:
        """What it has printed so far."""
        return self._logs / f"{name}.log"

    def ended(self, name: str) -> bool:
        """Whether it has ended; ChildError where it failed."""
        code = self._running[name].poll()
        if code:
            raise ChildError(f"{name} ended with exit code {code}:\n{self.tail(name)}")
        return code is not None

    def demand_running(self, name: str) -> None:
        """ChildError where a service is gone."""
        code = self._running[name].poll()
        if code is not None:
            raise ChildError(f"{name} has ended, with exit code {code}:\n{self.tail(name)}")

    def ask(self, name: str, command: Sequence[str], environ: Mapping[str, str], until: float) -> str:
        """Run one to its end; what it wrote to standard output."""
        out = self._logs / f"{name}.out"
        self.start(name, command, environ, out)
        self.wait(name, until)
        return out.read_text(encoding="utf-8")

    def wait(self, name: str, until: float) -> None:
        """Wait until it has ended well; ChildError where it failed or runs longer than `until` (monotonic seconds)."""
        try:
            self._running[name].wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise ChildError(f"{name} takes too long:\n{self.tail(name)}") from None
        self.ended(name)

    def tail(self, name: str) -> str:
        """The last lines that it printed."""
        lines = self.log(name).read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-_TAIL:])

    def stop(self) -> dict[str, int]:
        """End every child that still runs, the youngest first; their exit codes. A second Ctrl-C waits for the end."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        try:
            return self._stop()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _stop(self) -> dict[str, int]:
        codes = {}
        for name, child in reversed(list(self._running.items())):
            if child.poll() is None:
                child.terminate()
                try:
                    child.wait(PATIENCE)
                except subprocess.TimeoutExpired:
                    # Its session is its own, so its children go with it.
                    os.killpg(child.pid, signal.SIGKILL)
                    child.wait()
            codes[name] = child.returncode
        self._running.clear()
        return codes

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End them all."""
        self.stop()
