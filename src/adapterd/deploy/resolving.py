"""From a reference to one immutable version: its tag's commit, and the manifest there.

A channel only says a number. The version itself is always what the tag names, and the channel's manifest must be the
tag's, byte for byte: a branch can be moved by anyone who may write to the repo.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from adapterd.core.messages import trailers
from adapterd.core.naming import RESERVED_CHANNELS, Reference, version_numbers
from adapterd.core.publication import BRANCH, MANIFEST
from adapterd.core.standing import Document, tombstones, yanked
from adapterd.core.words import newest
from adapterd.deploy.faults import ErasedError, NewerSchemaError, VerificationError
from adapterd.deploy.manifest import UPGRADE, parse_manifest
from adapterd.moving import NewerDocumentError, RepoStalledError, document
from adapterd.ports import Hub, NotFound, Refs

_TELL = "pull a version by its number, and tell the publisher of this repo"


@dataclass(frozen=True, slots=True)
class Resolved:
    """One published version.

    Attributes:
        commit: that the version's tag names.
        files: payload path to (sha256, size in bytes).
        manifest: the bytes of ``adapterd.json`` at the commit.
        yanked: whether it was withdrawn; `warnings` says why, where somebody said it.
        head: the commit that a channel was at, where one was asked for; else empty.
    """

    adapter: str
    number: int
    tag: str
    commit: str
    identity: str
    base_id: str
    base_revision: str
    serving_name: str
    files: Mapping[str, tuple[str, int]]
    manifest: bytes = field(repr=False)
    yanked: bool = False
    warnings: tuple[str, ...] = ()
    head: str = ""


Known = Mapping[str, bytes]
"""Manifests that need not be asked for, by the commit that holds them: what a commit holds never changes."""


def resolve(hub: Hub, reference: Reference, known: Known = MappingProxyType({})) -> Resolved:
    """Find the version that a reference means now.

    Whether tag and channel still name these commits is asked each time, and what was withdrawn or erased.

    Args:
        hub: to ask.
        reference: what is looked for.
        known: what was read before, and verified.

    Raises:
        NotFound: there is no such repo, version, channel, commit or identity.
        ErasedError: it was erased; this is a NotFound.
        VerificationError: channel, tag and manifest contradict each other.
        NewerSchemaError: a newer adapterd wrote it.
    """
    repo = reference.adapter
    refs = hub.refs(repo)
    tags = version_numbers(refs.tags)
    standing = _standing(hub, repo, refs)
    _demand_kept(standing, repo, tags, identity=reference.identity)
    head = refs.branches.get(reference.channel or "", "")
    number, shown = _number(hub, reference, refs, tags, known)
    _demand_kept(standing, repo, tags, number=number)
    commit = tags.get(number)
    if commit is None:
        if reference.number is not None:
            raise NotFound(f"{repo} has no version v{number}", _versions(tags))
        raise VerificationError(f"{_name(reference)} says v{number}, and there is no tag v{number}", _TELL)
    data = _read(hub, repo, commit, known)
    if data is None:
        raise VerificationError(f"{repo}@v{number} holds no {MANIFEST}: adapterd did not publish it", _TELL)
    if shown is not None and shown != data:
        raise VerificationError(
            f"{_name(reference)} says v{number}, and its {MANIFEST} is not that of v{number}", _TELL
        )
    manifest = parse_manifest(data, f"{repo}@v{number}")
    if manifest.number != number or manifest.adapter.casefold() != repo.casefold():
        named = f"{manifest.adapter}@v{manifest.number}"
        raise VerificationError(f"{MANIFEST} of {repo}@v{number} is that of {named}", _TELL)
    withdrawn = number in yanked(standing)
    return Resolved(
        adapter=manifest.adapter,
        number=number,
        tag=f"v{number}",
        commit=commit,
        identity=manifest.identity,
        base_id=manifest.base_id,
        base_revision=manifest.base_revision,
        serving_name=manifest.serving_name,
        files=manifest.files,
        manifest=data,
        yanked=withdrawn,
        warnings=(_yank(standing, repo, number),) if withdrawn else (),
        head=head,
    )


def _demand_kept(
    standing: Document, repo: str, tags: Mapping[int, str], *, number: int | None = None, identity: str | None = None
) -> None:
    """ErasedError where the version is one that was erased."""
    for stone in tombstones(standing):
        by_identity = identity is not None and stone.identity.startswith(identity)
        if by_identity or (number is not None and stone.number == number):
            name = f"v{stone.number}" if stone.number is not None else f"id:{stone.identity[:12]}"
            why = f": {stone.said.reason}" if stone.said.reason else ""
            others = {n: commit for n, commit in tags.items() if n != stone.number}
            raise ErasedError(f"{repo}@{name} was erased{why}", f"another version: {_versions(others)}")


def _number(
    hub: Hub, reference: Reference, refs: Refs, tags: Mapping[int, str], known: Known
) -> tuple[int, bytes | None]:
    """The number that a reference means, and the manifest that said so where one did."""
    repo = reference.adapter
    if reference.number is not None:
        return reference.number, None
    if reference.identity is not None:
        return _by_identity(hub, repo, reference.identity, tags, known), None
    at = reference.commit
    if at is None:
        at = refs.branches.get(reference.channel or "")
        if at is None:
            raise NotFound(f"{repo} has no channel {reference.channel}", _channels(refs))
    data = _read(hub, repo, at, known)
    if data is None:
        what = f"channel {reference.channel} of {repo}" if reference.channel else f"commit {at[:12]} of {repo}"
        raise NotFound(f"{what} holds no version of adapterd", _versions(tags))
    return parse_manifest(data, _name(reference)).number, data


def _by_identity(hub: Hub, repo: str, identity: str, tags: Mapping[int, str], known: Known) -> int:
    for number, commit in sorted(tags.items(), reverse=True):
        if commit in known and parse_manifest(known[commit], f"{repo}@v{number}").identity.startswith(identity):
            return number
    said = [(commit.id, trailer) for commit in hub.log(repo, BRANCH) if (trailer := trailers(commit.message))]
    found = {s.number: s.identity for c, s in said if s.identity.startswith(identity) and tags.get(s.number) == c}
    if not found:
        raise NotFound(f"{repo} has no version with the identity {identity}", _versions(tags))
    if len(set(found.values())) > 1:
        names = ", ".join(f"v{number}" for number in sorted(found))
        raise NotFound(f"{repo}@id:{identity} fits several versions: {names}", "give more digits of the identity")
    return max(found)


def _read(hub: Hub, repo: str, commit: str, known: Known) -> bytes | None:
    if commit in known:
        return known[commit]
    try:
        return hub.read(repo, commit, MANIFEST)
    except NotFound:
        return None


def _standing(hub: Hub, repo: str, refs: Refs) -> Mapping[str, Any]:
    """What was withdrawn; empty where nothing ever was."""
    try:
        return document.read(hub, repo, refs)[0]
    except NewerDocumentError as error:
        raise NewerSchemaError(error.message, UPGRADE) from None
    except RepoStalledError as error:
        raise VerificationError(error.message, _TELL) from None


def _yank(standing: Mapping[str, Any], repo: str, number: int) -> str:
    said = [e.get("reason") for e in standing["yanks"] if isinstance(e, dict) and e.get("number") == number]
    why = f": {said[-1]}" if said and said[-1] else ""
    return f"{repo}@v{number} was yanked{why}"


def _name(reference: Reference) -> str:
    at = reference.channel or (reference.commit or "")[:12] or f"v{reference.number}"
    return f"{reference.adapter}@{at}"


def _versions(tags: Mapping[int, str]) -> str:
    if not tags:
        return "it has no versions yet; see `adapterd status` on the training host"
    return newest(tags)


def _channels(refs: Refs) -> str:
    names = ", ".join(sorted(name for name in refs.branches if name not in RESERVED_CHANNELS))
    return f"its channels are {names}" if names else "it has no channels yet"
