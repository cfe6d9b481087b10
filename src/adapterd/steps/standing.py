"""Change a repo's standing document: read at its head, edited, committed with that head as parent."""

from dataclasses import replace

from adapterd.core import publication as pub
from adapterd.core.index import render
from adapterd.core.standing import Edit
from adapterd.ports import AddBytes, Conflict, Delete, Hub, NotFound, Operation, Refs, RepoRecord
from adapterd.steps import repo as repos
from adapterd.steps.host import Host

_STAY = (pub.CARD, ".gitattributes")

TRIES = 5
"""How often it is read again where somebody else was faster."""


def change(host: Host, adapter: str, edit: Edit, message: str) -> tuple[RepoRecord, str]:
    """Let the standing document say what `edit` makes of it.

    The branch is made where there is none. An edit that changes nothing commits nothing, so that it may be asked for
    again after any failure. The record is saved.

    Returns what is known of the repo now, and the commit or an empty string. Raises NotFound where there is no repo
    or no branch to start from, Conflict where others are faster again and again, RepoStalledError where the document
    cannot be read.
    """
    hub = host.hub()
    for tries in range(1, TRIES + 1):
        refs = hub.refs(adapter)
        before = host.registry.repo(adapter) or RepoRecord(adapter)
        record = repos.standing(hub, before, refs)
        document, commit = edit(record.standing), ""
        if document != record.standing:
            try:
                commit = _commit(hub, adapter, refs, render(document), message)
            except Conflict:
                if tries == TRIES:
                    raise
                continue
            record = replace(record, standing=document, standing_head=commit)
        if record != before:
            host.registry.save_repo(record)
        return record, commit
    raise AssertionError("the last try returns or raises")


def _commit(hub: Hub, adapter: str, refs: Refs, document: bytes, message: str) -> str:
    head = refs.branches.get(pub.STANDING_BRANCH, "")
    if not head:
        if not (head := refs.branches.get("main", "")):
            raise NotFound(f"{adapter} has no branch main to start from", "make the branch on the Hub")
        head = hub.log(adapter, head)[-1].id
        hub.create_branch(adapter, pub.STANDING_BRANCH, head)
    # A version's files that lie here, since the branch began on a commit with some, would outlive their erasure.
    stray = [path for path in sorted(hub.tree(adapter, head)) if path not in (pub.STANDING_FILE, *_STAY)]
    moves: list[Operation] = [AddBytes(pub.STANDING_FILE, document), *(Delete(path) for path in stray)]
    return hub.commit(adapter, pub.STANDING_BRANCH, head, moves, message)
