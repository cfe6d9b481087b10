"""Starting, stopping, and clients that mean harm."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from adapterd.core.errors import AdapterdError
from adapterd.health import Health
from adapterd.status import StatusServer, start


def connect(server: StatusServer) -> socket.socket:
    """A bare connection to a server."""
    host, _, port = server.url.removeprefix("http://").rstrip("/").rpartition(":")
    return socket.create_connection((host, int(port)), timeout=10)


def test_a_port_in_use_is_an_error_with_a_hint(host: Any, health: Health) -> None:  # noqa: ANN401 - the host fixture
    """The daemon says so and goes on without its page."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(AdapterdError, match="cannot listen at") as caught:
            start(taken.getsockname(), host.registry, health)
        assert "status.listen" in caught.value.hint


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.0.2.1"])  # noqa: S104 - to see it refused
def test_only_loopback_is_listened_at(address: str, host: Any, health: Health) -> None:  # noqa: ANN401 - the host fixture
    """There is no login, so nothing outside this host may ask, whatever the configuration says."""
    with pytest.raises(AdapterdError, match="not loopback"):
        start((address, 0), host.registry, health)


def test_the_name_of_loopback_will_do(host: Any, health: Health, browser: Callable[[str], Any]) -> None:  # noqa: ANN401 - fixtures
    """`localhost` is looked up once."""
    with start(("localhost", 0), host.registry, health) as server:
        assert browser(server.url)("/healthz").status == 200


@pytest.mark.skipif(not socket.has_ipv6, reason="this host has no IPv6")
def test_ipv6_loopback_will_do(host: Any, health: Health, browser: Callable[[str], Any]) -> None:  # noqa: ANN401 - fixtures
    """The address is written in brackets where a port follows."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        pytest.skip(f"no IPv6 loopback: {error}")
    with start(("::1", 0), host.registry, health) as server:
        assert server.url.startswith("http://[::1]:")
        assert browser(server.url)("/healthz").status == 200


def test_after_the_end_the_port_is_free_and_no_thread_is_left(host: Any, health: Health) -> None:  # noqa: ANN401 - the host fixture
    """A reload may start the page anew at the same port; stopping twice is no fault."""
    before = set(threading.enumerate())
    server = start(("127.0.0.1", 0), host.registry, health)
    port = int(server.url.rstrip("/").rpartition(":")[2])
    assert server.running
    server.stop()
    server.stop()
    assert not server.running
    assert {thread for thread in threading.enumerate() if thread.name == "status"} <= before
    with start(("127.0.0.1", port), host.registry, health) as again:
        assert again.url == server.url


def test_an_idle_connection_does_not_hold_up_the_end(host: Any, health: Health) -> None:  # noqa: ANN401 - the host fixture
    """A client that says nothing is not waited for."""
    server = start(("127.0.0.1", 0), host.registry, health)
    with connect(server) as silent:
        server.stop()
        assert silent.recv(1) == b""


def test_a_client_cannot_use_up_the_daemons_descriptors(server: StatusServer, ask: Any) -> None:  # noqa: ANN401 - the browser fixture
    """Beyond a number of connections each further one is dropped, and the rest is served again afterwards."""
    held = [connect(server) for _ in range(32)]
    try:
        with connect(server) as further:
            assert _is_dropped(further)
    finally:
        for connection in held:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
            connection.close()
    assert ask("/healthz").status == 200


@pytest.mark.parametrize(
    "said",
    [
        b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    ],
)
def test_garbage_is_answered_and_forgotten(said: bytes, server: StatusServer, ask: Any) -> None:  # noqa: ANN401 - the browser fixture
    """TLS on the plain port, no host, endless paths, two lengths, an upgrade: the next client is served."""
    with connect(server) as client:
        client.sendall(said)
        with suppress(ConnectionResetError):  # it may hang up before it has read everything
            assert client.recv(65536).startswith(b"HTTP/1.1 ")
    assert ask("/healthz").status == 200


def _is_dropped(client: socket.socket) -> bool:
    """Whether the server hangs up without a word."""
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True
