"""Read a repo once: refs, visibility, standing document, commits that are not known yet; and whose it is."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from adapterd.core import messages, naming
from adapterd.core import publication as pub
from adapterd.core.card import payload_paths
from adapterd.core.reasons import reason
from adapterd.core.standing import erased_numbers, erasures, publishers
from adapterd.core.version import AdapterVersion, Stage
from adapterd.moving import RepoStalledError, document
from adapterd.ports import Conflict, Denied, Hub, NotFound, Refs, RepoRecord
from adapterd.steps.host import Host

_SCHEMA = 1


@dataclass(frozen=True, slots=True)
class View:
    """One reading of a repo: for the decision, for the record, and the paths at the head of `versions`."""

    seen: pub.RepoView
    record: RepoRecord
    paths: tuple[str, ...]


def observe(host: Host, hub: Hub, version: AdapterVersion) -> tuple[RepoRecord, Refs]:
    """Read refs and visibility; make the repo and its branch where there is none and never was one.

    Raises RepoStalledError: `repo_missing`, `repo_vanished`, `visibility_differs`.
    """
    repo = version.adapter
    record = host.registry.repo(repo) or RepoRecord(repo)
    try:
        refs = hub.refs(repo)
    except NotFound:
        known = bool(record.versions_head) or bool(host.registry.versions(repo, Stage.PUBLISHED))
        if known:
            raise RepoStalledError(reason("repo_vanished", f"repo {repo} is gone")) from None
        if not host.config.hub.create_repos:
            raise RepoStalledError(reason("repo_missing", f"there is no repo {repo}")) from None
        refs = _made(host, hub, repo)
    private = hub.is_private(repo)
    if private not in (host.config.hub.private, record.private):
        is_, wanted = ("private", "public") if private else ("public", "private")
        raise RepoStalledError(reason("visibility_differs", f"repo {repo} is {is_}; hub.private wants it {wanted}"))
    return record, refs


def _made(host: Host, hub: Hub, repo: str) -> Refs:
    """Make a repo that was not there a moment ago."""
    try:
        hub.create_repo(repo, private=host.config.hub.private)
    except Conflict as error:
        # Somebody was faster, another publisher or an earlier holder of this version; or it is hidden from this token.
        try:
            return hub.refs(repo)
        except NotFound:
            raise Denied(f"repo {repo} exists and cannot be read with this token") from error
    return hub.refs(repo)


def view(host: Host, hub: Hub, record: RepoRecord, refs: Refs, version: AdapterVersion) -> View:
    """Read what is new on `versions`, and whose the repo is. The branch is made where the repo is fresh.

    Raises RepoStalledError: `repo_not_ours`, `foreign_file`, `newer_schema`.
    """
    repo = record.adapter
    record = standing(hub, record, refs)
    tags = naming.version_numbers(refs.tags)
    head = refs.branches.get(pub.BRANCH, "")
    if not head:
        head = _fresh(host, hub, record, refs, tags)
    if head == record.versions_head:
        return View(_seen(host, record, head, tags, ()), record, record.paths)
    log = hub.log(repo, head, record.versions_head or None)
    committed = [pub.Committed(c.id, said) for c in log if (said := messages.trailers(c.message))]
    tree = hub.tree(repo, head)
    gone = erasures(record.standing)
    empty = not tags and all(c.said.identity in gone for c in committed)
    record, paths, ours = _head(host, hub, record, head, tuple(tree), version, empty=empty)
    seen = {
        **record.seen,
        **{c.said.identity: [c.said.number, c.commit] for c in committed if c.commit in tags.values()},
    }
    # Commits that nobody has tagged yet must be found again, so the head is remembered only once a version is tagged.
    view_ = _seen(host, replace(record, seen=seen), head, tags, tuple(committed))
    return View(replace(view_, ours=ours), replace(record, seen=seen), paths)


def _seen(
    host: Host,
    record: RepoRecord,
    head: str,
    tags: Mapping[int, str],
    committed: tuple[pub.Committed, ...],
) -> pub.RepoView:
    known = {identity: (int(number), str(commit)) for identity, (number, commit) in record.seen.items()}
    for mine in host.registry.versions(record.adapter, Stage.PUBLISHED):
        known.setdefault(mine.identity, (mine.number or 0, mine.commit or ""))
    buried = erased_numbers(record.standing)
    return pub.RepoView(head, tags, committed, known, erasures(record.standing), buried)


def _taken_over(host: Host, record: RepoRecord) -> bool:
    """Whether a person adopted the repo: the registry remembers it, and where that was lost, the Hub does."""
    return record.adopted or host.publisher in publishers(record.standing)


def _fresh(host: Host, hub: Hub, record: RepoRecord, refs: Refs, tags: Mapping[int, str]) -> str:
    """Make the branch `versions` of a repo that holds nothing yet."""
    repo, main = record.adapter, refs.branches.get("main", "")
    taken_over = _taken_over(host, record)
    if record.versions_head:
        raise RepoStalledError(reason("repo_vanished", f"branch {pub.BRANCH} of {repo} is gone"))
    if tags and not taken_over:
        raise RepoStalledError(reason("repo_not_ours", f"repo {repo} has tag v{min(tags)} and no branch {pub.BRANCH}"))
    foreign = sorted(set(hub.tree(repo, main)) - {".gitattributes"}) if main else []
    if foreign and not taken_over:
        raise RepoStalledError(reason("repo_not_ours", f"repo {repo} holds {foreign[0]} and no version of adapterd"))
    try:
        hub.create_branch(repo, pub.BRANCH, main)
    except Conflict:
        return hub.refs(repo).branches[pub.BRANCH]
    return main


def _head(
    host: Host,
    hub: Hub,
    record: RepoRecord,
    head: str,
    paths: tuple[str, ...],
    version: AdapterVersion,
    *,
    empty: bool,
) -> tuple[RepoRecord, tuple[str, ...], bool]:
    """Read card and manifest at a head that the registry does not know; tell whether the repo is ours."""
    repo = record.adapter
    readme = hub.read(repo, head, pub.CARD) if pub.CARD in paths else b""
    record = replace(record, readme=readme)
    taken_over = _taken_over(host, record)
    if pub.MANIFEST not in paths:
        # The first commit removes what else lies on the branch, so nothing may lie there that a person put there.
        bare = empty and not set(paths) - {".gitattributes"}
        return record, paths, bare or taken_over
    manifest = _manifest(hub.read(repo, head, pub.MANIFEST), repo)
    if foreign := pub.foreign_paths(paths, payload_paths(manifest)):
        raise RepoStalledError(reason("foreign_file", f"{foreign[0]} lies on branch {pub.BRANCH} of {repo}"))
    if not _same_base(manifest, host, version):
        if taken_over:
            raise RepoStalledError(reason("series_changed", f"the newest version of {repo} has another base model"))
        return record, paths, False
    # A repo that was renamed names its former self in its manifests: whoever adopts it says that it is this one.
    known = manifest.get("publisher") == host.publisher or bool(record.versions_head)
    return record, paths, taken_over or (known and manifest.get("adapter") == repo)


def _same_base(manifest: Mapping[str, Any], host: Host, version: AdapterVersion) -> bool:
    base = manifest.get("base")
    theirs = str(base.get("id", "")) if isinstance(base, dict) else ""
    bound = next((a.base for a in host.registry.adapters() if a.name == version.adapter), "")
    return theirs.casefold() == ("" if bound == "local" else bound.casefold())


def _manifest(data: bytes, repo: str) -> Mapping[str, Any]:
    try:
        found = json.loads(data)
        schema = found["schema"]
    except (ValueError, KeyError, TypeError) as error:
        raise RepoStalledError(reason("repo_not_ours", f"{pub.MANIFEST} of {repo} is no manifest")) from error
    if not isinstance(schema, int) or schema > _SCHEMA:
        raise RepoStalledError(reason("newer_schema", f"{pub.MANIFEST} of {repo} has schema {schema}"))
    manifest: Mapping[str, Any] = found
    return manifest


def standing(hub: Hub, record: RepoRecord, refs: Refs) -> RepoRecord:
    """Read the standing document where its branch moved."""
    said, head = document.read(hub, record.adapter, refs, (record.standing, record.standing_head))
    return record if head == record.standing_head else replace(record, standing_head=head, standing=said)
