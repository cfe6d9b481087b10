"""What stands around every request: the log of requests, the guard against foreign hosts, the raw path."""

import threading
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from adapterd.hub.server.errors import HubError, forbidden
from adapterd.hub.server.web.call import refusal

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class Record(NamedTuple):
    """One request that was answered: the path is raw and without its query, so that it holds no secret."""

    method: str
    path: str
    status: int
    bytes_in: int


class RequestLog:
    """The requests that were answered, for tests and benchmarks; any thread may read it."""

    def __init__(self) -> None:
        """Begin empty."""
        self._lock = threading.Lock()
        self._records: list[Record] = []

    def add(self, record: Record) -> None:
        """Note a request."""
        with self._lock:
            self._records.append(record)

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._records.clear()

    def lfs_bytes(self) -> int:
        """Count the bytes of large files that came in."""
        return sum(record.bytes_in for record in self if record.method == "PUT" and record.path.startswith("/lfs/"))

    def __iter__(self) -> Iterator[Record]:
        """Go through a copy."""
        with self._lock:
            return iter(list(self._records))

    def __len__(self) -> int:
        """Count the requests."""
        with self._lock:
            return len(self._records)


class Recorder:
    """Notes each request just before its answer begins, so that a client that has the answer finds it noted."""

    def __init__(self, app: ASGIApp, log: RequestLog) -> None:
        """Stand before ``app``."""
        self._app = app
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, counting what comes in."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        arrived = 0
        begun = False

        async def counted() -> Message:
            """Take the next piece of the body."""
            nonlocal arrived
            message = await receive()
            arrived += len(message.get("body", b""))
            return message

        async def noted(message: Message) -> None:
            """Send the next piece of the answer."""
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                self._log.add(Record(scope["method"], scope["raw_path"].decode(), message["status"], arrived))
            await send(message)

        try:
            await self._app(scope, counted, noted)
        except Exception:  # raised again, once it is counted
            if not begun:
                self._log.add(Record(scope["method"], scope["raw_path"].decode(), 500, arrived))
            raise


class Guard:
    """Refuses requests that a web page could have sent: a foreign Host (DNS rebinding) or a foreign Origin."""

    def __init__(self, app: ASGIApp, hosts: frozenset[str]) -> None:
        """Stand before ``app``."""
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, if it is meant for us."""
        if scope["type"] == "http":
            headers = {key.lower(): value.decode("latin-1") for key, value in scope["headers"]}
            error = self._objection(headers.get(b"host", ""), headers.get(b"origin", ""))
            if error is not None:
                await refusal(error)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _objection(self, host: str, origin: str) -> HubError | None:
        """Say what is wrong with where a request comes from."""
        if _hostname(f"//{host}") not in self._hosts:
            return HubError(421, "This Hub is not known by that host name")
        if origin and urlsplit(origin).netloc != host:
            return forbidden("This Hub takes no requests from other sites' pages")
        return None


class RawPath:
    """Routes on the path as it was sent: the slash of a branch name comes as ``%2F`` and parts nothing."""

    def __init__(self, app: ASGIApp) -> None:
        """Stand before ``app``."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with its raw path."""
        if scope["type"] == "http":
            scope = {**scope, "path": scope["raw_path"].decode("ascii", "replace")}
        await self._app(scope, receive, send)


def _hostname(url: str) -> str:
    """Give the host of a URL, without its port."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
