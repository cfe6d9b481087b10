"""A real Hub to talk to, and a server that misbehaves as it is told."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any, Protocol

import pytest

from adapterd.hub.client import HubClient
from adapterd.hub.server import Account, RunningHub, start

TOKEN = "hf_" + "a" * 34
NUMBERS = count(1)
READER = "hf_" + "b" * 34


@dataclass(frozen=True)
class Asked:
    """One request that arrived."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """What to answer, and how.

    Attributes:
        fault: ``reset`` after the body, ``silence`` or ``trickle`` instead of it; ``page`` is not of a Hub.
        length: the length that is promised, where it is not the body's.
    """

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)
    fault: str = ""
    length: int | None = None


Script = Callable[[Asked], Answer]


class FaultServer:
    """A server on loopback that answers by a script and remembers what it was asked.

    Attributes:
        answer: makes an answer, for scripts.
        script: what to answer to a request; an empty JSON object, unless a test says otherwise.
        asked: the requests so far.
    """

    answer = Answer

    def __init__(self) -> None:
        """Begin to serve from a thread."""
        self.asked: list[Asked] = []
        self.script: Script = lambda _: Answer()
        self._over = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            """One request."""

            protocol_version = "HTTP/1.1"

            def _any(self) -> None:
                """Note the request, then answer it."""
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                asked = Asked(self.command, self.path, headers, body)
                outer.asked.append(asked)
                outer.give(self, outer.script(asked))

            do_GET = do_POST = do_PUT = do_HEAD = _any  # noqa: N815 - the names that http.server looks for

            def log_message(self, *_: Any) -> None:  # noqa: ANN401 - http.server's signature
                """Print nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def give(self, handler: BaseHTTPRequestHandler, answer: Answer) -> None:  # noqa: C901 - one fault after another
        """Send an answer, or what is left of it after the fault."""
        if answer.fault == "silence":
            self._over.wait()
            handler.close_connection = True
            return
        if answer.fault == "reset" and not answer.body:
            self._reset(handler)
            return
        handler.send_response(answer.status)
        if "/resolve/" in handler.path and answer.status < 400 and answer.fault != "page":
            handler.send_header("X-Repo-Commit", "1" * 40)  # as every Hub does
        for name, value in answer.headers.items():
            handler.send_header(name, value)
        if not {"content-length", "Content-Length"} & answer.headers.keys():
            handler.send_header("content-length", str(len(answer.body) if answer.length is None else answer.length))
        handler.end_headers()
        try:
            if answer.fault == "trickle":
                while not self._over.wait(0.02):
                    handler.wfile.write(b".")
                    handler.wfile.flush()
            elif handler.command != "HEAD":
                handler.wfile.write(answer.body)
                handler.wfile.flush()
        except OSError:
            handler.close_connection = True
        if answer.fault == "reset":
            handler.close_connection = True

    def always(self, status: int = 200, body: bytes = b"{}", **rest: Any) -> None:  # noqa: ANN401 - as Answer's
        """Give everybody the same answer."""
        self.script = lambda _: Answer(status, body, **rest)

    @staticmethod
    def forward(endpoint: str, asked: Asked) -> Answer:
        """Ask another server, and hand on its answer."""
        connection = HTTPConnection(endpoint.removeprefix("http://"))
        try:
            connection.request(asked.method, asked.path, asked.body, dict(asked.headers))
            response = connection.getresponse()
            body = response.read()
        finally:
            connection.close()
        hop = {"transfer-encoding", "connection", "content-length", "date"}
        headers = {name: value for name, value in response.getheaders() if name.lower() not in hop}
        return Answer(response.status, body, headers)

    def close(self) -> None:
        """Let go of whoever still waits, and stop."""
        self._over.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @staticmethod
    def _reset(handler: BaseHTTPRequestHandler) -> None:
        """Break the connection without an answer."""
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        handler.close_connection = True


class Connect(Protocol):
    """Makes a client that is closed at the end of the test."""

    def __call__(
        self,
        endpoint: str,
        token: str | None = TOKEN,
        *,
        deadline: float = 10.0,
        proxy: str | None = None,
        ca_file: Path | None = None,
        cache_dir: Path | None = None,
    ) -> HubClient:
        """Make it."""
        ...


@pytest.fixture
def connect() -> Iterator[Connect]:
    """A maker of clients."""
    clients: list[HubClient] = []

    def make(
        endpoint: str,
        token: str | None = TOKEN,
        *,
        deadline: float = 10.0,
        proxy: str | None = None,
        ca_file: Path | None = None,
        cache_dir: Path | None = None,
    ) -> HubClient:
        client = HubClient(
            endpoint, token, xet=False, ca_file=ca_file, proxy=proxy, deadline=deadline, cache_dir=cache_dir
        )
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.close()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    """The embedded Hub, with a writer `acme` and a reader `guest`."""
    accounts = [Account("acme", TOKEN, "write", ()), Account("guest", READER, "read", ())]
    with start(tmp_path_factory.mktemp("hub"), accounts) as running:
        yield running


@pytest.fixture
def client(server: RunningHub, connect: Connect) -> HubClient:
    """The writer's client of the embedded Hub."""
    return connect(server.endpoint)


@pytest.fixture
def repo(client: HubClient) -> str:
    """A private repo of this test's own, new and empty."""
    name = f"acme/adapter-{next(NUMBERS)}"
    client.create_repo(name, private=True)
    return name


@pytest.fixture
def faults() -> Iterator[FaultServer]:
    """The server that misbehaves."""
    faulty = FaultServer()
    yield faulty
    faulty.close()
