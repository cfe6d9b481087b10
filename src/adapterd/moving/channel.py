"""One channel: what it holds, and one forward commit that lets it hold another version.

A channel is a branch, moved by commits that re-instate a version's tree; the LFS bytes do not travel. Its history says
by the commits' trailers what it held, so that a crash between commit and record, a lost registry and other movers are
all found again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from adapterd.core import channels, messages
from adapterd.core import publication as pub
from adapterd.core.readme import around, splice_raw, split_front_matter
from adapterd.core.reasons import reason
from adapterd.moving.errors import RepoStalledError
from adapterd.ports import AddRegular, AddStored, Delete, Hub, NotFound, Operation, Refs, RemoteCommit, RemoteFile

Tree = Mapping[str, RemoteFile]

_LEFT = (pub.CARD, pub.PICTURE, ".gitattributes")
"""What a channel has its own of; the picture its card shows from the version's commit."""


@dataclass(frozen=True, slots=True)
class Held:
    """One reading of a channel.

    Attributes:
        head: its commit; empty where the branch is not there yet.
        tree: the files at the head.
        said: whose tree that is; None where the channel is fresh or was emptied.
        highest: the highest number that it ever held; 0 for none.
        card: blob id of its card, where its history was read and tells that no word in it is a person's; else empty.
    """

    channel: str
    head: str
    tree: Tree
    said: messages.Trailers | None
    highest: int
    card: str = ""


@dataclass(frozen=True, slots=True)
class Why:
    """Why a channel is moved, for the commit's message: `body`, and who moves it."""

    body: str
    publisher: str
    actor: str = ""
    reason: str = ""


def read(hub: Hub, repo: str, channel: str, refs: Refs, *, known: bool = False) -> Held:
    """Read what a channel holds.

    Args:
        hub: to read from.
        repo: the adapter's.
        channel: its name.
        refs: read just now.
        known: whether it held a version of ours before, so that a head without one is somebody else's.

    Raises:
        RepoStalledError: `channel_drift`, where the head is not a tree that we re-instated.
    """
    head = refs.branches.get(channel, "")
    if not head:
        return Held(channel, "", {}, None, 0)
    there = hub.tree(repo, head)
    log = hub.log(repo, head)
    said, highest = _former(hub, repo, channel, log, there, known=known)
    return Held(channel, head, there, said, highest, own_card(log))


def glance(hub: Hub, repo: str, channel: str, refs: Refs, target: Tree) -> Held:
    """Read what a person's move needs to know of a channel: its files, without a history where that tells nothing new.

    Raises:
        RepoStalledError: `channel_drift`, where the move would remove a file that a loader reads and that is not ours.
    """
    head = refs.branches.get(channel, "")
    there = hub.tree(repo, head) if head else {}
    if channels.drift(there, target, pub.OWN_FILES):
        said = next((found for c in hub.log(repo, head) if (found := messages.trailers(c.message))), None)
        try:
            former = hub.tree(repo, f"v{said.number}") if said is not None else {}
        except NotFound:  # it was erased
            former = {}
        if foreign := channels.drift(there, {**target, **former}, pub.OWN_FILES):
            raise RepoStalledError(reason("channel_drift", f"{foreign[0]} on channel {channel} of {repo} is not ours"))
    return Held(channel, head, there, None, 0)


def own_card(log: Sequence[RemoteCommit]) -> str:
    """Blob id of the last card that a move left and in which no word is a person's, by a channel's commits; or empty.

    A move says which card it left where each word in it was the version's, and which one lay there before. Such a word
    may have been a person's first, who wrote the same: so the one before must have been a card without any, or none.
    A blob id names bytes: whoever edits a card, by whatever commit, leaves one of another id.
    """
    card = ""
    for commit in reversed(log):
        if said := messages.trailers(commit.message):
            card = said.card if said.card_from in ("", card) else ""
    return card


def holds(held: Held, target: Tree) -> bool:
    """Whether a channel's files are those of a version already, with nothing else that a loader reads."""
    same = all(held.tree.get(path) == file for path, file in target.items() if path not in _LEFT)
    return bool(held.head) and same and not channels.drift(held.tree, target, pub.OWN_FILES)


