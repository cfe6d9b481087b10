"""HTTP under huggingface_hub: one session for the whole process, which treats each request as its call demands.

The library shares one session between all callers, leaves most requests without a timeout, sleeps on `Retry-After`
for as long as the server likes, and closes the session for everybody when one connection fails. So the session that it
gets here only looks up on whose behalf a thread works, and hands the request to that call: to the right proxy and
certificates, under the time that is left, without the token where the request goes elsewhere than to the endpoint.

A Hub call is one try. Waiting belongs to the reconcile loop, which can be interrupted, shows what it waits for, and has
other work. The library retries by exception class and by status, so a failure that it must not retry is raised from
inside the session as a class it does not retry: `FinalError`, or its own `HfHubHTTPError`.
"""

import logging
import ssl
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx2
from huggingface_hub import constants, get_session, hf_raise_for_status, set_client_factory
from huggingface_hub.utils import (  # type: ignore[attr-defined] # exported by a lazy loader
    disable_progress_bars,
    parse_ratelimit_headers,
)

from adapterd.core.errors import AdapterdError
from adapterd.hub.network import bound
from adapterd.pace import Pace

CONNECT_SECONDS = 10.0
"""Longest wait for a connection."""

STALL_SECONDS = 75.0
"""Longest silence within a request; the Hub itself gives up on a commit after 60 seconds."""

KEEP_ALIVE_SECONDS = 3.0
"""Below the five seconds of common servers: a connection that they close while we write to it reads as a fault."""

_LATER = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)


class FinalError(httpx2.TransportError):
    """No answer from the network or from the time that was left; a class that the library does not retry."""


class Call:
    """One call of the port: how much time it has, which connections it uses, and what became of its effect.

    Attributes:
        effect_sent: whether the request that changes something has gone out.
        answer: what came back for it.
    """

    def __init__(
        self,
        http: httpx2.Client,
        endpoint: str,
        seconds: float,
        effect: str = "",
        clock: Callable[[], float] = time.monotonic,
        pace: Pace | None = None,
    ) -> None:
        """Start the clock. `effect` is the part of a path whose POST changes something on the Hub.

        The `pace` is told of every request to the endpoint, and may refuse it.
        """
        self._http = http
        self._pace = pace
        self._home = _origin(httpx2.URL(endpoint))
        self._seconds = seconds
        self._effect = effect
        self._clock = clock
        self._end = clock() + seconds
        self.effect_sent = False
        self.answer: httpx2.Response | None = None

    def remaining(self) -> float:
        """Seconds that are left; FinalError where there are none."""
        left = self._end - self._clock()
        if left <= 0:
            raise FinalError(self.overdue())
        return left

    def overdue(self) -> str:
        """Say that the time is over."""
        return f"no complete answer within the deadline of {self._seconds:g} s"

    def send(
        self,
        request: httpx2.Request,
        *,
        stream: bool,
        **options: Any,  # noqa: ANN401 - httpx2's options for authentication and redirects, handed through
    ) -> httpx2.Response:
        """Send one request, follow its redirects, and raise what the library would otherwise wait for."""
        _limit(request, self.remaining())
        if _origin(request.url) != self._home:
            request.headers.pop("authorization", None)
        elif self._pace is not None:
            self._pace.sending()
        changes = self._effect != "" and request.method == "POST" and self._effect in request.url.path
        self.effect_sent |= changes
        if request.method == "PUT":
            options["follow_redirects"] = False
        try:
            response = self._http.send(request, stream=True, **options)
            self._hear(response)
            if response.status_code in _LATER or response.is_server_error:
                hf_raise_for_status(response)
            if request.method == "PUT":
                _stays(response)
            if not stream:
                response.read()
        except FinalError:
            raise
        except httpx2.TransportError as error:
            raise FinalError(describe(error)) from error
        if changes:
            self.answer = response
        return response

    def _hear(self, response: httpx2.Response) -> None:
        """Note what the Hub says of its windows, and the requests that redirects made."""
        if self._pace is None:
            return
        for n, hop in enumerate((*response.history, response)):
            if _origin(hop.request.url) != self._home:
                continue
            if n:
                self._pace.redirected()
            if (said := parse_ratelimit_headers(hop.headers)) is not None:
                self._pace.window(said.resource_type, said.remaining, said.reset_in_seconds, said.limit)


def _stays(response: httpx2.Response) -> None:
    """Refuse to follow with an upload: a file's content is read once, and nothing of it is left to be sent again."""
    if response.has_redirect_location:
        response.close()
        raise FinalError(f"the upload to {response.request.url.host} is sent elsewhere ({response.status_code})")


