"""A training host for tests: real daemons as processes, on a real Hub."""

import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from adapterd.ports import RegistryError
from adapterd.registry import open_reader
from helpers.hosts import NAMESPACE, PLENTY, TOKEN, config_text

PATIENCE = 40.0
"""Seconds after which a test gives up on a process."""


def until(condition: Callable[[], object], what: str, patience: float = PATIENCE) -> None:
    """Wait for a condition of another process, or fail."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, f"still not: {what}"
        signal.sigtimedwait([], 0.05)  # lets the other process work for a moment


class Served(Protocol):
    """A Hub, in a thread or as a process."""

    endpoint: str


@dataclass
class Site:
    """A training host: its folders, its configuration, its daemon."""

    tmp: Path
    hub: Served

    def __post_init__(self) -> None:
        """Make folders, token and a configuration."""
        for name in ("train", "base"):
            (self.tmp / name).mkdir(parents=True, exist_ok=True)
        token = self.tmp / "token"
        token.write_text(TOKEN)
        token.chmod(0o600)
        self.configure()

    @property
    def config(self) -> Path:
        """The configuration file."""
        return self.tmp / "adapterd.yaml"

    @property
    def registry(self) -> Path:
        """The registry file."""
        return self.tmp / "state" / "registry.db"

    def configure(self, **extra: str) -> None:
        """Write the configuration; `extra` replaces sections."""
        hub = f"{{endpoint: '{self.hub.endpoint}', namespace: {NAMESPACE}, token_file: {self.tmp}/token, {PLENTY}}}"
        sections = {"hub": hub, "settle": "{quiet: 300ms}", "schedule": "{scan: 1s}", **extra}
        self.config.write_text(config_text(self.tmp, self.hub.endpoint, **sections))

    def environ(self) -> Mapping[str, str]:
        """A clean environment."""
        kept = {key: os.environ[key] for key in ("PATH", "HOME", "LANG", "TMPDIR", "PYTHONPATH") if key in os.environ}
        return {**kept, "OMP_NUM_THREADS": "1", "HF_HUB_CACHE": str(self.tmp / "cache")}

    def command(self, *words: str) -> list[str]:
        """The command line of a verb."""
        return [sys.executable, "-m", "adapterd", *words]

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run a verb to its end."""
        return subprocess.run(
            self.command(*words), env=self.environ(), capture_output=True, text=True, check=False, timeout=PATIENCE
        )

    def published(self, adapter: str) -> list[int]:
        """The numbers of the adapter's published versions, as the registry knows them."""
        try:
            with open_reader(self.registry) as reader:
                return sorted(v.number for v in reader.versions(adapter) if v.commit and v.number)
        except RegistryError:
            return []

    def states(self) -> dict[str, str]:
        """What became of each directory."""
        try:
            with open_reader(self.registry) as reader:
                return {seen.path: seen.state for seen in reader.observations()}
        except RegistryError:
            return {}


class Daemon:
    """A running `adapterd watch`."""

    def __init__(self, site: Site, *words: str, log: str = "daemon.log") -> None:
        """Start it; its log goes to a file."""
        self.site = site
        self.log = site.tmp / log
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                site.command("watch", "--config", str(site.config), *words), env=site.environ(), stdout=out, stderr=out
            )

    def ready(self) -> "Daemon":
        """Wait until it watches."""
        until(lambda: "daemon_started" in self.said() or self.process.poll() is not None, "started")
        assert self.process.poll() is None, self.said()
        return self

    def said(self) -> str:
        """Its log so far."""
        return self.log.read_text()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it, and give its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(PATIENCE)


def get(url: str, path: str) -> tuple[int, str]:
    """Status and body of a page."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()
