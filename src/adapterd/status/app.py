"""The routes. Each answer is made in a thread, since reading the registry may wait for the disk."""

from collections.abc import Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from adapterd.core.errors import AdapterdError
from adapterd.health import Health
from adapterd.ports import RegistryReader
from adapterd.status import chapters, documents, pages, view
from adapterd.status.guard import METHODS, Guard
from adapterd.status.metrics import CONTENT_TYPE, Metrics

Clock = Callable[[], float]

_UNAVAILABLE = 503
_NOT_FOUND = 404


def create_app(reader: RegistryReader, health: Health, clock: Clock) -> Starlette:
    """The app over one registry and one daemon."""
    routes = _Routes(reader, health, clock)
    table: dict[str, Callable[[Request], Response]] = {
        "/": routes.front,
        "/adapters/{namespace}/{name}": routes.adapter,
        "/status.json": routes.document,
        "/healthz": routes.healthz,
        "/readyz": routes.readyz,
        "/metrics": routes.metrics,
    }
    return Starlette(
        routes=[Route(path, answer, methods=list(METHODS)) for path, answer in table.items()],
        middleware=[Middleware(Guard)],
        exception_handlers={AdapterdError: _unreadable, HTTPException: _plain},
    )


class _Routes:
    """One method per page."""

    def __init__(self, reader: RegistryReader, health: Health, clock: Clock) -> None:
        """Keep where to read."""
        self._reader = reader
        self._health = health
        self._clock = clock
        self._metrics = Metrics(reader, health)

    def front(self, _: Request) -> Response:
        """The status page."""
        return HTMLResponse(pages.front(view.overview(self._reader, self._health, self._clock())))

    def adapter(self, request: Request) -> Response:
        """The page of one adapter."""
        name = f"{request.path_params['namespace']}/{request.path_params['name']}"
        found = view.adapter(self._reader, name, self._clock())
        if found is None:
            return HTMLResponse(pages.absent(name), _NOT_FOUND)
        return HTMLResponse(chapters.adapter(found))

    def document(self, _: Request) -> Response:
        """The status page as JSON."""
        body = documents.render(view.overview(self._reader, self._health, self._clock()))
        return Response(body, media_type="application/json")

    def healthz(self, _: Request) -> Response:
        """Whether the daemon works: its intake turns, and the registry answers."""
        if not self._health.alive():
            return _no(f"the intake lane has not turned for {self._health.stale_after:g} s or more")
        self._reader.generation()
        return PlainTextResponse("ok\n")

    def readyz(self, _: Request) -> Response:
        """Whether the daemon has begun its work."""
        return PlainTextResponse("ready\n") if self._health.ready else _no("the daemon has not begun its work yet")

    def metrics(self, _: Request) -> Response:
        """Prometheus' text."""
        return Response(self._metrics.render(), headers={"content-type": CONTENT_TYPE})


def _no(why: str) -> Response:
    """An answer for checkers that it is not so."""
    return PlainTextResponse(f"{why}\n", _UNAVAILABLE)


def _unreadable(_: Request, error: Exception) -> Response:
    """The registry does not answer: every route says so with 503."""
    return _no(str(error))


def _plain(_: Request, error: Exception) -> Response:
    """No such page."""
    status = error.status_code if isinstance(error, HTTPException) else _UNAVAILABLE
    return PlainTextResponse("there is no such page; begin at /\n", status)
