"""The index repo: parts are changed and gathered in one commit, under compare-and-swap.

Whoever commits keeps every other part byte for byte, and makes ``index.json`` anew from the parts that lie there then.
The number of requests does not grow with the number of adapters: a part is read only where ``index.json`` was not made
from it, or where it is about to be changed and holds more than ``index.json`` says.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from adapterd.core import index
from adapterd.core import publication as pub
from adapterd.core.naming import RESERVED_CHANNELS, channel_fault, version_numbers
from adapterd.core.standing import Document
from adapterd.moving import document
from adapterd.ports import AddBytes, Conflict, Hub, NotFound, Operation, RemoteFile

TRIES = 8
"""How often the index repo is read again where somebody else was faster."""

LARGEST = 8 * 1024 * 1024
"""Most bytes of a file that are read; a larger one of another publisher is passed over."""

BRANCH = "main"


@dataclass(frozen=True, slots=True)
class Shown:
    """The index repo at one commit.

    Attributes:
        summaries: of the parts, by path.
    """

    hub: Hub
    repo: str
    head: str
    tree: Mapping[str, RemoteFile]
    summaries: Mapping[str, Mapping[str, Any]]

    def part(self, path: str) -> Mapping[str, Any]:
        """One part with all its versions; empty where it cannot be read."""
        return index.part_of(self.hub.read(self.repo, self.head, path))


Edit = Callable[[Shown], Mapping[str, Mapping[str, Any]]]
"""The parts that shall be there, by path; asked again where somebody else was faster."""

Heads = Mapping[str, tuple[str, int]]
"""Channel to its head and the number that it holds there."""


def change(hub: Hub, repo: str, edit: Edit) -> bool:
    """Let the index repo say what `edit` wants; true where a commit was made.

    Raises NotFound where there is no repo or no branch main, Conflict where others are faster again and again.
    """
    for tries in range(1, TRIES + 1):
        shown = _read(hub, repo)
        parts = {path: (part, index.render(part)) for path, part in edit(shown).items()}
        fresh = {path: index.summary(part, pub.git_blob(data)) for path, (part, data) in parts.items()}
        wanted = {path: data for path, (_, data) in parts.items()}
        wanted[index.GATHERED] = index.gathered({**shown.summaries, **fresh})
        operations: list[Operation] = [
            AddBytes(path, data)
            for path, data in sorted(wanted.items())
            if path not in shown.tree or shown.tree[path].blob != pub.git_blob(data)
        ]
        if not operations:
            return False
        names = [path.removeprefix("adapters/").removesuffix(".json") for path in sorted(parts)]
        title = f"index: {names[0] if len(names) == 1 else f'{len(names)} adapters'}"
        try:
            hub.commit(repo, BRANCH, shown.head, operations, title)
        except Conflict:
            if tries == TRIES:
                raise
            continue
        return True
    raise AssertionError("the last try returns or raises")


def refresh(hub: Hub, repo: str, adapter: str) -> bool:
    """Let an adapter's part say which versions its channels hold now, and what is yanked, held or erased.

    For whoever moved a channel without a registry. What only the publisher knows stays. True where a commit was made;
    nothing is done where the index has no part of this adapter, which its publisher will write.
    """
    path = index.path_of(adapter)

    def edit(shown: Shown) -> Mapping[str, Mapping[str, Any]]:
        if path not in shown.tree or not index.is_of(part := shown.part(path), adapter):
            return {}
        return {path: index.with_standing(part, *truth(hub, adapter))}

    return change(hub, repo, edit)


def truth(
    hub: Hub, adapter: str, heads: Heads | None = None, known: document.Read = document.NOTHING
) -> tuple[dict[str, int], Document]:
    """What the Hub says of an adapter now: the number that each channel holds, and the standing document.

    Args:
        hub: to read from.
        adapter: its repo.
        heads: channels as last known; one whose head has not moved is not read again.
        known: the standing document as last known.
    """
    refs = hub.refs(adapter)
    numbers = version_numbers(refs.tags)
    channels: dict[str, int] = {}
    for name, head in refs.branches.items():
        if name in RESERVED_CHANNELS or channel_fault(name):
            continue
        was = (heads or {}).get(name)
        number = was[1] if was is not None and was[0] == head else _number_at(hub, adapter, head)
        if number in numbers:
            channels[name] = number
    return channels, document.read(hub, adapter, refs, known)[0]


def _number_at(hub: Hub, adapter: str, commit: str) -> int:
    """The number of the version that lies at a channel's head; 0 where none does."""
    try:
        number = json.loads(hub.read(adapter, commit, pub.MANIFEST))["number"]
    except (NotFound, ValueError, RecursionError, KeyError, TypeError):
        return 0
    return number if isinstance(number, int) else 0


def _read(hub: Hub, repo: str) -> Shown:
    refs = hub.refs(repo)
    if not (head := refs.branches.get(BRANCH, "")):
        raise NotFound(f"index repo {repo} has no branch {BRANCH}", "make the branch, or name another hub.index_repo")
    tree = hub.tree(repo, head)

    def bytes_of(path: str) -> bytes:
        return hub.read(repo, head, path) if path in tree and tree[path].size <= LARGEST else b""

    known = index.summaries_of(bytes_of(index.GATHERED))
    summaries: dict[str, Mapping[str, Any]] = {}
    for path, file in tree.items():
        if index.is_part(path):
            summary = known.get(file.blob)
            if summary is None or index.path_of(str(summary.get("adapter"))) != path:
                summary = index.summary(index.part_of(bytes_of(path)), file.blob)
            summaries[path] = summary
    return Shown(hub, repo, head, tree, summaries)