def move(
    hub: Hub,
    repo: str,
    held: Held,
    to: pub.Committed,
    why: Why,
    target: Tree | None = None,
    known: Mapping[str, bytes] = MappingProxyType({}),
) -> str:
    """Let a channel hold a version; the commit, which is the head where it does already.

    Args:
        hub: the effect.
        repo: the adapter's.
        held: what the channel holds, read just now; its branch is made where there is none.
        to: the version, by its commit on `versions`.
        why: for the message.
        target: the version's tree, where it was read already.
        known: those of its files that were read already, by path.

    Raises:
        Conflict: the head moved meanwhile.
        RepoStalledError: `channel_drift`, where the commit does not hold the version's tree.
    """
    channel, head, there = held.channel, held.head, held.tree
    if held.said is not None and held.said.number == to.said.number:
        return head
    if not head:
        head = hub.log(repo, pub.BRANCH)[-1].id
        hub.create_branch(repo, channel, head)
        there = hub.tree(repo, head)
    if target is None:
        target = hub.tree(repo, to.commit)

    def of_version(path: str) -> bytes:
        return known[path] if path in known else hub.read(repo, to.commit, path)

    card = there.get(pub.CARD)
    readme = b"" if card is None or card.blob == held.card else hub.read(repo, head, pub.CARD)
    of_card = of_version(pub.CARD)
    text = spliced(readme, of_card)
    own = (pub.git_blob(text), card.blob if card else "") if text == spliced(b"", of_card) else ("", "")
    said = messages.Trailers(to.said.identity, to.said.number, why.publisher, channel, why.actor, why.reason, *own)
    message = messages.with_trailers(f"{channel} -> v{to.said.number}", why.body, said)
    commit = hub.commit(repo, channel, head, operations(target, there, text, of_version), message)
    _compare(hub, repo, channel, commit, target)
    return commit


def _former(
    hub: Hub, repo: str, channel: str, log: Sequence[RemoteCommit], there: Tree, *, known: bool
) -> tuple[messages.Trailers | None, int]:
    """What the channel's head re-instates, None for a fresh channel; and the highest number that it ever held."""
    own = pub.OWN_FILES
    # A person may have edited the card since, so the newest commit need not be ours.
    all_said = [found for c in log if (found := messages.trailers(c.message))]
    said = all_said[0] if all_said else None
    highest = max((t.number for t in all_said if t.channel == channel), default=0)
    if _emptied(log) and not channels.drift(there, (), own):
        return None, highest
    if said is None:
        if known or (foreign := channels.drift(there, (), own)):
            what = f"commit {log[0].id[:12]}" if known else foreign[0]
            raise RepoStalledError(reason("channel_drift", f"{what} on channel {channel} of {repo} is not ours"))
        return None, 0
    if said.channel and said.channel != channel:
        raise RepoStalledError(reason("channel_drift", f"{channel} of {repo} was moved to another channel's commit"))
    tree = hub.tree(repo, f"v{said.number}")
    if foreign := channels.drift(there, tree, own):
        raise RepoStalledError(reason("channel_drift", f"{foreign[0]} on channel {channel} of {repo} is not ours"))
    if changed := [p for p, f in tree.items() if p not in _LEFT and there.get(p) != f]:
        raise RepoStalledError(
            reason("channel_drift", f"{changed[0]} on channel {channel} of {repo} is not v{said.number}'s")
        )
    return said, highest


def _emptied(log: Sequence[RemoteCommit]) -> bool:
    """Whether the last that we did to a channel was to empty it, since the version that it held was erased."""
    ours = (c.message for c in log if messages.trailers(c.message) or messages.erasure(c.message))
    last = next(ours, None)
    return last is not None and messages.trailers(last) is None


def operations(target: Tree, there: Tree, card: bytes, of_version: Callable[[str], bytes]) -> list[Operation]:
    """Re-instate a version's tree, and keep a person's files. Each small file is read once.

    Args:
        target: the version's tree.
        there: what lies on the channel.
        card: what the channel's card shall be, `spliced`.
        of_version: reads a file of the version.
    """
    found: list[Operation] = [
        AddStored(path, file.sha256, file.size) if file.sha256 else AddRegular(path, of_version(path))
        for path, file in sorted(target.items())
        if path not in _LEFT and there.get(path) != file
    ]
    stale = [p for p in sorted(there) if p not in target and p not in pub.OWN_FILES and channels.loader_reads(p)]
    return [*found, *(Delete(path) for path in stale), AddRegular(pub.CARD, card)]


def spliced(readme: bytes, of_version: bytes) -> bytes:
    """A channel's card that shows a version: the version's card, and what a person wrote in the channel's `readme`."""
    front, body = split_front_matter(of_version.decode("utf-8", "replace"))
    return splice_raw(readme, around(body)[1] or body.strip(), dict(front))


def _compare(hub: Hub, repo: str, channel: str, commit: str, target: Tree) -> None:
    """After the commit: what lies on the channel is the version's tree."""
    there = hub.tree(repo, commit)
    wrong = [p for p, f in target.items() if p not in _LEFT and there.get(p) != f]
    if wrong:
        raise RepoStalledError(reason("channel_drift", f"{wrong[0]} on channel {channel} of {repo} has other bytes"))
