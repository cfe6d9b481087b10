"""One life of a publisher: start, take in one adapter directory, validate, publish, promote, export; and what it left.

The parts are the real ones; only the verdict is given, and the clock runs as fast as anybody waits.
"""

import hashlib
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from adapterd import log, operate
from adapterd.compose import opened
from adapterd.config import Config, parse
from adapterd.core.errors import AdapterdError
from adapterd.core.version import LIVE, Stage
from adapterd.health import Health
from adapterd.hub.client import HubClient
from adapterd.lanes import Exports, Intake, Steps
from adapterd.reconcile import LINE
from adapterd.registry import open_reader
from adapterd.steps import discover, promote
from adapterd.steps.host import Host
from durability import books, ledger
from helpers.adapters import weights, write_adapter
from helpers.hosts import NAMESPACE, TOKEN, Clock, GivenValidator, config_text

ROUNDS = 60
"""Turns of all lanes after which a life that still waits is over."""
STEP = 20.0
"""Seconds that pass from one to the next."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a life is lived: a folder, the Hub's address, and an adapter of its own."""

    home: Path
    endpoint: str
    adapter: str

    @property
    def repo(self) -> str:
        """The adapter's repo."""
        return f"{NAMESPACE}/{self.adapter}"

    @property
    def state(self) -> Path:
        """The daemon's own folder."""
        return self.home / "state"

    @property
    def digest(self) -> str:
        """The sha256 of the adapter's weights."""
        return hashlib.sha256(weights(self._seed)).hexdigest()

    @property
    def _seed(self) -> int:
        return int.from_bytes(hashlib.sha256(self.adapter.encode()).digest()[:4])

    @property
    def config(self) -> Config:
        """What the operator wrote."""
        sections = {
            "hub": f"{{endpoint: '{self.endpoint}', namespace: {NAMESPACE}, token_file: {self.home}/token}}",
            "roots": f"[{{path: {self.home}/train, checkpoints: all, backlog: all}}]",
            "settle": "{quiet: 1s, patience: 5s}",
            "schedule": "{attempts: 50, backoff: 1s, backoff_max: 10s}",
        }
        return parse(config_text(self.home, self.endpoint, **sections), "sweep.yaml")

    def prepare(self) -> None:
        """Make a host that has seen its empty root: the registry's schema and baseline are no part of most lives."""
        for name in ("train", "base"):
            (self.home / name).mkdir(parents=True)
        (self.home / "base" / "config.json").write_text('{"architectures": ["LlamaForCausalLM"]}')
        (self.home / "token").write_text(TOKEN)
        (self.home / "token").chmod(0o600)
        with opened(self.config) as host:
            discover.scan(host, host.config.roots[0])
        self.state.rename(self.home / "used")

    def renew(self, *, used: bool) -> None:
        """Begin anew, with one adapter directory; `used` says whether there was a start before."""
        shutil.rmtree(self.state, ignore_errors=True)
        if used:
            shutil.copytree(self.home / "used", self.state)
        for run in (self.home / "train").iterdir():
            shutil.rmtree(run)
        run = write_adapter(self.home / "train" / "run-1", seed=self._seed)
        (run / "adapterd.yaml").write_text(f"adapter: {self.adapter}\n")


def start(place: Place) -> str:
    """Start and end."""
    return _life(place, lambda _: "started")


def publish(place: Place) -> str:
    """Start, and turn the lanes until nothing moves; how it ended: done, stalled or waits."""
    return _life(place, _turned)


def retry(place: Place) -> str:
    """Do what a person does once the hint was followed, `adapterd retry --all`, and go on."""

    def go_on(host: Host) -> str:
        operate.retry(host, "--all", "tester", "")
        return _turned(host)

    return _life(place, go_on)


def _life(place: Place, lived: Callable[[Host], str]) -> str:
    """As `adapterd watch` starts and ends: an error that it knows is one line and an exit code."""
    log.configure("info", "json")
    clock = Clock(time.time())
    try:
        with opened(place.config) as host:
            operate.stage_again(host)
            return lived(replace(host, validator=GivenValidator(), clock=clock, monotonic=clock))
    except AdapterdError as error:
        return f"ended: {error.message}"


def _turned(host: Host) -> str:
    clock = host.clock
    assert isinstance(clock, Clock)
    health = Health("", host.publisher, 0.0, clock)
    lanes: list[Callable[[], float]] = [Intake(lambda: host, health).turn]
    lanes += [Steps(lambda: host, health, arrow).turn for arrow in LINE]
    lanes.append(Exports(lambda: host, health).turn)
    for number in range(ROUNDS):
        for turn in lanes:
            _safely(turn)
        clock.now += STEP
        if number > 1 and (end := _end(host)):
            return end
    return "waits"


def _safely(turn: Callable[[], object]) -> None:
    """As a lane's thread does: what is known to go wrong is said, and the lane goes on."""
    try:
        turn()
    except AdapterdError as error:
        log.get_logger(__name__).error("lane_failed", message=error.message, hint=error.hint)


def _end(host: Host) -> str:
    """How it ended; empty while something still moves."""
    try:
        versions, channels, seen = host.registry.versions(), host.registry.channels(), host.registry.observations()
        moving = bool(promote.due(host, all_=True)) or any(ledger.index(host.index, host.registry))
    except (AdapterdError, OSError):
        return ""
    stalled = [f"{v.reason}: {v.message}" for v in versions if v.stalled or v.stage is Stage.REJECTED]
    stalled += [f"{c.reason}: {c.message}" for c in channels if c.stalled]
    stalled += [f"{o.reason}: {o.message}" for o in seen if o.state in ("stalled", "refused")]
    if stalled:
        return f"stalled {stalled[0]}"
    return "" if moving or not versions or any(v.stage in LIVE for v in versions) else "done"


def audit(place: Place) -> dict[str, list[str]]:
    """Hold everything against the one directory that was written: lost, duplicated, wrong."""
    hub = HubClient(place.endpoint, TOKEN, xet=False, ca_file=None, proxy=None, deadline=20.0)
    found = books.audit(hub, [place.repo], {place.digest: place.adapter})
    differing: list[str] = []
    with open_reader(place.state / "registry.db") as reader:
        differing += [*ledger.registry(hub, reader, [place.repo]), *ledger.index(place.state / "index.json", reader)]
        if (stages := [v.stage for v in reader.versions()]) != [Stage.PUBLISHED]:
            differing.append(f"{place.repo}: the registry has {stages}")
    if not found.lost:
        differing += ledger.channel(hub, place.repo, frozenset({place.digest}))
    hub.close()
    differing += [*ledger.spool(place.state / "spool"), *ledger.state(place.state)]
    return {"lost": [*found.lost], "duplicated": [*found.duplicated], "wrong": [*found.wrong, *differing]}
