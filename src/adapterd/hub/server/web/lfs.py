"""Large files: announced in a batch, sent to signed links whole or in parts, verified; listed and deleted."""

import json
import uuid
from typing import Any

from dulwich.objects import ObjectID
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from adapterd.hub.server.errors import HubError, bad_request, entry_not_found
from adapterd.hub.server.storage import trees
from adapterd.hub.server.storage.lfs import Incoming
from adapterd.hub.server.storage.pointer import OID
from adapterd.hub.server.storage.refs import BRANCHES, TAGS
from adapterd.hub.server.storage.repository import Repository
from adapterd.hub.server.web.answers import date
from adapterd.hub.server.web.call import Call, page_of
from adapterd.hub.server.web.reading import reply

MEDIA_TYPE = "application/vnd.git-lfs+json"
_WRITE_AT_ONCE = 1 << 20
_MOST_PARTS = 10_000


def batch(call: Call) -> Response:
    """Say, for each object to come, where to send it; nothing for those that are here already."""
    record, repository = call.writable("uploading")
    body = call.json()
    objects = body.get("objects")
    if body.get("operation") != "upload" or not isinstance(objects, list):
        raise HubError(422, "This Hub takes uploads by batch; downloads go through resolve")
    verify = f"{call.base}/{page_of(record.kind, record.id)}.git/info/lfs/objects/verify"
    answer = []
    for item in objects:
        oid, size = _object(item)
        described: dict[str, Any] = {"oid": oid, "size": size}
        if repository.lfs.size(oid) != size:
            upload = _upload_action(call, record.storage, oid, size)
            described |= {"authenticated": True, "actions": {"upload": upload, "verify": {"href": verify}}}
        answer.append(described)
    return JSONResponse({"transfer": "basic", "objects": answer}, media_type=MEDIA_TYPE)


def verify(call: Call) -> Response:
    """Say whether an object is here, whole."""
    _, repository = call.writable("uploading")
    oid, size = _object(call.json())
    if repository.lfs.size(oid) != size:
        raise entry_not_found(f"LFS object {oid} of {size} bytes is not stored")
    return JSONResponse({}, media_type=MEDIA_TYPE)


async def put_object(call: Call) -> Response:
    """Take a whole object in."""
    repository, facts = _signed(call)
    with repository.lfs.receive() as incoming:
        await _take(call, incoming, int(facts["size"]))
        await run_in_threadpool(repository.lfs.keep, incoming, facts["oid"], int(facts["size"]))
    return Response(headers={"ETag": f'"{incoming.digest}"'})


async def put_part(call: Call) -> Response:
    """Take one part of an object in; its etag is what the client gives back at the end."""
    repository, facts = _signed(call)
    path = repository.lfs.part(facts["upload"], int(facts["part"]))
    with repository.lfs.receive() as incoming:
        await _take(call, incoming, int(facts["size"]))
        await run_in_threadpool(incoming.keep_as, path)
    return Response(headers={"ETag": f'"{incoming.digest}"'})


async def complete(call: Call) -> Response:
    """Join the parts of an object."""
    repository, facts = _signed(call)
    try:
        body = json.loads(await call.request.body())
        parts = sorted(body["parts"], key=lambda part: int(part["partNumber"]))
        etags = [str(part["etag"]) for part in parts]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise bad_request("parts is a list of {partNumber, etag}") from error
    oid, size = facts["oid"], int(facts["size"])
    # A client that lost the answer asks again: the parts are gone by then, and the object is here.
    if repository.lfs.size(oid) != size:
        await run_in_threadpool(repository.lfs.join_parts, facts["upload"], etags, oid, size)
    return JSONResponse({})


def list_files(call: Call) -> Response:
    """List the LFS objects of a repo, with a path that names each, if any does."""
    _, repository = call.writable("listing LFS files")
    names = _names(repository)
    listing = []
    for oid, size, arrived in repository.lfs.entries():
        ref, name = names.get(oid, (None, oid))
        item = {"fileOid": oid, "oid": oid, "filename": name, "size": size, "pushedAt": date(arrived)}
        listing.append({**item, "ref": ref} if ref else item)
    return reply(listing)


