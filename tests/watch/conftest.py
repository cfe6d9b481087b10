"""Real daemons as processes, on a real Hub."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adapterd.hub.server import Account, RunningHub, start
from helpers.hosts import NAMESPACE, TOKEN
from helpers.sites import Daemon, Site


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    """A Hub that all sites share."""
    with start(tmp_path_factory.mktemp("hub") / "data", [Account(NAMESPACE, TOKEN)]) as running:
        yield running


@pytest.fixture
def site(hub: RunningHub, tmp_path: Path) -> Site:
    """A training host."""
    return Site(tmp_path, hub)


@pytest.fixture
def watch(site: Site) -> Iterator[Callable[..., Daemon]]:
    """Start daemons; those that still run at the end of the test are ended."""
    started: list[Daemon] = []

    def begin(*words: str) -> Daemon:
        started.append(Daemon(site, *words))
        return started[-1]

    yield begin
    for daemon in started:
        if daemon.process.poll() is None:
            daemon.process.kill()
            daemon.process.wait()
