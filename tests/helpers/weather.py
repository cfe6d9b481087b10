"""A Hub with weather: a real one, in front of which a test may put answers of its own."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from adapterd.hub.server import Account, RunningHub, start
from helpers.hosts import NAMESPACE, TOKEN


@dataclass(frozen=True)
class Sky:
    """An answer instead of the Hub's."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)


Forecast = Callable[[str, str], Sky | None]
"""Method and path to an answer instead of the Hub's, or None for the Hub's own."""

CLEAR: Forecast = lambda _method, _path: None  # noqa: E731 - named for its type


@dataclass
class Weather:
    """The Hub, and what stands before it now."""

    hub: RunningHub
    forecast: list[Forecast]

    def set(self, forecast: Forecast) -> None:
        """Put another answer before the Hub."""
        self.forecast[0] = forecast

    def storm(self, status: int = 503, **headers: str) -> None:
        """Answer everything like that."""
        sky = Sky(status, {name.replace("_", "-"): value for name, value in headers.items()})
        self.set(lambda _method, _path: sky)

    def clear(self) -> None:
        """Let the Hub answer."""
        self.set(CLEAR)

    @property
    def requests(self) -> list[tuple[str, str]]:
        """Every request that came: method and path."""
        return [(record.method, record.path) for record in self.hub.requests]


class _Before:
    def __init__(self, app: ASGIApp, forecast: list[Forecast]) -> None:
        self._app, self._forecast = app, forecast

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sky = self._forecast[0](scope["method"], scope["path"]) if scope["type"] == "http" else None
        if sky is None:
            await self._app(scope, receive, send)
        else:
            await Response(b"{}", sky.status, headers=dict(sky.headers))(scope, receive, send)


@contextmanager
def weather(data: Path) -> Iterator[Weather]:
    """Serve a Hub with one writer."""
    forecast = [CLEAR]
    with start(data, [Account(NAMESPACE, TOKEN)], middleware=[Middleware(_Before, forecast)]) as hub:
        yield Weather(hub, forecast)