def delete_files(call: Call) -> Response:
    """Delete LFS objects for good; the commits that name them stay as they are."""
    _, repository = call.writable("deleting LFS files")
    deletions = call.json().get("deletions")
    oids = deletions.get("sha") if isinstance(deletions, dict) else None
    if not isinstance(deletions, dict) or not isinstance(oids, list):
        raise bad_request("deletions is {sha: [...], rewriteHistory: false}")
    if deletions.get("rewriteHistory"):
        raise bad_request("This Hub never rewrites history: pass rewriteHistory false")
    with repository.lock:
        repository.lfs.remove(str(oid) for oid in oids)
    return JSONResponse({})


def _object(item: object) -> tuple[str, int]:
    """Read which object is meant."""
    if isinstance(item, dict):
        oid, size = item.get("oid"), item.get("size")
        if isinstance(oid, str) and OID.fullmatch(oid) and isinstance(size, int) and size >= 0:
            return oid, size
    raise HubError(422, "An LFS object is {oid: sha256, size}")


def _upload_action(call: Call, storage: str, oid: str, size: int) -> dict[str, Any]:
    """Give the link, or the links, where the bytes go."""
    sign, now, upload = call.hub.signer.link, call.hub.clock(), uuid.uuid4().hex
    step = call.hub.part_size
    if size > step * _MOST_PARTS:
        raise HubError(422, f"LFS object {oid} of {size} bytes is too large for this Hub")
    if size <= step:
        return {"href": sign(call.base, f"/lfs/{storage}/object", now, oid=oid, size=size)}
    header = {"chunk_size": str(step)}
    for number, start in enumerate(range(0, size, step), start=1):
        length = min(step, size - start)
        header[f"{number:05d}"] = sign(call.base, f"/lfs/{storage}/part", now, upload=upload, part=number, size=length)
    href = sign(call.base, f"/lfs/{storage}/complete", now, upload=upload, oid=oid, size=size)
    return {"href": href, "header": header}


def _signed(call: Call) -> tuple[Repository, dict[str, str]]:
    """Check a signed link and find what it is about."""
    facts = dict(call.request.query_params)
    call.hub.signer.check(call.request.url.path, facts, call.hub.clock())
    return call.hub.catalog.by_storage(call.params["storage"]), facts


async def _take(call: Call, incoming: Incoming, size: int) -> None:
    """Write the body aside, hashing it on the way; never more of it than was announced."""
    waiting = bytearray()
    async for chunk in call.request.stream():
        waiting += chunk
        if incoming.size + len(waiting) > size:
            raise bad_request(f"More than the announced {size} bytes")
        if len(waiting) >= _WRITE_AT_ONCE:
            await run_in_threadpool(incoming.write, bytes(waiting))
            waiting.clear()
    await run_in_threadpool(incoming.write, bytes(waiting))
    if incoming.size != size:
        raise bad_request(f"{incoming.size} bytes came where {size} were announced")


def _names(repository: Repository) -> dict[str, tuple[str, str]]:
    """Find a ref and a path for each LFS object that the refs still reach."""
    found: dict[str, tuple[str, str]] = {}
    seen: set[ObjectID] = set()
    for prefix in (BRANCHES, TAGS):
        for name, head in repository.refs.list(prefix).items():
            for _, commit in trees.history(repository.objects, repository.peel(head)):
                for entry in _unseen(repository, commit.tree, seen):
                    if entry.pointer:
                        found.setdefault(entry.pointer.oid, (prefix + name, entry.path))
    return found


def _unseen(repository: Repository, tree: ObjectID, seen: set[ObjectID]) -> list[trees.Entry]:
    """List the files of a tree, unless that tree has been listed before."""
    if tree in seen:
        return []
    seen.add(tree)
    return list(trees.files(repository.objects, tree))
