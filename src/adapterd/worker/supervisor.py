"""The Validator port over one supervised worker process. No torch here.

The worker is started when there is something to measure, kept warm for the next adapter, and killed with all that it
started on deadline, after any death or breach of protocol, when it says that it is spent, and when it has been idle for
long. However it ends, the end has a name, and the next request gets a fresh one.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from adapterd.core.reasons import BY_CODE
from adapterd.fingerprints import Digests
from adapterd.ports import DeviceBusy, DeviceTooSmall, NoSuchDevice, ProbeRequest, ProbeResult, WorkerDied
from adapterd.worker.child import Child, GoneError, OverdueError
from adapterd.worker.environment import worker_environment
from adapterd.worker.wire import BadMessage, pack, read_result, request_message, unpack

_END = 2.0
"""How long an end may take from the closed pipe to the exit status."""
_ABSENT = "name a device that is there; `auto` takes the CPU where there is no accelerator"
_REFUSALS = ("busy", "absent", "too_small")
COMMAND = (sys.executable, "-P", "-m", "adapterd.worker.main")


class WorkerSupervisor:
    """Measures snapshots in a child process that may die.

    `probe` and `tick` belong to one thread, which should outlive the worker: on Linux a worker dies with the thread
    that started it. `close` may be called from any thread, and ends a measurement under way as DeviceBusy.
    """

    def __init__(
        self,
        *,
        threads: int = 1,
        idle_exit: float = 300.0,
        clock: Callable[[], float] = time.monotonic,
        command: Sequence[str] = COMMAND,
        environ: Mapping[str, str] | None = None,
        digests: Digests | None = None,
    ) -> None:
        """Start nothing yet.

        Args:
            threads: CPU threads of the worker; 0 leaves it to the libraries.
            idle_exit: seconds of idleness after which `tick` ends the worker.
            clock: monotonic seconds.
            command: the worker's command line, to which its options are added.
            environ: the environment to choose from; the process's own where None.
            digests: of base files, for every worker to know; kept in memory alone where None.
        """
        self._threads = threads
        self._idle_exit = idle_exit
        self._clock = clock
        self._command = [*command, "--threads", str(threads)]
        self._environ = environ
        self._child: Child | None = None
        self._idle_since = 0.0
        self._requests = 0
        self._digests = digests or Digests()
        self._doing = ""
        self._in_flight = False

    @property
    def pid(self) -> int | None:
        """The running worker's process id, None where there is none."""
        child = self._child
        return child.pid if child and child.alive() else None

    def probe(self, request: ProbeRequest) -> ProbeResult:
        """Measure one snapshot.

        Raises:
            WorkerDied: by signal, deadline, exit or nonsense; the cause is a reason code.
            DeviceBusy: no listed device has room, none could ever hold the base (DeviceTooSmall), this host has none
                of them (NoSuchDevice), or adapterd is stopping.
        """
        deadline = self._clock() + request.seconds
        self._in_flight = True
        try:
            return self._exchange(self._warm(), request, deadline)
        finally:
            self._in_flight = False
            self._idle_since = self._clock()

    def tick(self) -> None:
        """End a worker that has been idle for long."""
        if self._child and self._clock() - self._idle_since >= self._idle_exit:
            self.close()

    def close(self) -> None:
        """End the worker and its whole process group."""
        child, self._child = self._child, None
        if child:
            child.closed_by_us = True
            child.kill()
            if not self._in_flight:  # otherwise the measuring thread still reads there, and closes it
                child.close()

    def _exchange(self, child: Child, request: ProbeRequest, deadline: float) -> ProbeResult:
        """Send the request, and take events until its result."""
        self._requests += 1
        self._doing = "starting"
        try:
            child.send(pack(request_message(self._requests, _absolute(request), self._digests.known())), deadline)
            while True:
                result = self._take(unpack(child.receive(deadline)), child)
                if result is not None:
                    return result
        except OverdueError:
            text = f"was killed after {request.seconds:g} s, while {self._doing}"
            raise self._died(child, "worker_timeout", text) from None
        except GoneError:
            raise self._ended(child) from None
        except (BadMessage, TypeError, ValueError) as exc:
            raise self._died(child, "worker_protocol", f"sent something else than agreed: {exc}") from exc
        except (DeviceBusy, WorkerDied):
            raise
        except BaseException:  # a fault of ours in the middle of an answer: the next adapter shall not get the rest
            self._retire(child)
            raise
        finally:
            if child.closed_by_us:
                child.close()

    def _warm(self) -> Child:
        """Give the running worker, or start one; one that died while idle harmed nobody."""
        if self._child and not self._child.alive():
            self._child.close()
            self._child = None
        if self._child is None:
            environment = worker_environment(os.environ if self._environ is None else self._environ, self._threads)
            self._child = Child(self._command, environment, self._clock)
        self._child.clear_log()
        return self._child

    def _take(self, message: Mapping[str, Any], child: Child) -> ProbeResult | None:
        """Take one event; the result, where it is one."""
        event = message.get("event")
        if event == "ready":
            return None
        if event == "progress":
            self._doing = str(message.get("what", ""))
            return None
        if event == "crashed":
            raise self._died(child, "worker_crashed", f"ended by {message.get('what')} while {self._doing}")
        if message.get("id") != self._requests:
            raise BadMessage(f"event {event!r} for request {message.get('id')!r}")
        if event == "out_of_memory":
            raise self._died(child, "worker_out_of_memory", f"ran out of memory while {self._doing}")
        if event != "result" and event not in _REFUSALS:
            raise BadMessage(f"unexpected event {event!r}")
        result = read_result(message, child.log()) if event == "result" else None
        if message.get("spent"):
            self._retire(child)
        if result is None:
            raise _refusal(str(event), str(message.get("message", "")))
        self._digests.learn(message.get("hashes") or {})
        return result

    def _retire(self, child: Child) -> None:
        """End the worker after its work: the next request gets a fresh one."""
        child.close()
        if self._child is child:
            self._child = None

    def _ended(self, child: Child) -> WorkerDied | DeviceBusy:
        """Name an end that was not ours to choose."""
        if child.closed_by_us:
            return DeviceBusy("the worker was stopped in the middle of a measurement", BY_CODE["device_busy"].hint)
        status, _ = child.settle(_END)
        if status == -signal.SIGKILL:
            text = f"was killed by SIGKILL while {self._doing}, most likely by the kernel for lack of memory"
            return self._died(child, "worker_out_of_memory", text)
        if status is None:
            return self._died(child, "worker_protocol", f"closed its end of the pipe while {self._doing}")
        return self._died(child, "worker_crashed", f"{_end(status)} while {self._doing}")

    def _died(self, child: Child, cause: str, text: str) -> WorkerDied:
        """End the group, forget the worker, and say what happened."""
        _, log_tail = child.settle()
        if self._child is child:
            self._child = None
        return WorkerDied(f"the worker {text}", BY_CODE[cause].hint, cause=cause, log_tail=log_tail)


def _absolute(request: ProbeRequest) -> ProbeRequest:
    """Make its paths absolute: to PEFT a relative path without weights in it is a Hub id."""
    base = replace(request.base, path=str(Path(request.base.path).absolute()))
    return replace(request, snapshot=str(Path(request.snapshot).absolute()), base=base)


def _refusal(event: str, said: str) -> DeviceBusy:
    """What a worker says that found no device, as an error of the port."""
    if event == "absent":
        return NoSuchDevice(said, _ABSENT)
    if event == "too_small":
        return DeviceTooSmall(f"no device can hold the base model: {said}", BY_CODE["device_too_small"].hint)
    return DeviceBusy(f"no device has room: {said}", BY_CODE["device_busy"].hint)


def _end(status: int) -> str:
    """Say how a process ended."""
    if status >= 0:
        return f"exited with status {status}"
    try:
        return f"died of {signal.Signals(-status).name}"
    except ValueError:
        return f"died of signal {-status}"
