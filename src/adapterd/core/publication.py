"""What the Hub holds x a version -> what to do. Pure: one reading of the repo goes in, one decision comes out.

The guards are those of `docs/line.md`; each answers a schedule of crashes and of other writers under which a
publisher without it loses or duplicates a version.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from adapterd.core.messages import Trailers
from adapterd.core.naming import LARGEST_NUMBER
from adapterd.core.reasons import reason
from adapterd.core.version import AdapterVersion, Reason

BRANCH = "versions"
STANDING_BRANCH = "standing"
STANDING_FILE = "standing.json"
MANIFEST = "adapterd.json"
CARD = "README.md"
PICTURE = "adapterd-losses.svg"
"""Beside a card that shows it; there is none where no loss was ever measured. A channel's card shows the version's."""
OWN_FILES = frozenset({MANIFEST, CARD, PICTURE, ".gitattributes"})
"""What a tree on `versions` may hold beside the payload."""


@dataclass(frozen=True, slots=True)
class Committed:
    """A version commit on the branch, by its trailers."""

    commit: str
    said: Trailers


@dataclass(frozen=True, slots=True)
class RepoView:
    """One reading of a repo, the refs first.

    Attributes:
        head: of the branch `versions`; empty where there is none.
        tags: number to commit of the version tags.
        committed: version commits on the branch that the registry does not know yet, newest first.
        seen: identity to (number, commit) of versions that the registry remembers from earlier readings.
        erased: identities that must never be published again.
        burnt: numbers of erased versions, which are never used again.
        ours: whether the repo is ours, by what its head, tags and standing document say, or fresh.
    """

    head: str
    tags: Mapping[int, str]
    committed: Sequence[Committed] = ()
    seen: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    erased: Collection[str] = ()
    burnt: Collection[int] = ()
    ours: bool = True


@dataclass(frozen=True, slots=True)
class Adopt:
    """The Hub holds this identity under a tag already: take its number."""

    number: int
    commit: str


@dataclass(frozen=True, slots=True)
class Finish:
    """Our commit is there, its tag is not: compare its tree, then tag it with its own number."""

    number: int
    commit: str


@dataclass(frozen=True, slots=True)
class Commit:
    """Nothing is there: commit on `parent` under a number above `above`.

    `anew` says that a number reserved earlier was overtaken and must be replaced.
    """

    parent: str
    above: int
    anew: bool


@dataclass(frozen=True, slots=True)
class Wait:
    """Another publisher has it in hand."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class Stall:
    """A person must act."""

    reason: Reason


Decision = Adopt | Finish | Commit | Wait | Stall


def decide(version: AdapterVersion, view: RepoView, publisher: str, reserved: int | None) -> Decision:
    """Decide what publish does next.

    Args:
        version: VALIDATED, with its identity.
        view: one reading of the repo.
        publisher: our instance id.
        reserved: the number of the stored intent, if any.
    """
    if version.identity in view.erased:
        return Stall(reason("erased", f"{version.label} was erased from the Hub on request"))
    if not view.ours:
        return Stall(reason("repo_not_ours", f"{version.adapter} holds something that this publisher did not write"))
    newest = newest_number(view)
    same = [there for there in view.committed if there.said.identity == version.identity]
    if same:
        return _finish_or_adopt(version, view, same, publisher)
    if version.identity in view.seen:
        number, commit = view.seen[version.identity]
        if view.tags.get(number) == commit:
            return Adopt(number, commit)
        return Stall(reason("foreign_tag", f"tag v{number} of {version.adapter} no longer names {commit[:12]}"))
    if newest >= LARGEST_NUMBER:
        return Stall(reason("foreign_tag", f"v{newest} of {version.adapter} leaves no number above it"))
    return Commit(view.head, newest, anew=reserved is not None and reserved <= newest)


def _finish_or_adopt(version: AdapterVersion, view: RepoView, same: Sequence[Committed], publisher: str) -> Decision:
    """This identity is committed already, perhaps more than once: a tagged commit first, then one of our own."""
    for there in same:
        if view.tags.get(there.said.number) == there.commit:
            return Adopt(there.said.number, there.commit)
    ours = next((there for there in same if there.said.publisher == publisher), None)
    if ours is None:
        who = same[0].said.publisher or "another publisher"
        return Wait(reason("conflict", f"{who} committed {version.label} and has not tagged it yet"))
    # A tag by hand, on the number that is ours or on the commit that is: the manifest there says another number.
    by_hand = {number for number, commit in view.tags.items() if commit == ours.commit}
    if ours.said.number in view.tags or by_hand:
        tag = min(by_hand, default=ours.said.number)
        return Stall(
            reason("foreign_tag", f"tag v{tag} of {version.adapter} is not v{ours.said.number} at {ours.commit[:12]}")
        )
    return Finish(ours.said.number, ours.commit)


def untagged(view: RepoView, identity: str = "") -> tuple[Committed, ...]:
    """The version commits that no tag names yet, but for `identity` and what was erased: to be found again next time.

    While there is one, a head must not be remembered as known: a reading that begins there would not show its
    publisher what it had committed, and the same content would be committed twice.
    """
    tagged = set(view.tags.values())
    done = {identity, *view.erased}
    return tuple(c for c in view.committed if c.said.identity not in done and c.commit not in tagged)


def newest_number(view: RepoView) -> int:
    """The highest number that a tag, a tombstone, a commit's trailer or an earlier reading shows; 0 for none."""
    shown = [
        *view.tags,
        *view.burnt,
        *(there.said.number for there in view.committed),
        *(n for n, _ in view.seen.values()),
    ]
    return max(shown, default=0)


@dataclass(frozen=True, slots=True)
class Expected:
    """What a file of a commit must be: size in bytes, sha256, and the id that git gives its bytes as a blob."""

    size: int
    sha256: str
    blob: str


def expected(data: bytes) -> Expected:
    """The expectation for some bytes."""
    return Expected(len(data), hashlib.sha256(data).hexdigest(), git_blob(data))


def git_blob(data: bytes) -> str:
    """The id of a git blob: sha1 over "blob", the size, a zero byte, and the bytes (git's object format)."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def differences(
    wanted: Mapping[str, Expected],
    there: Mapping[str, tuple[int, str, str | None]],
    *,
    open_paths: Collection[str] = (),
) -> tuple[str, ...]:
    """Every way in which a commit's tree is not what was wanted; empty where it is.

    Args:
        wanted: path to expectation.
        there: path to (size, blob id, sha256 where stored as LFS) of the complete recursive tree.
        open_paths: paths that may be there with any content.
    """
    found = [f"{path} is missing" for path in sorted(wanted.keys() - there.keys())]
    found += [f"{path} is foreign" for path in sorted(there.keys() - wanted.keys() - set(open_paths))]
    for path in sorted(wanted.keys() & there.keys()):
        want, (size, blob, sha256) = wanted[path], there[path]
        same = sha256 == want.sha256 if sha256 is not None else blob == want.blob
        if not same or size != want.size:
            found.append(f"{path} has other bytes")
    return tuple(found)


def foreign_paths(paths: Collection[str], payload: Collection[str]) -> tuple[str, ...]:
    """Paths on `versions` that are neither a payload's nor ours."""
    return tuple(sorted(set(paths) - set(payload) - OWN_FILES))
