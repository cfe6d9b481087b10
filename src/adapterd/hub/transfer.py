"""Reading one file of a repo, through the library's session: into memory, or resumably onto disk."""

import hashlib
import os
import re
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path

import httpx2
from huggingface_hub import get_session, hf_raise_for_status

from adapterd.core.publication import git_blob
from adapterd.hub.digesting import Digest
from adapterd.ports import Denied, Transient

READ_LIMIT = 16 * 1024 * 1024
"""Most bytes that `read` takes into memory; manifests and cards are far below."""

_RANGE = re.compile(r"bytes (?P<start>\d+)-\d+/(?P<total>\d+)")

_SHA256, _SHA1 = re.compile(r"[0-9a-f]{64}"), re.compile(r"[0-9a-f]{40}")

# Lengths and offsets count stored bytes, so nothing on the way may compress.
_PLAIN = {"accept-encoding": "identity"}


class NoHubError(Exception):
    """Something else than a Hub answered."""


def read(url: str, headers: Mapping[str, str], what: str) -> bytes:
    """The bytes at `url`, in one request."""
    with get_session().stream("GET", url, headers={**headers, **_PLAIN}) as response:
        _answered_by_a_hub(response)
        return _whole(response, what)


def read_changed(url: str, headers: Mapping[str, str], etag: str, what: str) -> tuple[bytes | None, str]:
    """The bytes at `url` where they are not those that `etag` names, and the etag to ask with next time."""
    asked = {**headers, **_PLAIN} | ({"if-none-match": etag} if etag else {})
    with get_session().stream("GET", url, headers=asked) as response:
        if etag and response.status_code == HTTPStatus.NOT_MODIFIED:
            return None, etag
        _answered_by_a_hub(response)
        now = _etag(response)
        # A store that a large file is sent on to, or a proxy, may pass over the condition.
        if etag and _bare(now) == _bare(etag):
            return None, etag
        return _whole(response, what), now


def _whole(response: httpx2.Response, what: str) -> bytes:
    data = bytearray()
    for chunk in response.iter_bytes():
        data += chunk
        if len(data) > READ_LIMIT:
            raise Denied(f"{what}: the file is larger than {READ_LIMIT} bytes", "download it instead")
    if _other_bytes(response, data):
        raise Transient(f"{what}: other bytes arrived than its etag names", "nothing, it is read again")
    return bytes(data)


def _answered_by_a_hub(response: httpx2.Response) -> None:
    """Raise what a status means; NoHubError where a page stands in for the file, as a proxy may answer with 200."""
    hf_raise_for_status(response)
    if not any("x-repo-commit" in each.headers for each in (*response.history, response)):
        raise NoHubError("the answer is not a Hub's: it names no commit")


def _other_bytes(response: httpx2.Response, data: bytes | bytearray) -> bool:
    """Whether an answer's etag belies its bytes.

    The Hub's etag is the blob's id in git or, of a large file, its sha256. What a store on another host says is of its
    own making, what has another form says nothing, and proxies that give a plain sha1 are known.
    """
    etag = _bare(_etag(response))
    if _SHA256.fullmatch(etag):
        return hashlib.sha256(data).hexdigest() != etag
    plain = hashlib.sha1(data, usedforsecurity=False).hexdigest()
    return _SHA1.fullmatch(etag) is not None and etag not in (git_blob(bytes(data)), plain)


def _etag(response: httpx2.Response) -> str:
    """What the Hub itself says that the bytes are; empty where it says nothing."""
    chain = [*response.history, response]
    home = [each.headers for each in chain if each.url.host == chain[0].url.host]
    said = [each[name] for name in ("etag", "x-linked-etag") for each in home if name in each]
    return said[-1] if said else ""


def _bare(etag: str) -> str:
    return etag.removeprefix("W/").strip('"')


def download(url: str, headers: Mapping[str, str], part: Path, target: Path, what: str) -> str:
    """Write what is at `url` to `target`, whole or not at all, and give its sha256; `part` keeps what has arrived.

    The bytes are durable then; the name is the caller's to make so, once for all files of a folder. A broken connection
    is resumed as long as each try brings something.
    """
    while True:
        have = _size(part)
        try:
            with Digest() as digest:
                total = _append(url, headers, part, have, digest, what)
                if total is None or _size(part) == total:
                    with part.open("rb") as file:
                        os.fsync(file.fileno())  # while the rest is hashed
                found = digest.hexdigest()
        except httpx2.TransportError:
            if _size(part) <= have:
                raise
        else:
            break
    if total is not None and _size(part) != total:
        got = _size(part)
        part.unlink()
        raise Transient(f"{what}: {got} bytes arrived of {total}", "nothing, the next attempt starts over")
    part.replace(target)
    return found


def _append(url: str, headers: Mapping[str, str], part: Path, have: int, digest: Digest, what: str) -> int | None:
    """Fetch the rest after `have` bytes, or all of it, and return the whole's length where the server gives it."""
    ask = {**headers, **_PLAIN} | ({"range": f"bytes={have}-"} if have else {})
    with get_session().stream("GET", url, headers=ask) as response:
        if have and response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            # Nothing after these bytes: all there, or those of something else.
            total = response.headers.get("content-range", "").rpartition("/")[2]
            if total == str(have):
                digest.add_file(part, have)
                return have
            part.unlink()
            return _append(url, headers, part, 0, digest, what)
        _answered_by_a_hub(response)
        resumed = _RANGE.fullmatch(response.headers.get("content-range", ""))
        start = int(resumed["start"]) if resumed and response.status_code == HTTPStatus.PARTIAL_CONTENT else 0
        kept = min(start, have)
        if kept:
            digest.add_file(part, kept)
        with part.open("r+b" if have else "wb") as file:
            file.truncate(kept)
            file.seek(kept)
            for chunk in response.iter_bytes():
                file.write(chunk)
                digest.add(chunk)
        if resumed:
            return int(resumed["total"])
        length = response.headers.get("content-length", "")
        return int(length) if length.isdecimal() and "content-encoding" not in response.headers else None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
