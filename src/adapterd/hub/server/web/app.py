"""The Hub as an ASGI application: its routes and what stands around them."""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Route

from adapterd.hub.server.accounts import Account
from adapterd.hub.server.faults import FaultPlan
from adapterd.hub.server.signing import Signer
from adapterd.hub.server.storage.catalog import Catalog, Clock
from adapterd.hub.server.web import changing, lfs, reading, repos, resolve
from adapterd.hub.server.web.call import Handler, Hub, StreamHandler, blocking, page_of, streaming
from adapterd.hub.server.web.faulty import Faulty
from adapterd.hub.server.web.middleware import LOOPBACK, Guard, RawPath, Recorder, RequestLog

PART_SIZE = 64 * 1024 * 1024
"""LFS objects larger than this come in parts."""

_OF_A_REPO: list[tuple[str, str, Handler]] = [
    ("GET", "", reading.info),
    ("GET", "/revision/{revision}", reading.info),
    ("GET", "/tree/{revision}", reading.tree),
    ("GET", "/tree/{revision}/{path:path}", reading.tree),
    ("POST", "/paths-info/{revision}", reading.paths_info),
    ("GET", "/commits/{revision}", reading.commits),
    ("GET", "/refs", reading.refs),
    ("POST", "/preupload/{revision}", changing.preupload),
    ("POST", "/tag/{revision}", changing.tag),
    ("DELETE", "/tag/{revision}", changing.untag),
    ("POST", "/branch/{revision}", changing.branch),
    ("DELETE", "/branch/{revision}", changing.unbranch),
    ("POST", "/super-squash/{revision}", changing.squash),
    ("GET", "/lfs-files", lfs.list_files),
    ("POST", "/lfs-files/batch", lfs.delete_files),
    ("GET", "/auth-check", repos.auth_check),
    ("GET", "/auth-check/write", repos.auth_check_write),
    ("PUT", "/settings", repos.settings),
]
_SIGNED: list[tuple[str, str, StreamHandler]] = [
    ("PUT", "object", lfs.put_object),
    ("PUT", "part", lfs.put_part),
    ("POST", "complete", lfs.complete),
]


def create_app(
    data: Path,
    accounts: Sequence[Account],
    middleware: Sequence[Middleware] = (),
    *,
    part_size: int = PART_SIZE,
    clock: Clock = time.time,
    faults: FaultPlan | None = None,
) -> Starlette:
    """Make a Hub over a data directory, which it holds until its lifespan ends.

    ``middleware`` stands between the request log and the Hub: what it answers is logged, what it swallows never
    reaches the Hub. ``faults`` stand behind it.
    """
    catalog = Catalog(data, clock)
    hub = Hub(catalog, tuple(accounts), Signer(data), clock, part_size)
    log = RequestLog()

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        """Hold the data directory as long as the server runs."""
        yield
        catalog.close()

    plan = () if faults is None else (Middleware(Faulty, faults, catalog),)
    around = [Middleware(Recorder, log), *middleware, *plan, Middleware(Guard, LOOPBACK), Middleware(RawPath)]
    app = Starlette(routes=_routes(hub), middleware=around, lifespan=lifespan)
    app.router.redirect_slashes = False
    app.state.requests = log
    return app


def _routes(hub: Hub) -> list[BaseRoute]:
    """Lay out the routes; they are matched in this order, on the raw path."""
    routes: list[BaseRoute] = [
        Route("/api/whoami-v2", blocking(hub, repos.whoami, token=False), methods=["GET"]),
        Route("/api/validate-yaml", blocking(hub, repos.validate_yaml), methods=["POST"]),
        Route("/api/repos/create", blocking(hub, repos.create), methods=["POST"]),
        Route("/api/repos/delete", blocking(hub, repos.delete), methods=["DELETE"]),
        Route("/api/repos/move", blocking(hub, repos.move), methods=["POST"]),
    ]
    routes += [
        Route(f"/lfs/{{storage}}/{name}", streaming(hub, handler, token=False), methods=[method])
        for method, name, handler in _SIGNED
    ]
    for kind in ("dataset", "space", "model"):
        routes += _routes_of_kind(hub, kind)
    return [*routes, Route("/{rest:path}", blocking(hub, repos.unknown), methods=["GET", "POST", "PUT", "DELETE"])]


def _routes_of_kind(hub: Hub, kind: str) -> list[BaseRoute]:
    """Lay out the routes of models, datasets or spaces."""
    api = f"/api/{kind}s/{{namespace}}/{{name}}"
    page = "/" + page_of(kind, "{namespace}/{name}")
    return [
        Route(f"/api/{kind}s", blocking(hub, repos.listing, kind), methods=["GET"]),
        *(
            Route(api + suffix, blocking(hub, handler, kind), methods=[method])
            for method, suffix, handler in _OF_A_REPO
        ),
        Route(f"{api}/commit/{{revision}}", streaming(hub, changing.commit, kind), methods=["POST"]),
        Route(f"{page}.git/info/lfs/objects/batch", blocking(hub, lfs.batch, kind), methods=["POST"]),
        Route(f"{page}.git/info/lfs/objects/verify", blocking(hub, lfs.verify, kind), methods=["POST"]),
        Route(f"{page}/resolve/{{revision}}/{{path:path}}", blocking(hub, resolve.resolve, kind), methods=["GET"]),
    ]