class Session(httpx2.Client):
    """What `huggingface_hub.get_session` returns. Its own connections serve only users of the library other than us."""

    def __init__(
        self,
        *,
        silence: float | None,
        **options: Any,  # noqa: ANN401 - httpx2's own
    ) -> None:
        """Let others wait through at most so many seconds of silence; None leaves it to them."""
        super().__init__(**options)
        self._silence = silence

    def send(
        self,
        request: httpx2.Request,
        *,
        stream: bool = False,
        **options: Any,  # noqa: ANN401 - as above
    ) -> httpx2.Response:
        """Hand the request to the call on whose behalf this thread works."""
        if (call := _CALL.get()) is not None:
            return call.send(request, stream=stream, **options)
        if self._silence is not None:
            _limit(request, self._silence)
        return super().send(request, stream=stream, **options)


_CALL: ContextVar[Call | None] = ContextVar("adapterd_hub_call", default=None)
_INSTALL = threading.Lock()


@contextmanager
def during(call: Call) -> Iterator[Call]:
    """Let every request of this thread belong to `call`."""
    before = _CALL.set(call)
    try:
        yield call
    finally:
        _CALL.reset(before)


def join(call: Call) -> None:
    """Let a thread that the library started work for `call`, for as long as the thread lives."""
    if _CALL.get() is None:
        _CALL.set(call)


def install(*, xet: bool) -> None:
    """Set what the library keeps once per process. Safe to repeat, and never undone.

    No bars, no telemetry and its extra request, and no log lines, which carry signed addresses. Without the ambient
    token: several of its helpers build their headers anew and would send it to whatever endpoint they talk to.
    """
    constants.HF_HUB_DISABLE_TELEMETRY = True
    constants.HF_HUB_DISABLE_IMPLICIT_TOKEN = True
    if not xet:
        constants.HF_HUB_DISABLE_XET = True
    if _take_session(STALL_SECONDS):
        if constants.HF_HUB_DISABLE_PROGRESS_BARS is None:
            disable_progress_bars()
        for name in ("huggingface_hub", "httpx2"):
            logging.getLogger(name).setLevel(logging.ERROR)


def visit() -> None:
    """Set only what our own calls need, in a process that is somebody else's: what others send goes as it always did.

    Enough to read and to download, which build their own headers and never use xet.
    """
    _take_session(None)


def _take_session(silence: float | None) -> bool:
    """Let every session of the library be ours; False where it was before."""
    with _INSTALL:
        session = get_session()
        if isinstance(session, Session):
            return False
        hooks, timeout = session.event_hooks, session.timeout if silence is None else httpx2.Timeout(silence)
        set_client_factory(lambda: Session(silence=silence, event_hooks=hooks, follow_redirects=True, timeout=timeout))
        get_session()
        return True


def hush() -> None:
    """Ignore what a commit warns of: the library's own old use of httpx2, and the Hub's remarks on a card."""
    warnings.filterwarnings("ignore", "Use 'content=<...>' to upload raw bytes", DeprecationWarning)
    warnings.filterwarnings("ignore", "Warnings while validating metadata", UserWarning)


def connect(proxy: str | None, ca_file: Path | None) -> httpx2.Client:
    """Open the connections of one HubClient: the library's hooks and redirects, the environment's proxies or ours."""
    client = httpx2.Client(
        event_hooks=get_session().event_hooks,
        follow_redirects=True,
        timeout=STALL_SECONDS,
        proxy=proxy,
        verify=True if ca_file is None else _trust(ca_file),
        limits=httpx2.Limits(max_connections=32, keepalive_expiry=KEEP_ALIVE_SECONDS),
    )
    bound(client, _left)
    return client


def _left() -> float | None:
    """Seconds that the call has left for which this thread works; None outside of one."""
    call = _CALL.get()
    return None if call is None else call.remaining()


def describe(error: httpx2.TransportError) -> str:
    """Say in words what the network did, with the library's detail where it gives one."""
    match error:
        case FinalError():
            return str(error)
        case httpx2.ConnectTimeout() | httpx2.ConnectError():
            words = "cannot connect"
        case httpx2.TimeoutException():
            words = "no answer in time"
        case httpx2.ProxyError():
            words = "the proxy refused"
        case _:
            words = "the connection broke"
    detail = str(error)
    return f"{words}: {detail}" if detail else words


def unreached(error: BaseException | None) -> bool:
    """Whether no connection came about at all, as far as an error and its causes tell."""
    while error is not None:
        if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.ProxyError):
            return True
        error = error.__cause__
    return False


def _trust(ca_file: Path) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(ca_file))
    except OSError as error:
        raise AdapterdError(
            f"the certificates in {ca_file} cannot be read: {error.strerror or error}",
            "name a readable file in PEM form as hub.ca_file",
        ) from error


def _origin(url: httpx2.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _limit(request: httpx2.Request, seconds: float) -> None:
    """Fill in missing timeouts and shorten those that go past `seconds`."""
    given = request.extensions.get("timeout") or {}
    most = {"connect": CONNECT_SECONDS, "read": STALL_SECONDS, "write": STALL_SECONDS, "pool": STALL_SECONDS}
    limits = {kind: min(limit, seconds) for kind, limit in most.items()}
    request.extensions["timeout"] = {
        kind: limit if given.get(kind) is None else min(limit, given[kind]) for kind, limit in limits.items()
    }
