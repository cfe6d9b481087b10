"""The processes that a harness kills: the embedded Hub, the daemon's worker."""

import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil

from helpers.hosts import NAMESPACE, TOKEN
from helpers.sites import until

WORKER = "adapterd.worker.main"


class HubProcess:
    """`adapterd hub serve` as a process of its own, always at the same address."""

    def __init__(self, data: Path) -> None:
        """Choose an address; `start` starts it."""
        self.data = data
        self.log = data.with_name("hub.log")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        serve = ["hub", "serve", "--data", str(self.data), "--port", str(self.port), "--user", NAMESPACE]
        command = [sys.executable, "-m", "adapterd", *serve, "--token", TOKEN]
        before = self._ready()
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=out)
        until(lambda: self._ready() > before or self.process.poll() is not None, "the Hub answers")  # type: ignore[union-attr]  # set above
        assert self.process.poll() is None, self.log.read_text()[-2000:]

    def _ready(self) -> int:
        return self.log.read_text().count("Hub ready") if self.log.exists() else 0

    def end(self, number: signal.Signals = signal.SIGKILL) -> None:
        """End it."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait()


def worker_of(daemon: int) -> int | None:
    """The process id of a daemon's worker, None where it has none now."""
    with suppress(psutil.Error):
        for child in psutil.Process(daemon).children():
            if is_worker(child.pid):
                return int(child.pid)
    return None


def is_worker(pid: int) -> bool:
    """Whether this process is a worker that runs."""
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        return WORKER in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE
    return False
