"""One forward commit that takes a branch off an erased version: to a former one, or to nothing."""

from collections.abc import Mapping

from adapterd.core import channels, messages
from adapterd.core import publication as pub
from adapterd.core.messages import Trailers
from adapterd.core.readme import around, split_front_matter
from adapterd.moving import operations, spliced
from adapterd.ports import AddBytes, CopyFrom, Delete, Hub, Operation, RemoteFile

Tree = Mapping[str, RemoteFile]


def move_off(
    hub: Hub,
    repo: str,
    branch: str,
    head: str,
    there: Tree,
    to: tuple[str, Tree],
    former: Trailers | None,
    erasure: messages.Erasure,
) -> str:
    """Let a branch hold what it held before, or nothing of ours; the commit.

    Args:
        hub: the effect.
        repo: the adapter's.
        branch: `versions`, which gets a version's whole tree, or a channel, on which a person's files stay.
        head: its head now, with the tree `there`.
        there: what it holds.
        to: commit and tree of what it shall hold; empty for nothing.
        former: whose tree that is.
        erasure: what the branch is moved off, by whom and why, for the message.
    """
    at, target = to
    if branch == pub.BRANCH:
        moves: list[Operation] = [CopyFrom(p, at) for p, f in sorted(target.items()) if _ours(p) and there.get(p) != f]
        moves += [Delete(path) for path in sorted(there) if _ours(path) and path not in target]
    elif at:
        readme = hub.read(repo, head, pub.CARD) if pub.CARD in there else b""
        card = spliced(readme, hub.read(repo, at, pub.CARD))
        moves = operations(target, there, card, lambda path: hub.read(repo, at, path))
    else:
        moves = [Delete(p) for p in sorted(there) if p == pub.MANIFEST or channels.loader_reads(p)]
        if pub.CARD in there:
            moves.append(AddBytes(pub.CARD, _bare(hub.read(repo, head, pub.CARD))))
    body = f"It holds v{former.number} now." if former else "It holds no version now."
    gone = erasure.gone
    message = messages.with_erasure(f"{branch}: {gone} was erased", body, erasure)
    if former is not None and branch != pub.BRANCH:
        said = Trailers(former.identity, former.number, "", branch, erasure.actor, erasure.reason)
        message = messages.with_trailers(f"{branch} -> v{former.number}", f"{gone} was erased.", said, gone)
    return hub.commit(repo, branch, head, moves, message)


def _ours(path: str) -> bool:
    return path != ".gitattributes"


def _bare(readme: bytes) -> bytes:
    """A channel's card without the managed block and the front matter that came with it: what a person wrote stays."""
    _, body = split_front_matter(readme.decode("utf-8", "replace"))
    above, _, below = around(body)
    return f"{(above + below).strip()}\n".encode()
