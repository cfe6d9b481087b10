"""Who may ask: only readers on this host, and no web page of somebody else's.

The pages have no login, and any site that a browser on this host visits can send requests to loopback. So the name
that the browser believes to talk to must be loopback's own (a site's own name that was pointed at 127.0.0.1 is not),
and a request that another page's script makes is refused.
"""

import ipaddress
from collections.abc import Sequence
from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

METHODS = ("GET", "HEAD")
HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


class Guard:
    """Refuses what is not for us, and puts the protecting headers on every answer."""

    def __init__(self, app: ASGIApp) -> None:
        """Guard an app."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or pass on."""
        if scope["type"] != "http":
            return
        headers = Headers(scope=scope)
        refused = refusal(scope["method"], headers.getlist("host"), headers.getlist("origin"))

        async def guarded(message: Message) -> None:
            """Add the headers to the start of the answer."""
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        if refused is None:
            await self._app(scope, receive, guarded)
            return
        status, why = refused
        allow = {"allow": ", ".join(METHODS)} if status is HTTPStatus.METHOD_NOT_ALLOWED else None
        await PlainTextResponse(f"{why}\n", status, headers=allow)(scope, receive, guarded)


def refusal(method: str, hosts: Sequence[str], origins: Sequence[str]) -> tuple[HTTPStatus, str] | None:
    """Why a request is refused; None where it is not."""
    if len(hosts) != 1 or not is_loopback(hosts[0]):
        return HTTPStatus.MISDIRECTED_REQUEST, "this is reached by a loopback name or address only"
    if any(origin != f"http://{hosts[0]}" for origin in origins):
        return HTTPStatus.FORBIDDEN, "other sites may not ask"
    if method not in METHODS:
        return HTTPStatus.METHOD_NOT_ALLOWED, "there is nothing to change here; GET and HEAD only"
    return None


def is_loopback(host: str) -> bool:
    """Whether a Host header, with or without a port, names this host's loopback."""
    try:
        parsed = urlsplit(f"//{host}")
        name, _ = parsed.hostname, parsed.port  # a port that is no number raises
    except ValueError:
        return False
    if not name or parsed.netloc != host or "@" in host:
        return False
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
