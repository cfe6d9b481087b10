"""One request, as the handlers see it: who asks, about which repo, with what."""

import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from adapterd.hub.server.accounts import Account, authenticate, require_read, require_write
from adapterd.hub.server.errors import HubError, bad_request
from adapterd.hub.server.signing import Signer
from adapterd.hub.server.storage.catalog import Catalog, Clock, Record
from adapterd.hub.server.storage.repository import Repository, Stamp

_LARGEST_BODY = 32 * 1024 * 1024
_LONGEST_HEADER = 1000
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")
_DIGITS = re.compile(r"[0-9]{1,18}")
_PREFIXES = {"model": "", "dataset": "datasets/", "space": "spaces/"}


@dataclass(frozen=True)
class Hub:
    """What every handler works with.

    Attributes:
        catalog: the repos.
        accounts: the tokens.
        signer: signs upload links.
        clock: seconds since 1970.
        part_size: LFS objects larger than this come in parts of this size.
    """

    catalog: Catalog
    accounts: Sequence[Account]
    signer: Signer
    clock: Clock
    part_size: int


@dataclass(frozen=True)
class Call:
    """A request that has been read.

    Attributes:
        hub: what to work with.
        request: the request itself.
        account: who asks, None for an anonymous reader.
        kind: model, dataset or space, where the route has one.
        params: the parts of the path, decoded.
        body: the body, where the route does not stream it.
    """

    hub: Hub
    request: Request
    account: Account | None
    kind: str
    params: Mapping[str, str]
    body: bytes = b""

    @property
    def base(self) -> str:
        """Give this Hub's address as the client wrote it."""
        return f"{self.request.url.scheme}://{self.request.url.netloc}"

    @property
    def repo_id(self) -> str:
        """Give the repo that the path names."""
        return f"{self.params['namespace']}/{self.params['name']}"

    def readable(self) -> tuple[Record, Repository]:
        """Find the repo, if the asker may see it."""
        record, repository = self.hub.catalog.find(self.kind, self.repo_id)
        require_read(self.account, record)
        return record, repository

    def writable(self, what: str) -> tuple[Record, Repository]:
        """Find the repo, if the asker may change it."""
        record, repository = self.readable()
        require_write(self.account, record.namespace, what=what)
        return record, repository

    def stamp(self) -> Stamp:
        """Say who does this, and when."""
        return Stamp(self.account.name if self.account else "system", int(self.hub.clock()))

    def json(self) -> dict[str, Any]:
        """Read the body as a JSON object."""
        try:
            data = json.loads(self.body or b"{}")
        except (ValueError, RecursionError) as error:
            raise bad_request("The body is no JSON") from error
        if not isinstance(data, dict):
            raise bad_request("The body is no JSON object")
        return data

    def flag(self, name: str) -> bool:
        """Read a switch of the query."""
        return is_true(self.request.query_params.get(name))

    def number(self, name: str, default: int, most: int) -> int:
        """Read a number of the query, kept within bounds."""
        text = self.request.query_params.get(name, "")
        return min(int(text), most) if _DIGITS.fullmatch(text) and int(text) > 0 else default


Handler = Callable[[Call], Response]
StreamHandler = Callable[[Call], Awaitable[Response]]
Endpoint = Callable[[Request], Awaitable[Response]]


def is_true(value: object) -> bool:
    """Read a switch as the client writes it."""
    return str(value).lower() in {"true", "1"}


def page_of(kind: str, repo_id: str) -> str:
    """Give the path of a repo's page, which is also where its files are resolved."""
    return f"{_PREFIXES[kind]}{repo_id}"


def blocking(hub: Hub, handler: Handler, kind: str = "", *, token: bool = True) -> Endpoint:
    """Make an endpoint of a handler that reads and writes the disk: body first, then on a thread.

    ``token`` false leaves the token to the handler.
    """

    async def endpoint(request: Request) -> Response:
        """Answer one request."""

        async def answer(call: Call) -> Response:
            """Hand the call to its handler, with its body."""
            complete = Call(call.hub, request, call.account, kind, call.params, await _read_body(request))
            return await run_in_threadpool(handler, complete)

        return await _answered(hub, answer, request, kind, token=token)

    return endpoint


def streaming(hub: Hub, handler: StreamHandler, kind: str = "", *, token: bool = True) -> Endpoint:
    """Make an endpoint of a handler that takes its body piece by piece.

    ``token`` false leaves it to the handler who may ask: a signed link stands for a token.
    """

    async def endpoint(request: Request) -> Response:
        """Answer one request."""
        return await _answered(hub, handler, request, kind, token=token)

    return endpoint


async def _answered(hub: Hub, handler: StreamHandler, request: Request, kind: str, *, token: bool = True) -> Response:
    """Run a handler, and give its refusals the Hub's form."""
    try:
        params = {key: unquote(value) for key, value in request.path_params.items()}
        account = authenticate(hub.accounts, request.headers.get("authorization")) if token else None
        return await handler(Call(hub, request, account, kind, params))
    except HubError as error:
        return refusal(error)
    except ClientDisconnect:
        return Response(status_code=400)


def refusal(error: HubError) -> Response:
    """Write a refusal: the client reads the code and the message from the headers, people from the body."""
    headers = {
        "X-Error-Message": _UNPRINTABLE.sub("?", " ".join(error.message.split()))[:_LONGEST_HEADER],
        **error.headers,
    }
    if error.code:
        headers["X-Error-Code"] = error.code
    return JSONResponse({"error": error.message, **error.extra}, status_code=error.status, headers=headers)


async def _read_body(request: Request) -> bytes:
    """Read a body that is small by its nature."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LARGEST_BODY:
            raise HubError(413, "The request is too large")
    return bytes(body)
