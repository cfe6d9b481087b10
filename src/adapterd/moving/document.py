"""A repo's standing document: read at its head, edited, committed with that head as parent."""

import json
from collections.abc import Collection
from typing import Any

from adapterd.core import publication as pub
from adapterd.core.index import render
from adapterd.core.reasons import reason
from adapterd.core.standing import Document, Edit, fault
from adapterd.moving.errors import NewerDocumentError, RepoStalledError
from adapterd.ports import AddRegular, Conflict, Delete, Hub, NotFound, Operation, Refs

_STAY = (pub.CARD, ".gitattributes")

TRIES = 5
"""How often it is read again where somebody else was faster."""


Read = tuple[Document, str]
"""A document, and the head of its branch; empty both where nothing was ever said."""

Start = tuple[str, Collection[str]]
"""A commit, and the paths of its tree."""

NOTHING: Read = ({}, "")


def read(hub: Hub, repo: str, refs: Refs, known: Read = NOTHING) -> Read:
    """Read the document, where its branch is not where it was when `known` was read.

    Raises:
        RepoStalledError: `newer_schema`, where it cannot be believed.
    """
    head = refs.branches.get(pub.STANDING_BRANCH, "")
    if head == known[1]:
        return known
    if not head:
        return NOTHING
    try:
        return parse(hub.read(repo, head, pub.STANDING_FILE), repo), head
    except NotFound:
        return {}, head


def parse(data: bytes, repo: str) -> Document:
    """The document in some bytes; RepoStalledError `newer_schema` where it cannot be believed."""
    try:
        document: dict[str, Any] = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise RepoStalledError(reason("newer_schema", f"{pub.STANDING_FILE} of {repo} cannot be read")) from error
    if wrong := fault(document):
        kind = NewerDocumentError if wrong.startswith("has schema") else RepoStalledError
        raise kind(reason("newer_schema", f"{pub.STANDING_FILE} of {repo} {wrong}"))
    return document


def change(
    hub: Hub,
    repo: str,
    edit: Edit,
    message: str,
    known: Read = NOTHING,
    refs: Refs | None = None,
    start: Start | None = None,
) -> tuple[Document, str, str]:
    """Let the standing document say what `edit` makes of it.

    The branch is made where there is none: at `start`, a commit whose tree is known, else at the root of `main`. `refs`
    are those that were read just now, if any. An edit that changes nothing commits nothing, so that it may be asked for
    again after any failure.

    Returns the document, the head of its branch, and the commit or an empty string. Raises NotFound where there is no
    repo or no branch to start from, Conflict where others are faster again and again, RepoStalledError where the
    document cannot be believed.
    """
    for tries in range(1, TRIES + 1):
        seen = refs or hub.refs(repo)
        before, head = read(hub, repo, seen, known)
        document = edit(before)
        if document == before:
            return before, head, ""
        try:
            commit = _commit(hub, repo, seen, render(document), message, start, fresh=not before)
        except Conflict:
            if tries == TRIES:
                raise
            refs = None
            continue
        return document, commit, commit
    raise AssertionError("the last try returns or raises")


def _commit(hub: Hub, repo: str, refs: Refs, document: bytes, message: str, start: Start | None, *, fresh: bool) -> str:
    head = refs.branches.get(pub.STANDING_BRANCH, "")
    if not head:
        if not (head := refs.branches.get("main", "")):
            raise NotFound(f"{repo} has no branch main to start from", "make the branch on the Hub")
        head = hub.log(repo, head)[-1].id if start is None else start[0]
        hub.create_branch(repo, pub.STANDING_BRANCH, head)
    else:
        start = None
    # A version's files that lie here, since the branch began on a commit with some, would outlive their erasure.
    there = start[1] if start is not None else hub.tree(repo, head) if fresh else {}
    stray = [path for path in sorted(there) if path not in (pub.STANDING_FILE, *_STAY)]
    moves: list[Operation] = [AddRegular(pub.STANDING_FILE, document), *(Delete(path) for path in stray)]
    return hub.commit(repo, pub.STANDING_BRANCH, head, moves, message)
