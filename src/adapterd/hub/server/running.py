"""Running the Hub: in a thread for tests, demos and benchmarks, or in the foreground."""

import asyncio
import contextlib
import signal
import socket
import threading
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware

from adapterd.hub.server.accounts import Account
from adapterd.hub.server.faults import FaultPlan
from adapterd.hub.server.web.app import PART_SIZE, create_app
from adapterd.hub.server.web.faulty import OpenProtocol

if TYPE_CHECKING:
    from adapterd.hub.server.storage.catalog import Clock
    from adapterd.hub.server.web.middleware import RequestLog

_HOST = "127.0.0.1"
_IDLE = 75  # seconds: longer than a client keeps a connection that it does not use
_PATIENCE = 5  # seconds in which a stopping server lets requests end


class _Server(uvicorn.Server):
    """A server that says when it is ready, and leaves signals to whoever runs it."""

    def __init__(self, app: Starlette, ready: Callable[[], None]) -> None:
        """Prepare to serve ``app``."""
        super().__init__(
            uvicorn.Config(
                app,
                http=OpenProtocol,
                ws="none",
                loop="asyncio",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=_IDLE,
                timeout_graceful_shutdown=_PATIENCE,
            ),
        )
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen, then say so."""
        await super().startup(sockets=sockets)
        self._ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Take no signals: uvicorn would raise them again after a clean end."""
        yield


class RunningHub:
    """A Hub that serves from a thread until it is stopped.

    Attributes:
        endpoint: its address.
        requests: the requests that it has answered.
    """

    def __init__(self, app: Starlette, listening: socket.socket) -> None:
        """Begin to serve, and return when the Hub answers."""
        self.endpoint = _endpoint(listening)
        self.requests: RequestLog = app.state.requests
        settled = threading.Event()
        self._server = _Server(app, settled.set)
        self._thread = threading.Thread(target=self._serve, args=(listening, settled), name="embedded-hub", daemon=True)
        self._thread.start()
        settled.wait()
        if not self._server.started:
            raise RuntimeError("The embedded Hub did not start")

    def stop(self) -> None:
        """Let requests end, then let go of port and data directory."""
        self._server.should_exit = True
        self._thread.join()

    def __enter__(self) -> Self:
        """Serve."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    def _serve(self, listening: socket.socket, settled: threading.Event) -> None:
        """Run the server's own event loop."""
        try:
            asyncio.run(self._server.serve(sockets=[listening]))
        finally:
            settled.set()


def start(
    data: Path,
    accounts: Sequence[Account],
    port: int = 0,
    *,
    middleware: Sequence[Middleware] = (),
    part_size: int = PART_SIZE,
    clock: "Clock" = time.time,
    faults: FaultPlan | None = None,
) -> RunningHub:
    """Serve a data directory from a thread; port 0 takes a free one. The plan of faults may change meanwhile."""
    listening = _listen(port)
    try:
        app = create_app(data, accounts, middleware, part_size=part_size, clock=clock, faults=faults)
    except BaseException:
        listening.close()
        raise
    return RunningHub(app, listening)


def serve(
    data: Path,
    port: int,
    accounts: Sequence[Account],
    announce: Callable[[str], None],
    faults: FaultPlan | None = None,
) -> None:
    """Serve a data directory in the foreground until SIGTERM or SIGINT; announce one line when ready."""
    listening = _listen(port)
    try:
        app = create_app(data, accounts, faults=faults)
    except BaseException:
        listening.close()
        raise
    line = f"Hub ready: {_endpoint(listening)} token {accounts[0].token if accounts else 'none'}"
    server = _Server(app, lambda: announce(line))

    async def run() -> None:
        """Serve until a signal comes."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, _end, server)
        await server.serve(sockets=[listening])

    asyncio.run(run())


def _end(server: uvicorn.Server) -> None:
    """Ask a server to let requests end and then to return."""
    server.should_exit = True


def _listen(port: int) -> socket.socket:
    """Take a port of the loopback interface."""
    # Only where the protocol is named does asyncio switch Nagle's delay off: 40 ms for each request.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((_HOST, port))
    except OSError:
        listening.close()
        raise
    return listening


def _endpoint(listening: socket.socket) -> str:
    """Give the address that clients use."""
    return f"http://{_HOST}:{listening.getsockname()[1]}"
