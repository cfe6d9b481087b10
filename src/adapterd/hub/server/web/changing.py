"""What changes a repo: preupload and commit, tags, branches, squash."""

import tempfile
from collections.abc import Iterator
from typing import IO, Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from adapterd.hub.server import cards
from adapterd.hub.server.errors import HubError, bad_request, revision_not_found
from adapterd.hub.server.storage import patterns
from adapterd.hub.server.storage.operations import AddFile, Operation, checked_path, parse_commit
from adapterd.hub.server.storage.refs import BRANCHES, TAGS
from adapterd.hub.server.web.call import Call, page_of

_IN_MEMORY = 4 * 1024 * 1024
_LONGEST_LINE = 2 * patterns.LARGE


def preupload(call: Call) -> Response:
    """Say, for each file to come, whether it goes to LFS, whether it is ignored, and what is there now."""
    _, repository = call.writable("uploading")
    oid = repository.resolve(call.params["revision"])
    body = call.json()
    attributes = repository.read(oid, ".gitattributes")
    given = body.get("gitIgnore")
    ignore = given.encode() if isinstance(given, str) else repository.read(oid, ".gitignore")
    answer = []
    for path, size in _announced(body):
        entry = repository.entry(oid, path)
        held = None
        if entry and not entry.directory:
            held = entry.pointer.oid if entry.pointer else entry.oid.decode()
        large = size >= patterns.LARGE or patterns.goes_to_lfs(attributes, path)
        mode = "lfs" if large and size else "regular"
        ignored = patterns.is_ignored(ignore, path)
        answer.append({"path": path, "uploadMode": mode, "shouldIgnore": ignored, "oid": held})
    return JSONResponse({"files": answer, "commitOid": oid.decode()})


async def commit(call: Call) -> Response:
    """Take a commit in, line by line; its body may be larger than memory should hold."""
    if call.flag("create_pr"):
        raise bad_request("This Hub has no pull requests")
    await run_in_threadpool(call.writable, "committing")
    with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as body:
        async for chunk in call.request.stream():
            body.write(chunk)
        body.seek(0)
        return await run_in_threadpool(_commit, call, body)


def _commit(call: Call, body: IO[bytes]) -> Response:
    """Make the commit that the body describes."""
    record, repository = call.writable("committing")
    header, operations = parse_commit(_lines(body))
    oid = repository.commit(call.params["revision"], header, _with_sound_card(operations), call.stamp()).decode()
    url = f"{call.base}/{page_of(record.kind, record.id)}/commit/{oid}"
    return JSONResponse({"success": True, "commitOid": oid, "commitUrl": url, "hookOutput": ""})


def tag(call: Call) -> Response:
    """Name a commit for good."""
    _, repository = call.writable("tagging")
    body = call.json()
    name, message = body.get("tag"), body.get("message") or ""
    if not isinstance(name, str) or not isinstance(message, str):
        raise bad_request("tag is the name of a tag, message a text")
    repository.tag(name, repository.resolve(call.params["revision"]), message, call.stamp())
    return JSONResponse({"name": name, "ref": TAGS + name})


def untag(call: Call) -> Response:
    """Remove a tag."""
    call.writable("removing a tag")
    _drop(call, TAGS, call.params["revision"])
    return JSONResponse({})


def branch(call: Call) -> Response:
    """Add a branch, at a revision or at the head of main."""
    _, repository = call.writable("adding a branch")
    body = call.json()
    start = body.get("startingPoint") or "main"
    if not isinstance(start, str):
        raise bad_request("startingPoint is a revision")
    name = call.params["revision"]
    if name.startswith("refs/"):
        raise bad_request(f"Invalid reference for a branch: {name!r}")
    with repository.lock:
        repository.refs.create(BRANCHES, name, repository.resolve(start))
    return JSONResponse({})


def unbranch(call: Call) -> Response:
    """Remove a branch; main stays."""
    call.writable("removing a branch")
    if call.params["revision"] == "main":
        raise HubError(403, "The branch main can not be deleted")
    _drop(call, BRANCHES, call.params["revision"])
    return JSONResponse({})


def squash(call: Call) -> Response:
    """Replace a branch's history by one commit."""
    _, repository = call.writable("squashing")
    name = call.params["revision"]
    message = call.json().get("message") or f"Super-squash branch {name!r}"
    oid = repository.squash(name, str(message), call.stamp())
    return JSONResponse({"commitOid": oid.decode()})


def _drop(call: Call, prefix: str, name: str) -> None:
    """Remove a ref that must be there."""
    _, repository = call.readable()
    with repository.lock:
        if repository.refs.get(prefix, name) is None:
            raise revision_not_found(name)
        repository.refs.delete(prefix, name)


def _lines(body: IO[bytes]) -> Iterator[bytes]:
    """Read line by line, none of them longer than a file that may travel in a commit."""
    while line := body.readline(_LONGEST_LINE):
        if len(line) == _LONGEST_LINE:
            raise HubError(413, f"A line of the commit is too long: files over {patterns.LARGE} bytes go through LFS")
        yield line


def _announced(body: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """Read which files are to come, and how large they are."""
    files = body.get("files")
    if not isinstance(files, list) or not all(isinstance(file, dict) for file in files):
        raise bad_request("files is a list of {path, sample, size}")
    for file in files:
        size = file.get("size")
        if not isinstance(size, int) or size < 0:
            raise bad_request(f"File {file.get('path')!r} has no size")
        yield checked_path(file.get("path")), size


def _with_sound_card(operations: Iterator[Operation]) -> Iterator[Operation]:
    """Let operations pass, but no card whose metadata the Hub would refuse."""
    for operation in operations:
        if isinstance(operation, AddFile) and operation.path == "README.md":
            errors = cards.check(operation.content.decode(errors="replace")).errors
            if errors:
                raise HubError(400, "Invalid metadata in README.md: " + " ".join(errors))
        yield operation
