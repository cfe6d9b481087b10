"""The forms in which a repo, its files and its commits go over the wire."""

from datetime import UTC, datetime
from html import escape
from typing import Any

from dulwich.objects import Commit, ObjectID

from adapterd.hub.server import cards
from adapterd.hub.server.storage.catalog import Record
from adapterd.hub.server.storage.repository import Repository
from adapterd.hub.server.storage.trees import Entry, files

_UNSCANNED = {"status": "unscanned", "avScan": None, "pickleImportScan": None}


def date(seconds: float) -> str:
    """Write a time as the Hub does."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def message_of(commit: Commit) -> tuple[str, str]:
    """Give a commit's title and the rest of its message."""
    title, _, description = commit.message.decode(errors="replace").partition("\n\n")
    return title, description


def commit_answer(oid: ObjectID, commit: Commit, *, formatted: bool) -> dict[str, Any]:
    """Describe a commit in a listing."""
    title, description = message_of(commit)
    answer: dict[str, Any] = {
        "id": oid.decode(),
        "title": title,
        "message": description,
        "authors": [{"user": commit.author.decode(errors="replace").partition(" <")[0]}],
        "date": date(commit.commit_time),
    }
    if formatted:
        answer["formatted"] = {"title": escape(title), "message": escape(description)}
    return answer


def entry_answer(entry: Entry) -> dict[str, Any]:
    """Describe a file or a directory in a listing."""
    kind = "directory" if entry.directory else "file"
    answer: dict[str, Any] = {"type": kind, "oid": entry.oid.decode(), "size": entry.size, "path": entry.path}
    if entry.pointer:
        answer["lfs"] = {"oid": entry.pointer.oid, "size": entry.pointer.size, "pointerSize": entry.pointer_size}
    return answer


def expanded(answer: dict[str, Any], oid: ObjectID, commit: Commit) -> dict[str, Any]:
    """Add who changed it last; and, for a file, that nothing here scans it."""
    title, _ = message_of(commit)
    last = {"id": oid.decode(), "title": title, "date": date(commit.commit_time)}
    scan = {"securityFileStatus": _UNSCANNED} if answer["type"] == "file" else {}
    return {**answer, "lastCommit": last, **scan}


def repo_answer(record: Record, repository: Repository, oid: ObjectID, *, blobs: bool) -> dict[str, Any]:
    """Describe a repo at a commit; with ``blobs`` also what is in its files."""
    commit = repository.commit_at(oid)
    card = cards.metadata(repository.read(oid, "README.md").decode(errors="replace"))
    answer: dict[str, Any] = {
        "_id": record.storage[:24],
        "id": record.id,
        "author": record.namespace,
        "sha": oid.decode(),
        "createdAt": date(record.created),
        "lastModified": date(commit.commit_time),
        "private": record.private,
        "gated": False,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": _tags(card),
        "cardData": card,
        "siblings": [_sibling(entry, blobs=blobs) for entry in files(repository.objects, commit.tree)],
    }
    if record.kind == "model":
        answer["modelId"] = record.id
        answer |= {key: card[key] for key in ("library_name", "pipeline_tag") if key in card}
    return answer


def _sibling(entry: Entry, *, blobs: bool) -> dict[str, Any]:
    """Describe one file of a repo; with ``blobs`` also what is in it."""
    if not blobs:
        return {"rfilename": entry.path}
    answer: dict[str, Any] = {"rfilename": entry.path, "size": entry.size, "blobId": entry.oid.decode()}
    if entry.pointer:
        pointer = entry.pointer
        answer["lfs"] = {"sha256": pointer.oid, "size": pointer.size, "pointerSize": entry.pointer_size}
    return answer


def _tags(card: dict[str, Any]) -> list[str]:
    """Make a repo's tags of its card, as the Hub does."""
    tags = [str(card[key]) for key in ("library_name", "pipeline_tag") if card.get(key)]
    tags += [str(tag) for tag in _listed(card.get("tags"))]
    for key in ("base_model", "datasets", "license"):
        prefix = key.removesuffix("s")
        tags += [f"{prefix}:{value}" for value in _listed(card.get(key))]
    return list(dict.fromkeys([*tags, *(str(value) for value in _listed(card.get("language")))]))


def _listed(value: object) -> list[object]:
    """Read one or many."""
    if value is None:
        return []
    return list(value) if isinstance(value, list) else [value]
