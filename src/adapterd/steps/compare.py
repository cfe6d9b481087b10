"""compare: read Hub, registry, spool and index, so that `core.drift` can say where they differ. It only reads.

The cheap reading asks for refs and visibility, and for more only where something moved: two requests an adapter. The
deep one also reads every published manifest with its tree, the commits of `versions`, and every byte of the spool.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapterd.config import Config
from adapterd.core import adapter as ad
from adapterd.core import drift, index, messages, naming
from adapterd.core import publication as pub
from adapterd.core.drift import Finding, Recorded, Shown
from adapterd.core.version import LIVE
from adapterd.moving import RepoStalledError
from adapterd.ports import Hub, NotFound, Refs, RegistryReader, RepoRecord
from adapterd.roots import SettleError
from adapterd.spool import Spool
from adapterd.steps import export, promote
from adapterd.steps import repo as repos


@dataclass(frozen=True, slots=True)
class Ground:
    """What is compared; `index` is the document beside the registry."""

    config: Config
    registry: RegistryReader
    hub: Hub
    spool: Spool
    publisher: str
    index: Path


@dataclass(frozen=True, slots=True)
class Compared:
    """How much was compared, and what was found."""

    adapters: int
    versions: int
    findings: tuple[Finding, ...]


def compare(ground: Ground, adapters: Collection[str] = (), *, deep: bool = False) -> Compared:
    """Compare these adapters, or all with the index. Errors of the port pass through."""
    known = [a.name for a in ground.registry.adapters()]
    folded = {name.casefold() for name in adapters}
    chosen = [name for name in known if not folded or name.casefold() in folded]
    if missing := sorted(folded - {name.casefold() for name in chosen}):
        raise NotFound(f"the registry knows no {missing[0]}", "`adapterd list` shows what it knows")
    findings: list[Finding] = []
    count = 0
    for name in chosen:
        record = ground.registry.repo(name) or RepoRecord(name)
        versions = ground.registry.versions(name)
        recorded = Recorded(name, versions, record.seen, record.standing, record.private)
        count += len(versions)
        findings += _repo(ground, record, recorded, deep=deep)
        findings += _snapshots(ground, recorded, deep=deep)
    if not adapters:
        findings += _indices(ground)
    return Compared(len(chosen), count, tuple(findings))


def _repo(ground: Ground, record: RepoRecord, recorded: Recorded, *, deep: bool) -> Sequence[Finding]:
    name, hub = recorded.adapter, ground.hub
    try:
        refs = hub.refs(name)
        private = hub.is_private(name)
    except NotFound:
        return drift.vanished(recorded)
    fault, standing = "", None
    try:
        standing = repos.standing(hub, record, refs).standing
    except RepoStalledError as error:
        fault = error.reason.message
    drifted = {
        channel.channel: said
        for channel in ground.registry.channels(name)
        if channel.commit and (said := promote.fault(hub, channel, refs))
    }
    tags = naming.version_numbers(refs.tags)
    committed = _untagged(hub, name, refs) if deep else ()
    shown = Shown(tags, private, standing, fault, drifted, committed)
    found = list(drift.of_repo(recorded, shown, ground.config.hub.private))
    return [*found, *_manifests(hub, recorded, shown)] if deep else found


def _untagged(hub: Hub, name: str, refs: Refs) -> tuple[tuple[int, str], ...]:
    """The version commits that no tag names."""
    if pub.BRANCH not in refs.branches:
        return ()
    tagged = set(refs.tags.values())
    log = hub.log(name, pub.BRANCH)
    return tuple((t.number, c.id) for c in log if c.id not in tagged and (t := messages.trailers(c.message)))


def _manifests(hub: Hub, recorded: Recorded, shown: Shown) -> Sequence[Finding]:
    """What lies under the tags that are where they should be."""
    found = []
    for version in drift.published(recorded):
        commit = version.commit or ""
        if shown.tags.get(version.number or 0) != commit:
            continue
        there = {p: (f.size, f.blob, f.sha256) for p, f in hub.tree(recorded.adapter, commit).items()}
        try:
            said = drift.manifest_fault(hub.read(recorded.adapter, commit, pub.MANIFEST), version, there)
        except NotFound:
            said = f"{pub.MANIFEST} is missing"
        found += [Finding("manifest_differs", version.label, said)] if said else []
    return found


def _snapshots(ground: Ground, recorded: Recorded, *, deep: bool) -> Sequence[Finding]:
    """Whether what is on its way has its frozen copy."""
    found = []
    for version in (v for v in recorded.versions if v.stage in LIVE):
        said = ""
        if deep:
            try:
                ground.spool.snapshot(version.adapter, version.tree)
            except SettleError as error:
                said = error.message
        elif not (ground.spool.payload(version.adapter, version.tree) / ad.CONFIG).is_file():
            said = f"{ground.spool.folder(version.adapter, version.tree)} holds no snapshot"
        found += [Finding("snapshot_missing", version.label, said)] if said else []
    return found


def _indices(ground: Ground) -> Sequence[Finding]:
    """The index on this host and, where one is configured, the index repo: its files are compared by their blob ids."""
    wanted = export.entries(ground.registry, ground.publisher)
    try:
        data = ground.index.read_bytes()
    except OSError:
        data = None
    generation = ground.registry.generation()
    found = list(drift.of_index(wanted, generation, data, str(ground.index)))
    name = ground.config.hub.index_repo
    if name is None or not wanted:
        return found
    repo = f"{ground.config.hub.namespace}/{name}"
    try:
        there = ground.hub.tree(repo, "main")
    except NotFound:
        return [*found, Finding("index_differs", repo, "the index repo is not there")]
    for part in wanted:
        path = part.path
        if path not in there:
            found.append(Finding("index_differs", f"{repo}/{path}", "it is missing"))
        elif there[path].blob != part.blob and not _is_as_shown(ground, part.value(), repo, path):
            found.append(Finding("index_differs", f"{repo}/{path}", "it says something else than the registry"))
    return found


def _is_as_shown(ground: Ground, part: dict[str, Any], repo: str, path: str) -> bool:
    """Whether a file of the index repo is another publisher's, or says what the adapter's own repo says meanwhile."""
    data = ground.hub.read(repo, "main", path)
    if index.publisher_of(data) not in ("", ground.publisher):
        return True
    present = index.part_of(data)
    try:
        wanted = export.as_shown(ground.registry, ground.hub, part, present, lambda: present)
    except (NotFound, RepoStalledError):
        return False
    return index.render(wanted) == data
