"""Serving the pages from a thread of the daemon, on loopback alone."""

import asyncio
import ipaddress
import socket
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

import anyio.to_thread
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from adapterd.core.errors import AdapterdError
from adapterd.health import Health
from adapterd.ports import RegistryReader
from adapterd.status.app import create_app

_CONNECTIONS = 32  # at a time: whoever opens more must not use up the daemon's descriptors
_LONGEST = 30.0  # seconds that a connection may last, whatever its client does
_IDLE = 2  # seconds that it is kept between two requests
_THREADS = 2  # pages that are made at a time
_TURNS = 3  # of the event loop, until what was accepted has its protocol
_PATIENCE = 3  # seconds in which a stopping server lets requests end


class _Connection(H11Protocol):
    """A connection among few, and not for ever."""

    _end: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Take the connection, or drop it where there are too many."""
        super().connection_made(transport)
        if len(self.connections) > _CONNECTIONS:
            transport.abort()
        else:
            self._end = self.loop.call_later(_LONGEST, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        if self._end is not None:
            self._end.cancel()
        super().connection_lost(exc)


class _Server(uvicorn.Server):
    """Sleeps until somebody asks: uvicorn's own loop wakes ten times a second. Signals are the daemon's."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        """Prepare to serve."""
        super().__init__(config)
        self._ready = ready
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended: asyncio.Event | None = None

    async def main_loop(self) -> None:
        """Serve until `end`."""
        anyio.to_thread.current_default_thread_limiter().total_tokens = _THREADS
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        self._ready()
        await self._ended.wait()
        # asyncio leaves a connection open that was accepted in the very turn in which its server closes. So accept no
        # more, and let what was accepted become a connection, which uvicorn then closes.
        for listening in (each for server in self.servers for each in server.sockets):
            self._loop.remove_reader(listening.fileno())
        for _ in range(_TURNS):
            await asyncio.sleep(0)

    def end(self) -> None:
        """Stop serving; for any thread, once `ready` was called."""
        if self._loop is not None and self._ended is not None:
            self._loop.call_soon_threadsafe(self._ended.set)


class StatusServer:
    """The pages, served until they are stopped.

    Attributes:
        url: of the front page.
    """

    def __init__(self, listening: socket.socket, server: _Server, started: threading.Event) -> None:
        """Begin to serve, and return when it does; `start` is the way here."""
        self.url = _url(listening)
        self._server = server
        self._started = started
        self._thread = threading.Thread(target=self._serve, args=(listening,), name="status", daemon=True)
        self._thread.start()
        started.wait()

    @property
    def running(self) -> bool:
        """Whether the pages are served."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Let requests end, and give back the port."""
        if self._thread.is_alive():
            self._server.end()
        self._thread.join()

    def __enter__(self) -> Self:
        """Serve."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    def _serve(self, listening: socket.socket) -> None:
        """Run an event loop of its own."""
        try:
            asyncio.run(self._server.serve(sockets=[listening]))
        finally:
            listening.close()
            self._started.set()


def start(
    address: tuple[str, int], reader: RegistryReader, health: Health, *, clock: Callable[[], float] = time.time
) -> StatusServer:
    """Serve the pages at a loopback address; port 0 takes a free one.

    Raises:
        AdapterdError: the address is not loopback's, or cannot be listened at. The daemon goes on without.
    """
    listening = _listen(address)
    started = threading.Event()
    config = uvicorn.Config(
        create_app(reader, health, clock),
        http=_Connection,
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_keep_alive=_IDLE,
        timeout_graceful_shutdown=_PATIENCE,
    )
    return StatusServer(listening, _Server(config, started.set), started)


def _listen(address: tuple[str, int]) -> socket.socket:
    """Take the port."""
    host, port = address
    try:
        # The last of the addresses would do as well; a name is looked up once, so that what was checked is bound.
        family, _, _, _, bound = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        if not ipaddress.ip_address(str(bound[0]).partition("%")[0]).is_loopback:
            raise AdapterdError(
                f"the status page may not listen at {host}, which is not loopback",
                "set status.listen to 127.0.0.1 and a port; there is no login",
            )
        listening = socket.socket(family, socket.SOCK_STREAM)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(bound)
            listening.listen(_CONNECTIONS)
        except BaseException:
            listening.close()
            raise
    except OSError as error:
        raise AdapterdError(
            f"the status page cannot listen at {host} port {port}: {error.strerror or error}",
            "set status.listen to a free port, or to off; everything else goes on",
        ) from error
    return listening


def _url(listening: socket.socket) -> str:
    """The address for a browser."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
