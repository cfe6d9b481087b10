"""One published version, as whoever moves channels must know it: its tag, its tree, and that they agree."""

import json
from dataclasses import dataclass
from typing import Any

from adapterd.core import messages, naming
from adapterd.core import publication as pub
from adapterd.core.card import SCHEMA
from adapterd.core.standing import Document, tombstones, yanked
from adapterd.core.words import newest
from adapterd.moving.channel import Tree
from adapterd.moving.errors import RefusedError
from adapterd.ports import Hub, NotFound, Refs


@dataclass(frozen=True, slots=True)
class Version:
    """A version by its tag: whose commit it is, the files there, and the bytes of its manifest."""

    committed: pub.Committed
    tree: Tree
    manifest: bytes


def version_of(hub: Hub, repo: str, number: int, refs: Refs, standing: Document) -> Version:
    """Read a version that a channel shall hold.

    Raises:
        NotFound: there is none of this number, or it was erased.
        RefusedError: it is yanked, or its tag holds something else.
    """
    commit = demand(repo, number, refs, standing)
    if number in yanked(standing):
        raise RefusedError(f"{repo}@v{number} is yanked", f"adapterd unyank {repo}@v{number}, or another version")
    tree = hub.tree(repo, commit)
    if pub.MANIFEST not in tree:
        raise _foreign(repo, number, f"holds no {pub.MANIFEST}")
    manifest = hub.read(repo, commit, pub.MANIFEST)
    identity = _identity(manifest, repo, number)
    return Version(pub.Committed(commit, messages.Trailers(identity, number, "")), tree, manifest)


def demand(repo: str, number: int, refs: Refs, standing: Document) -> str:
    """The commit that a version's tag names; NotFound where there is none, or it was erased."""
    stone = next((each for each in tombstones(standing) if each.number == number), None)
    if stone is not None:
        why = f": {stone.said.reason}" if stone.said.reason else ""
        raise NotFound(f"{repo}@v{number} was erased{why}", "another version")
    tags = naming.version_numbers(refs.tags)
    if number not in tags:
        raise NotFound(f"{repo} has no version v{number}", newest(tags) if tags else "it has no versions yet")
    return tags[number]


def _identity(manifest: bytes, repo: str, number: int) -> str:
    try:
        document: dict[str, Any] = json.loads(manifest)
        schema, said, adapter = document["schema"], document["number"], str(document["adapter"])
        identity = str(document["identity"]["digest"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise _foreign(repo, number, f"has a {pub.MANIFEST} that is no manifest") from None
    if not isinstance(schema, int) or schema > SCHEMA:
        raise RefusedError(f"{pub.MANIFEST} of {repo}@v{number} has schema {schema}", "upgrade adapterd here")
    if said != number or adapter.casefold() != repo.casefold():
        raise _foreign(repo, number, f"has the {pub.MANIFEST} of {adapter}@v{said}")
    return identity


def _foreign(repo: str, number: int, what: str) -> RefusedError:
    return RefusedError(f"{repo}@v{number} {what}: adapterd did not publish it so", "another version")
