"""The Gates port: commands of the operator's own, each in a process group of its own, without a token.

A gate is no part of adapterd: it may hang, flood, leave processes behind or lie. Whatever it does, the daemon waits no
longer than the deadline, keeps no more than the end of its output, and kills all that it started when it is over, in
its group or not.
"""

import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from adapterd.core.reasons import BY_CODE
from adapterd.log import redact
from adapterd.ports import GateAnswer, GateFailed, GateRequest
from adapterd.worker import strays
from adapterd.worker.environment import MARK, worker_environment
from adapterd.worker.tail import BYTES, LogTail

MOST_OUTPUT = 1024 * 1024
"""Bytes of standard output in which metrics are looked for: the last ones."""
LINES = 20
LETTERS = 2000
"""How much of a gate's last words is kept."""

_DEEPEST = 8  # a metric nested deeper is cut there
_PLACE = "{snapshot}"
_REAP = 10.0  # seconds that a killed process may take to go
_DRAIN = 1.0  # seconds for the rest of its output: a process that left its group may hold the pipe for ever


class GateRunner:
    """Runs gates. `ask` belongs to one thread; `close` may be called from any, and is for good."""

    def __init__(
        self, *, clock: Callable[[], float] = time.monotonic, environ: Mapping[str, str] | None = None
    ) -> None:
        """Start nothing yet; `environ` is the environment to choose from, the process's own where None."""
        self._clock = clock
        self._environ = environ
        self._lock = threading.Lock()
        self._closed = False
        self._run: _Run | None = None

    def ask(self, request: GateRequest) -> GateAnswer:
        """Run a gate to its end.

        Raises:
            GateFailed: it could not be started, did not end in time, was killed by a signal, or adapterd is stopping.
        """
        name, began = Path(request.command[0]).name, self._clock()
        try:
            room = tempfile.TemporaryDirectory(prefix="adapterd-gate-", ignore_cleanup_errors=True)
        except OSError as error:
            raise _failed(name, f"could not be started: there is no folder to work in: {error}") from error
        with room as folder:
            run = self._start(request, name, folder)
            try:
                in_time = run.wait(request.seconds)
            finally:
                with self._lock:  # nobody else kills by an id that is about to be free
                    run.end()
                    self._run = None
        seconds = round(self._clock() - began, 3)
        if self._closed:
            raise _failed(name, "was ended, since adapterd stops")
        if not in_time:
            raise _failed(name, f"did not end within {request.seconds:g} s and was killed", run.tail())
        if not run.began:
            raise _failed(name, "could not be started", run.tail())
        if run.fault:
            raise _failed(name, f"could not be started: {run.fault}")
        if run.status < 0:
            raise _failed(name, f"died of {_signal(-run.status)}", run.tail())
        return GateAnswer(seconds, run.status, _metrics(run.output()), run.tail())

    def close(self) -> None:
        """End the one that runs, and start no other."""
        with self._lock:
            self._closed = True
            if self._run is not None:
                self._run.kill()

    def _start(self, request: GateRequest, name: str, folder: str) -> "_Run":
        ambient = os.environ if self._environ is None else self._environ
        environment = worker_environment(ambient, request.threads) | {
            "ADAPTERD_BASE": request.base,
            "ADAPTERD_SNAPSHOT": request.snapshot,
            "TMPDIR": folder,
        }
        program, *arguments = request.command
        # Not in the program's own name: what comes from an adapter is never run.
        command = [program, *(argument.replace(_PLACE, request.snapshot) for argument in arguments)]
        with self._lock:
            if self._closed:
                raise _failed(name, "was not started, since adapterd stops")
            try:
                self._run = _Run(command, environment, folder)
            except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: no more threads
                raise _failed(name, f"could not be started: {error}") from error
            return self._run


class _Run:
    """One gate's process group, and what it wrote."""

    def __init__(self, command: list[str], environment: Mapping[str, str], folder: str) -> None:
        """Start it."""
        self._mark = secrets.token_hex(16)
        self._pipe, theirs = os.pipe()
        os.set_blocking(self._pipe, False)
        launch = [sys.executable, "-P", "-m", "adapterd.worker.launch", str(os.getpid()), str(theirs)]
        try:
            self._process = subprocess.Popen(  # noqa: S603 - the operator's own command, from the configuration
                [*launch, *command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=(theirs,),
                start_new_session=True,
                env={**environment, MARK: self._mark},
                cwd=folder,
            )
        except BaseException:
            os.close(self._pipe)
            raise
        finally:
            os.close(theirs)
        self.began, self.fault, self.status = False, "", 0
        # It waits without reaping: until then nobody else can have its id, by which the group is killed.
        self._waiting = threading.Thread(target=self._await, name="gate", daemon=True)
        try:
            self._out = _drained(self._process.stdout, MOST_OUTPUT)
            self._err = _drained(self._process.stderr, BYTES)
            self._waiting.start()
        except BaseException:
            self.end()
            raise

    def wait(self, seconds: float) -> bool:
        """Wait for its end; whether it came in time."""
        self._waiting.join(seconds)
        return not self._waiting.is_alive()

    def kill(self) -> None:
        """SIGKILL to the whole group and what left it, while it is not reaped."""
        if self._process.returncode is None:
            strays.end(self._mark, self._process.pid)
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def end(self) -> None:
        """Kill what is left of the group, and take its status."""
        self.kill()
        with suppress(subprocess.TimeoutExpired):
            self.status = self._process.wait(_REAP)
        strays.end(self._mark)
        told = b""
        with suppress(BlockingIOError):
            told = os.read(self._pipe, 4096)
        os.close(self._pipe)
        self.began, self.fault = told.startswith(b"+"), told[1:].decode(errors="replace")

    def output(self) -> str:
        """What it wrote to standard output; only the end of it where that is long."""
        return self._out.whole(_DRAIN)

    def tail(self) -> str:
        """Its last words: of standard error, or of standard output where the other is empty."""
        said = self._err.text(_DRAIN).strip() or self._out.text(_DRAIN).strip()
        return "\n".join(_clean(said).splitlines()[-LINES:])[-LETTERS:]

    def _await(self) -> None:
        with suppress(ChildProcessError):
            os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)


def _drained(stream: Any, keep: int) -> LogTail:  # noqa: ANN401 - subprocess's own pipe
    """Hand the pipe over to a thread that reads it to its end."""
    with stream:
        return LogTail(os.dup(stream.fileno()), keep)


def _failed(name: str, text: str, tail: str = "") -> GateFailed:
    return GateFailed(f"gate {name} {text}", BY_CODE["gate_failed"].hint, tail=tail)


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _metrics(output: str) -> Mapping[str, Any]:
    """The JSON object that the output is, or that its last line is; empty where there is none."""
    for text in (output, next((line for line in reversed(output.splitlines()) if line.strip()), "")):
        with suppress(ValueError, RecursionError):
            found = json.loads(text)
            if isinstance(found, dict):
                plain: Mapping[str, Any] = _plain(found)
                return plain
    return {}


def _plain(value: Any, depth: int = 0) -> Any:  # noqa: ANN401 - any JSON value
    """The value without secrets, and not too deep. Numbers stay, whatever they are called."""
    if isinstance(value, str):
        return _clean(value)
    if isinstance(value, dict | list) and depth >= _DEEPEST:
        return "..."
    if isinstance(value, dict):
        return {_clean(key): _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item, depth + 1) for item in value]
    return value


def _clean(text: str) -> str:
    """Without secrets, and without lone surrogates, which nothing can store."""
    return redact(text.encode("utf-8", "replace").decode())
