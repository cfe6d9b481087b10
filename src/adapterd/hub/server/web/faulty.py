"""Does what a fault plan says, between the log of requests and the Hub."""

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from adapterd.hub.server.errors import HubError
from adapterd.hub.server.faults import (
    Alter,
    Asked,
    CutUpload,
    Delay,
    Fault,
    FaultPlan,
    Hang,
    Lose,
    Redirect,
    Remake,
    Say,
    Trickle,
    Truncate,
)
from adapterd.hub.server.storage.catalog import Catalog
from adapterd.hub.server.web.actions import asked

_RESET = struct.pack("ii", 1, 0)
_KINDS = {"/api/datasets/": "dataset", "/api/spaces/": "space"}


class OpenProtocol(H11Protocol):
    """HTTP as uvicorn speaks it, whose requests can reach their connection: ASGI has no word for a reset."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's own
        """Hand the connection to every request that comes through it."""
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}

    def shutdown(self) -> None:
        """End: whoever waits for an answer that a fault holds back is not waited for."""
        super().shutdown()
        if self.scope:
            self.scope["state"]["ending"] = True
            if self.scope["state"].get("struck"):
                self.transport.abort()


class Faulty:
    """Strikes the requests that the plan names; the others pass."""

    def __init__(self, app: ASGIApp, plan: FaultPlan, catalog: Catalog) -> None:
        """Stand before ``app``."""
        self._app = app
        self._plan = plan
        self._catalog = catalog

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on through the faults that strike it."""
        app = self._app
        if scope["type"] == "http":
            request = asked(scope["method"], scope["raw_path"].decode("ascii", "replace"))
            faults = await run_in_threadpool(self._plan.strike, request)
            scope["state"]["struck"] = bool(faults)
            if faults and scope["state"].get("ending"):
                _transport(scope).abort()
            for fault in reversed(faults):
                app = self._struck(fault, request, app)
        await app(scope, receive, send)

    def _struck(self, fault: Fault, request: Asked, app: ASGIApp) -> ASGIApp:  # noqa: C901 - a table
        """Put a fault around an application."""
        match fault:
            case Delay(seconds):
                return _before(app, lambda: asyncio.sleep(seconds))
            case Remake():
                return _before(app, lambda: run_in_threadpool(_remake, self._catalog, fault, request))
            case Say(status, body, headers):
                return Response(body, status, dict(headers))
            case Redirect():
                return _redirect(fault)
            case Lose(silent):
                return _lose(app, silent=silent)
            case CutUpload(after):
                return _cut_upload(app, after)
            case Hang(after):
                return _hang if after is None else _cut_answer(app, after, silent=True)
            case Truncate(after):
                return _cut_answer(app, after, silent=False)
            case Trickle():
                return _trickle(app, fault)
            case Alter():
                return _alter(app)


def _before(app: ASGIApp, act: Callable[[], Any]) -> ASGIApp:
    """Do something, then pass the request on."""

    async def struck(scope: Scope, receive: Receive, send: Send) -> None:
        await act()
        await app(scope, receive, send)

    return struck


def _remake(catalog: Catalog, fault: Remake, request: Asked) -> None:
    """Do to a request's repo what somebody else might do in the same moment."""
    kind = next((kind for prefix, kind in _KINDS.items() if request.path.startswith(prefix)), "model")
    try:
        record, _ = catalog.find(kind, request.repo)
        match fault.act:
            case "delete":
                catalog.delete(record)
            case "rename":
                catalog.move(record, fault.to)
            case "public" | "private":
                catalog.set_private(record, private=fault.act == "private")
    except HubError:
        return  # there is no such repo, or one of the new name: then nothing happens to it


def _redirect(fault: Redirect) -> ASGIApp:
    async def struck(scope: Scope, receive: Receive, send: Send) -> None:
        query = scope["query_string"].decode()
        to = fault.to.rstrip("/") + scope["raw_path"].decode() + (f"?{query}" if query else "")
        await Response(status_code=fault.status, headers={"Location": to})(scope, receive, send)

    return struck


def _lose(app: ASGIApp, *, silent: bool) -> ASGIApp:
    async def struck(scope: Scope, receive: Receive, _: Send) -> None:
        async def swallow(_: Message) -> None:
            """Let the answer disappear."""

        await app(scope, receive, swallow)
        if not silent:
            _reset(scope)
        await _gone(receive)

    return struck


def _cut_upload(app: ASGIApp, after: int) -> ASGIApp:
    async def struck(scope: Scope, receive: Receive, send: Send) -> None:
        arrived = 0

        async def cut() -> Message:
            """Take the next piece of the body, unless it goes too far."""
            nonlocal arrived
            message = await receive()
            arrived += len(message.get("body", b""))
            if message["type"] == "http.request" and (arrived > after or not message.get("more_body")):
                _reset(scope)
                await _gone(receive)
                return {"type": "http.disconnect"}
            return message

        await app(scope, cut, send)

    return struck


async def _hang(_: Scope, receive: Receive, __: Send) -> None:
    """Take the request and say nothing, until the client gives up."""
    await _gone(receive)


def _cut_answer(app: ASGIApp, after: int, *, silent: bool) -> ASGIApp:
    """Hand on only the first bytes of an answer's body; then say nothing more, or close."""

    async def struck(scope: Scope, receive: Receive, send: Send) -> None:
        left = after

        async def some(message: Message) -> None:
            """Send the next piece, or its beginning."""
            nonlocal left
            if message["type"] != "http.response.body":
                await send(message)
            elif left >= 0:
                piece = message.get("body", b"")[:left]
                left = left - len(piece) or -1
                await send({"type": "http.response.body", "body": piece, "more_body": True})

        await app(scope, receive, some)
        if not silent:
            _transport(scope).close()
        await _gone(receive)

    return struck


def _trickle(app: ASGIApp, fault: Trickle) -> ASGIApp:
    async def struck(scope: Scope, receive: Receive, send: Send) -> None:
        async def slowly() -> Message:
            """Take the next piece of the body, late."""
            await asyncio.sleep(fault.every)
            return await receive()

        if fault.what == "request":
            await app(scope, slowly, send)
            return
        transport = _transport(scope)
        transport.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-repo-commit: %040d\r\n" % 0)
        transport.write(b"x-slow: " if fault.what == "headers" else b"content-length: 1000000000\r\n\r\n")
        gone = asyncio.ensure_future(_gone(receive))
        while not (await asyncio.wait([gone], timeout=fault.every))[0]:
            transport.write(b" ")

    return struck


def _alter(app: ASGIApp) -> ASGIApp:
    async def struck(scope: Scope, receive: Receive, send: Send) -> None:
        async def other(message: Message) -> None:
            """Send the next piece with one bit of its middle turned."""
            piece = bytearray(message.get("body", b""))
            if piece:
                piece[len(piece) // 2] ^= 1
                message = {**message, "body": bytes(piece)}
            await send(message)

        await app(scope, receive, other)

    return struck


def _transport(scope: Scope) -> asyncio.Transport:
    """Give the connection of a request."""
    transport: asyncio.Transport = scope["state"]["transport"]
    return transport


def _reset(scope: Scope) -> None:
    """Break a connection with RST: what is on its way to the client is lost as well."""
    transport = _transport(scope)
    connection = transport.get_extra_info("socket")
    if connection is not None and not transport.is_closing():
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    transport.abort()


async def _gone(receive: Receive) -> None:
    """Wait until the connection is no more."""
    while (await receive())["type"] != "http.disconnect":
        pass
