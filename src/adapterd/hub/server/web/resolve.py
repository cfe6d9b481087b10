"""The bytes of a file at a revision: whole, in part, or only what they would be."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from dulwich.objects import Blob
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from adapterd.hub.server.errors import HubError, entry_not_found
from adapterd.hub.server.storage.repository import Repository
from adapterd.hub.server.storage.trees import Entry
from adapterd.hub.server.web.call import Call

_CHUNK = 1 << 20
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


@dataclass(frozen=True)
class Span:
    """The part of a file that is asked for: from ``start`` up to but not including ``stop``."""

    start: int
    stop: int


def resolve(call: Call) -> Response:
    """Answer a GET or a HEAD for a file."""
    _, repository = call.readable()
    revision, path = call.params["revision"], call.params["path"]
    commit = repository.resolve(revision)
    entry = repository.entry(commit, path)
    if entry is None or entry.directory:
        raise entry_not_found("Entry not found", commit=commit.decode())
    headers = _headers(entry, commit.decode())
    if _is_known(call.request.headers.get("if-none-match"), headers["ETag"]):
        return Response(status_code=304, headers=headers)
    span = _span(call, entry.size, headers["ETag"])
    status = 200
    if span is None:
        span = Span(0, entry.size)
    else:
        status = 206
        headers["Content-Range"] = f"bytes {span.start}-{span.stop - 1}/{entry.size}"
    headers["Content-Length"] = str(span.stop - span.start)
    if call.request.method == "HEAD":
        _require_stored(repository, entry, commit.decode())
        return Response(status_code=status, headers=headers)
    if entry.pointer is None:
        content = repository.objects.get(Blob, entry.oid).data
        return Response(content[span.start : span.stop], status, headers)
    file = _require_stored(repository, entry, commit.decode()).open("rb")
    return StreamingResponse(_pieces(file, span), status, headers)


def _headers(entry: Entry, commit: str) -> dict[str, str]:
    """Say what the file is: its commit, and an etag that names its bytes."""
    etag = entry.pointer.oid if entry.pointer else entry.oid.decode()
    name = quote(entry.path.rpartition("/")[2], safe="")
    headers = {
        "X-Repo-Commit": commit,
        "ETag": f'"{etag}"',
        "Accept-Ranges": "bytes",
        "Content-Type": "application/octet-stream",
        "Content-Disposition": f"inline; filename*=UTF-8''{name}",
        "X-Content-Type-Options": "nosniff",
    }
    if entry.pointer:
        headers |= {"X-Linked-Etag": f'"{etag}"', "X-Linked-Size": str(entry.size)}
    return headers


def _is_known(header: str | None, etag: str) -> bool:
    """Tell whether the asker has these bytes already."""
    known = [tag.strip().removeprefix("W/") for tag in (header or "").split(",")]
    return etag in known or known == ["*"]


def _span(call: Call, size: int, etag: str) -> Span | None:
    """Read which part is asked for; None for the whole file, also where a resumed download has become another file."""
    found = _RANGE.fullmatch(call.request.headers.get("range", "").replace(" ", ""))
    if found is None or found.group(0) == "bytes=-" or call.request.headers.get("if-range", etag) != etag:
        return None
    first, last = found.groups()
    start = int(first) if first else max(size - int(last), 0)
    stop = min(int(last) + 1, size) if first and last else size
    if start >= stop:
        raise HubError(416, "The range lies outside the file", headers={"Content-Range": f"bytes */{size}"})
    return Span(start, stop)


def _require_stored(repository: Repository, entry: Entry, commit: str) -> Path:
    """Find an LFS object's file; it may have been deleted for good."""
    if entry.pointer is None:
        return repository.path
    if repository.lfs.size(entry.pointer.oid) is None:
        raise entry_not_found("The LFS object has been deleted", commit=commit)
    return repository.lfs.path(entry.pointer.oid)


async def _pieces(file: BinaryIO, span: Span) -> AsyncIterator[bytes]:
    """Read a part of a file piece by piece, off the event loop."""
    with file:
        await run_in_threadpool(file.seek, span.start)
        left = span.stop - span.start
        while left and (chunk := await run_in_threadpool(partial(file.read, min(left, _CHUNK)))):
            left -= len(chunk)
            yield chunk
