"""A training host for benchmarks: folders, configuration, token, and real processes of adapterd."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

TOKEN = "hf_" + "b" * 34
NAMESPACE = "acme"
BASE = "acme/base"
PLENTY = "budget: {requests: 1000000, commits: 100000}"
"""More than any benchmark sends; what is measured is not the budget."""
PATIENCE = 180.0
"""Seconds until a process that does not do what it should ends the benchmark."""


@dataclass(frozen=True, slots=True)
class Host:
    """One host below `home`; its Hub is at `endpoint`. `in_hub` and `sections` are YAML for its configuration."""

    home: Path
    endpoint: str
    in_hub: str = ""
    sections: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Make what the daemon needs."""
        for folder in (self.root, self.base):
            folder.mkdir(parents=True, exist_ok=True)
        token = self.home / "token"
        token.write_text(TOKEN)
        token.chmod(0o600)
        at = f"endpoint: '{self.endpoint}', namespace: {NAMESPACE}, token_file: {token}"
        sections = {
            "hub": f"{{{at}, {PLENTY}, {self.in_hub}}}",
            "roots": f"[{{path: {self.root}, checkpoints: all}}]",
            "base_models": f"[{{id: {BASE}, path: {self.base}, written_as: [{self.base}]}}]",
            "status": "{listen: '127.0.0.1:0'}",
            "log": "{format: json}",
            "state_dir": str(self.home / "state"),
            "runtime_dir": str(self.home / "run"),
            **self.sections,
        }
        self.config.write_text("".join(f"{name}: {value}\n" for name, value in sections.items()))

    @property
    def config(self) -> Path:
        """The configuration file."""
        return self.home / "adapterd.yaml"

    @property
    def root(self) -> Path:
        """The watched root."""
        return self.home / "train"

    @property
    def base(self) -> Path:
        """Where the base model lies."""
        return self.home / "base"


@dataclass(frozen=True, slots=True)
class Daemon:
    """A running `adapterd watch`, and its log."""

    process: "subprocess.Popen[bytes]"
    log: Path

    def events(self) -> Iterator[dict[str, object]]:
        """Its log so far; a line that is being written now is left out."""
        for line in self.log.read_text(encoding="utf-8").splitlines():
            if line.startswith("{") and line.endswith("}"):
                yield json.loads(line)

    def said(self, event: str) -> list[dict[str, object]]:
        """Every log line of one event."""
        return [line for line in self.events() if line["event"] == event]


@contextmanager
def daemon(host: Host) -> Iterator[Daemon]:
    """Run `adapterd watch` until the end of the block; it must end cleanly."""
    log = host.home / "daemon.log"
    with log.open("wb") as out:
        command = [sys.executable, "-m", "adapterd", "watch", "--config", str(host.config)]
        process = subprocess.Popen(command, stdout=out, stderr=out, env=environment())
    running = Daemon(process, log)
    try:
        until(lambda: running.said("daemon_started"), "the daemon has started", process)
        yield running
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(PATIENCE)
    if code:
        raise RuntimeError(f"the daemon ended with exit code {code}: {log.read_text()[-2000:]}")


@contextmanager
def hub(data: Path) -> Iterator[str]:
    """Run `adapterd hub serve` in a process of its own until the end of the block; its endpoint."""
    command = [sys.executable, "-m", "adapterd", "hub", "serve", "--port", "0", "--data", str(data)]
    words = ["--user", NAMESPACE, "--token", TOKEN]
    process = subprocess.Popen([*command, *words], stdout=subprocess.PIPE, env=environment(), text=True)
    try:
        line = process.stdout.readline() if process.stdout else ""
        found = re.search(r"http://\S+", line)
        if found is None:
            raise RuntimeError(f"the Hub did not start: {line}")
        yield found[0]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)


def environment() -> dict[str, str]:
    """What the processes are given."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR", "PYTHONPATH") if name in os.environ}
    return kept | {"OMP_NUM_THREADS": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_XET": "1"}


def until(condition: Callable[[], object], what: str, process: "subprocess.Popen[bytes]", pause: float = 0.05) -> None:
    """Wait for a condition of another process; RuntimeError when that dies or takes too long."""
    end = time.monotonic() + PATIENCE
    while not condition():
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"still not: {what}")
        time.sleep(pause)
