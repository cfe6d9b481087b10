"""What a commit asks for, parsed from the lines that the client sends."""

import base64
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from adapterd.hub.server.errors import HubError, bad_path, bad_request
from adapterd.hub.server.storage.pointer import OID

_LONGEST_NAME = 255
_NEVER_IN_A_NAME = re.compile(r"[\x00-\x1f\x7f\\\ud800-\udfff]")
_COMMIT_ID = frozenset("0123456789abcdef")
_SHORTEST_ID, _LONGEST_ID = 5, 40


@dataclass(frozen=True)
class Header:
    """The commit's message, and the head that the client believes in (empty: whichever it is)."""

    summary: str
    description: str = ""
    parent: str = ""

    def message(self) -> str:
        """Give the message as git keeps it."""
        return f"{self.summary}\n\n{self.description}" if self.description else self.summary


@dataclass(frozen=True)
class AddFile:
    """Put these bytes at a path."""

    path: str
    content: bytes


@dataclass(frozen=True)
class AddLfs:
    """Put a stored LFS object at a path; a copy does not say its size."""

    path: str
    oid: str
    size: int | None


@dataclass(frozen=True)
class Delete:
    """Take away a file, or a folder with all that is in it."""

    path: str
    folder: bool


Operation = AddFile | AddLfs | Delete


def parse_commit(lines: Iterable[bytes]) -> tuple[Header, Iterator[Operation]]:
    """Read the header at once, and the operations one by one as they are asked for."""
    items = (_parse_line(line) for line in lines if line.strip())
    key, value = next(items, ("", {}))
    if key != "header":
        raise bad_request("A commit begins with its header")
    return _parse_header(value), (_parse_operation(*item) for item in items)


def checked_path(path: object) -> str:
    """Accept a path that git, and every file system below a deployer, can hold."""
    if not isinstance(path, str) or not path:
        raise bad_path(str(path))
    for part in path.split("/"):
        wrong = part in {"", ".", ".."} or part.lower() == ".git" or len(part.encode(errors="replace")) > _LONGEST_NAME
        if wrong or _NEVER_IN_A_NAME.search(part):
            raise bad_path(path)
    return path


def _parse_line(line: bytes) -> tuple[str, dict[str, Any]]:
    """Read one line of the request."""
    try:
        item = json.loads(line)
        key, value = item["key"], item["value"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise bad_request("A line of the commit is no JSON object with key and value") from error
    if not isinstance(key, str) or not isinstance(value, dict):
        raise bad_request("A line of the commit is no JSON object with key and value")
    return key, value


def _parse_header(value: dict[str, Any]) -> Header:
    """Read the header; a summary of several lines becomes a title and the beginning of the description."""
    summary, description = value.get("summary"), value.get("description") or ""
    parent = value.get("parentCommit") or ""
    if not isinstance(summary, str) or not summary.strip() or not isinstance(description, str):
        raise bad_request("The commit has no summary")
    if parent and not (
        isinstance(parent, str) and _SHORTEST_ID <= len(parent) <= _LONGEST_ID and _COMMIT_ID.issuperset(parent)
    ):
        raise bad_request(f"parentCommit is no commit id of 5 to 40 hexadecimal digits: {parent!r}")
    title, _, rest = summary.strip().partition("\n")
    return Header(title.strip(), "\n\n".join(filter(None, (rest.strip(), description))), parent)


def _parse_operation(key: str, value: dict[str, Any]) -> Operation:
    """Read one operation."""
    path = value.get("path")
    match key:
        case "file":
            return AddFile(checked_path(path), _decoded(value))
        case "lfsFile":
            oid, size = value.get("oid"), value.get("size")
            if value.get("algo", "sha256") != "sha256" or not isinstance(oid, str) or not OID.fullmatch(oid):
                raise HubError(422, f"Invalid LFS object id for {path!r}")
            return AddLfs(checked_path(path), oid, size if isinstance(size, int) else None)
        case "deletedFile":
            return Delete(checked_path(path), folder=False)
        case "deletedFolder":
            return Delete(checked_path(path.rstrip("/") if isinstance(path, str) else path), folder=True)
        case _:
            raise bad_request(f"Unknown commit operation: {key!r}")


def _decoded(value: dict[str, Any]) -> bytes:
    """Give the bytes of a file that travels in the request."""
    content = value.get("content")
    if not isinstance(content, str):
        raise bad_request(f"File {value.get('path')!r} has no content")
    if value.get("encoding") != "base64":
        return content.encode(errors="replace")
    try:
        return base64.b64decode(content, validate=True)
    except ValueError as error:  # binascii.Error, or letters that are no ASCII
        raise bad_request(f"File {value.get('path')!r} is not valid base64") from error
