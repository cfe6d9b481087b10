"""A training host to be killed: real processes, a writer, the drain and the audit at the end."""

import os
import signal
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from adapterd.control import ControlError, NoDaemonError, call
from adapterd.core.version import LIVE
from adapterd.hub.client import HubClient
from adapterd.ports import RegistryError
from adapterd.registry import open_reader
from durability import books, ledger, wares
from durability.books import Books
from durability.processes import HubProcess, is_worker
from durability.writing import SERIES, Writer, Written, journal
from helpers.hosts import NAMESPACE, TOKEN
from helpers.sites import Daemon, Site, until

BACKLOG = 6
"""Directories that may be on their way while more are written."""
SHORTEST, LONGEST = 6.0, 20.0
"""Bounds of the seconds after which a kill comes though its moment did not: half more than a version takes here."""
DRAIN = 180.0
"""Seconds in which something must move while the line drains."""
BLAMELESS = ("worker_out_of_memory", "worker_crashed")
"""Why a version may rightly wait for a person here: its worker was killed twice."""


@dataclass(frozen=True, slots=True)
class Found:
    """What the audit found."""

    books: Books
    differences: tuple[str, ...]
    written: int
    broken: int


@dataclass
class Ground:
    """One host, one Hub, one writer."""

    home: Path
    seed: int
    retried: int = 0
    complaints: list[str] = field(default_factory=list)
    workers: set[int] = field(default_factory=set)
    """Process ids of workers whose daemons were killed."""
    asked: int = 0
    lives: int = 0
    backlog: int = BACKLOG
    pace: float = 0.0
    """Seconds that a moment is waited for at most; 0: measured by the first directory that is written."""

    def __post_init__(self) -> None:
        """Name everything; nothing runs yet."""
        self.hub = HubProcess(self.home / "hub")
        self.site = Site(self.home, self.hub)
        self.site.configure(
            settle="{quiet: 300ms, patience: 1s}",
            schedule="{scan: 1s, backoff: 300ms, backoff_max: 2s, attempts: 1000}",
            validation="{deadline: 60s}",
        )
        self.client = HubClient(self.hub.endpoint, TOKEN, xet=False, ca_file=None, proxy=None, deadline=20.0)
        self._ends = ExitStack()

    def __enter__(self) -> Self:
        """Own what is started."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave nothing running."""
        self._ends.close()

    def begin(self) -> None:
        """Start Hub and daemon, let it see what lies here before, and start the writer."""
        self._ends.callback(self.client.close)
        self._ends.callback(self.hub.end)
        self.hub.start()
        wares.write(self.home / "train" / "legacy", wares.weights(0))
        self.daemon = self._started().ready()
        self._ends.callback(lambda: self.daemon.stop(signal.SIGKILL))
        until(lambda: self.site.states().get("legacy") == "baseline", "baseline")
        self.writer = Writer(self.home / "train", self.home / "journal", self.seed)
        self._ends.callback(self.writer.close)
        began = time.monotonic()
        self.ask()
        if not self.pace:
            until(self.done, "the first directory is done", 10 * LONGEST)
            self.pace = min(max(1.5 * (time.monotonic() - began), SHORTEST), LONGEST)

    def _started(self) -> Daemon:
        self.lives += 1
        return Daemon(self.site, log=f"daemon-{self.lives}.log")

    def restart(self) -> None:
        """Start the daemon anew."""
        self.daemon = self._started()

    def ask(self) -> None:
        """Have as much written as may be on its way; set going, as a person would, what two dead workers stalled."""
        if self.daemon.process.poll() is not None:
            self.complaints.append(f"the daemon ended by itself: {self.daemon.said()[-400:]}")
            self.restart()
        while self.asked - self.done() < self.backlog:
            self.writer.ask()
            self.asked += 1
        self._set_going()

    def done(self) -> int:
        """How many directories came to their end."""
        with suppress(RegistryError), open_reader(self.site.registry) as reader:
            live = {v.id for v in reader.versions() if v.stage in LIVE}
            seen = [o for o in reader.observations() if o.state in ("settled", "refused")]
            return sum(o.version is None or o.version not in live for o in seen)
        return self.asked

    def progress(self) -> str:
        """In a few words."""
        return f"{self.done()} of {self.asked} directories done"

    def _set_going(self) -> None:
        with suppress(RegistryError), open_reader(self.site.registry) as reader:
            stalled = [(v.label, v.reason, v.message) for v in reader.versions() if v.stalled]
            stalled += [(f"{c.adapter}@{c.channel}", c.reason, c.message) for c in reader.channels() if c.stalled]
            seen = [o for o in reader.observations() if o.state == "stalled"]
            stalled += [(f"{o.root}/{o.path}", o.reason, o.message) for o in seen]
            for label, why, message in stalled:
                if why not in BLAMELESS and not any(label in said for said in self.complaints):
                    self.complaints.append(f"{label} stalled: {why}: {message}")
                with suppress(NoDaemonError, ControlError):
                    call(self.home / "run" / "control.sock", "retry", {"reference": label}, "crash", timeout=5.0)
                    self.retried += 1

    def second_daemon(self) -> bool:
        """Whether another daemon on this registry is refused, with the first one's pid."""
        self.daemon.ready()
        second = self.site.run("watch", "--config", str(self.site.config))
        return second.returncode == os.EX_CONFIG and str(self.daemon.process.pid) in second.stderr

    def drain(self) -> None:
        """Wait, without kills, until nothing is on its way; then end the daemon as its supervisor would."""
        self.writer.close()
        said, moved = "", time.monotonic()
        while (left := self._left()) and time.monotonic() < moved + DRAIN:
            if left != said:
                said, moved = left, time.monotonic()
            self._set_going()
            signal.sigtimedwait([], 0.2)
        if left:
            self.complaints.append(f"not drained: {left}")
        self.complaints += [f"worker {pid} outlived its daemon" for pid in self.workers if is_worker(pid)]
        if (code := self.daemon.stop()) != 0:
            self.complaints.append(f"the daemon ended with {code}")

    def _left(self) -> str:
        """What is still on its way, in words."""
        with open_reader(self.site.registry) as reader:
            paths = {o.path for o in reader.observations() if o.state in ("settled", "refused")}
            if missing := [w.path for w in journal(self.home / "journal") if w.path not in paths]:
                return f"{missing[0]} and {len(missing) - 1} more directories"
            if live := [v.label for v in reader.versions() if v.stage in LIVE]:
                return f"{live[0]} and {len(live) - 1} more versions"
            differing = [*ledger.index(self.home / "state" / "index.json", reader), *self._channels()]
            return differing[0] if differing else ""

    def _channels(self) -> list[str]:
        finals: dict[str, set[str]] = {series: set() for series in SERIES}
        for written in self.written():
            if written.final and not written.broken:
                finals[written.adapter].add(written.sha256)
        adapters = [(f"{NAMESPACE}/{series}", frozenset(digests)) for series, digests in finals.items()]
        return [line for name, digests in adapters for line in ledger.channel(self.client, name, digests)]

    def written(self) -> list[Written]:
        """What the writer wrote."""
        return journal(self.home / "journal")

    def audit(self) -> Found:
        """Hold everything against what was written."""
        adapters = [f"{NAMESPACE}/{series}" for series in SERIES]
        written = self.written()
        found = books.audit(self.client, adapters, {w.sha256: w.path for w in written if not w.broken})
        state = self.home / "state"
        with open_reader(self.site.registry) as reader:
            differences = [*ledger.registry(self.client, reader, adapters), *ledger.index(state / "index.json", reader)]
        differences += [*self._channels(), *ledger.spool(state / "spool"), *ledger.state(state)]
        differences += ledger.store(self.hub.data)
        return Found(found, tuple(differences), len(written), sum(bool(w.broken) for w in written))
