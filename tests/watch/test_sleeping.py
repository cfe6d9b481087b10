"""A daemon that is stopped in the middle of publishing, for longer than its lease, and then goes on.

A laptop's lid, a frozen container, a virtual machine that moves: nothing twice, nothing lost.
"""

import asyncio
import hashlib
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from adapterd import operate
from adapterd.core import publication as pub
from adapterd.core.version import Stage
from adapterd.hub.server import Account, RunningHub, start
from adapterd.registry import open_reader
from durability.books import audit
from helpers.adapters import weights
from helpers.hosts import NAMESPACE, TOKEN, World
from helpers.sites import Daemon, Site, until
from publishing.conftest import stage
from publishing.lines import drive
from publishing.test_refusals import drive_only_validation

ADAPTER = f"{NAMESPACE}/sleepy"


class Hold:
    """Holds the next commit to `versions`, before it reaches the Hub or with its answer, until it is let go."""

    def __init__(self) -> None:
        """Hold nothing yet."""
        self.which = ""
        self.held, self.let_go = threading.Event(), threading.Event()

    def next(self, which: str) -> None:
        """Hold the next ``request``, or the next ``answer``."""
        self.which = which

    def takes(self, scope: Scope, which: str) -> bool:
        """Whether this is the one; there is only one."""
        commit = scope["type"] == "http" and scope["path"].endswith(f"/commit/{pub.BRANCH}")
        if not commit or self.which != which:
            return False
        self.which = ""
        return True

    async def stand(self) -> None:
        """Wait until it is let go."""
        self.held.set()
        await asyncio.to_thread(self.let_go.wait)


class Holding:
    """The middleware of a hold."""

    def __init__(self, app: ASGIApp, hold: Hold) -> None:
        """Stand before `app`."""
        self._app, self._hold = app, hold

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, sooner or later."""
        if self._hold.takes(scope, "request"):
            await self._hold.stand()

        async def later(message: Message) -> None:
            if message["type"] == "http.response.start" and self._hold.takes(scope, "answer"):
                await self._hold.stand()
            await send(message)

        await self._app(scope, receive, later)


@pytest.fixture
def hold() -> Iterator[Hold]:
    """A hold that is let go in the end, so that the Hub can stop."""
    made = Hold()
    yield made
    made.let_go.set()


@pytest.fixture
def hub(tmp_path: Path, hold: Hold) -> Iterator[RunningHub]:
    """A Hub with a hold on it."""
    with start(tmp_path / "hub", [Account(NAMESPACE, TOKEN)], middleware=[Middleware(Holding, hold=hold)]) as running:
        yield running


@pytest.fixture
def site(hub: RunningHub, tmp_path: Path) -> Site:
    """A training host whose leases are short."""
    made = Site(tmp_path / "site", hub)
    made.configure(
        hub=f"{{endpoint: '{hub.endpoint}', namespace: {NAMESPACE}, token_file: {made.tmp}/token, deadline: 3s}}",
        roots=f"[{{path: {made.tmp}/train, checkpoints: all}}]",
        schedule="{scan: 1s, lease: 1s, backoff: 200ms, backoff_max: 1s}",
    )
    return made


def _validated(site: Site, seed: int) -> str:
    """A version that stands before publishing; the digest of its weights."""
    world = World(site.tmp, site.hub.endpoint)
    world.clock.now = time.time() - 60
    stage(world, ADAPTER, seed)
    drive_only_validation(world)
    world.close()
    return hashlib.sha256(weights(seed)).hexdigest()


def _lease(site: Site) -> float:
    """Until when the version that stands before publishing is leased."""
    with open_reader(site.registry) as reader:
        return max((v.lease_until for v in reader.versions(ADAPTER, Stage.VALIDATED)), default=0.0)


@pytest.mark.parametrize(
    ("held", "other", "numbers"),
    [("request", 2, [1, 2]), ("answer", 3, [1, 2])],
    ids=["commit not sent, another host publishes the same", "commit landed, another host publishes more"],
)
def test_a_daemon_that_slept_longer_than_its_lease_doubles_and_loses_nothing(
    site: Site, hold: Hold, tmp_path: Path, held: str, other: int, numbers: list[int]
) -> None:
    """It is stopped at its commit, another host publishes meanwhile, and it goes on where it was."""
    wanted = {_validated(site, 1): "the first"}
    first = Daemon(site).ready()
    until(lambda: site.published(ADAPTER) == [1], "the first version")
    assert first.stop() == 0
    wanted[_validated(site, 2)] = "the sleeper's"
    there = World(tmp_path / "there", site.hub.endpoint, publisher="publisher-there")
    operate.adopt(there.host, ADAPTER, "tester", "both train it")
    hold.next(held)
    sleeper = Daemon(site).ready()
    try:
        until(hold.held.is_set, "at its commit")
        sleeper.process.send_signal(signal.SIGSTOP)
        stage(there, ADAPTER, other)
        wanted.setdefault(hashlib.sha256(weights(other)).hexdigest(), "the other host's")
        drive(there)
        until(lambda: _lease(site) < time.time(), "the lease has run out")
        hold.let_go.set()
        sleeper.process.send_signal(signal.SIGCONT)
        until(lambda: site.published(ADAPTER) == numbers, f"published as {numbers}: {sleeper.said()}")
        assert sleeper.stop() == 0
    finally:
        sleeper.stop(signal.SIGKILL)
    books = audit(there.client, [ADAPTER], wanted)
    assert books.clean, books
    assert books.versions == len(wanted)
    there.close()
