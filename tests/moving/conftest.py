"""A real Hub, and a repo of each test's own."""

from collections.abc import Iterator

import pytest

from adapterd.hub.client import HubClient
from adapterd.hub.server import Account, RunningHub, start
from deploy.conftest import TOKEN
from moving.series import Series


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    """The embedded Hub, with the writer `acme`."""
    with start(tmp_path_factory.mktemp("hub"), [Account("acme", TOKEN)]) as running:
        yield running


@pytest.fixture(scope="session")
def hub(server: RunningHub) -> Iterator[HubClient]:
    """The writer's client."""
    client = HubClient(server.endpoint, TOKEN, xet=False, ca_file=None, proxy=None, deadline=20.0)
    yield client
    client.close()


@pytest.fixture
def three(hub: HubClient) -> Series:
    """A repo of this test's own with v1, v2 and v3; no channel was moved yet."""
    return Series(hub, 3, large=False)
