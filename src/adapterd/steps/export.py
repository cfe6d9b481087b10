"""export: the index document follows the registry's generation. Level-triggered, beside the line."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

from adapterd.core import index
from adapterd.core.index import Part
from adapterd.core.rules import PASSED
from adapterd.core.version import AdapterVersion, Stage
from adapterd.moving import RepoStalledError, listing
from adapterd.ports import AdapterRecord, Hub, NotFound, RegistryReader
from adapterd.spool import replace_file
from adapterd.steps.host import Host
from adapterd.steps.waivers import WAIVED, codes_of


class Parts:
    """Every adapter's part of the index. Asked again, only what could look different since is read anew."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._known: dict[AdapterRecord, tuple[int, Part | None]] = {}

    def __call__(self, registry: RegistryReader, publisher: str) -> list[Part]:
        """The parts of adapters that have a published version, by name."""
        shown, known = registry.generations(), self._known
        # Generations first: what changes in between is read once more at the next time.
        self._known = {}
        for adapter in registry.adapters():
            generation, (before, part) = shown.get(adapter.name, 0), known.get(adapter, (-1, None))
            part = part if before == generation else _part(registry, publisher, adapter, part)
            self._known[adapter] = (generation, part)
        return [part for _, part in self._known.values() if part is not None]


def _part(registry: RegistryReader, publisher: str, adapter: AdapterRecord, former: Part | None) -> Part | None:
    """One adapter's part; None where nothing of it is published."""
    versions = [v for v in registry.versions(adapter.name) if v.number and v.commit]
    if not versions:
        return None
    channels = {c.channel: c.number for c in registry.channels(adapter.name) if c.number}
    repo = registry.repo(adapter.name)
    standing = repo.standing if repo else {}
    before = former.value()["versions"] if former is not None else {}
    waived, again = registry.noted(WAIVED, adapter.name), registry.noted(PASSED, adapter.name)
    told = {}
    for version in versions:
        said = _told(registry, version, None if version.id in again else before.get(version.tag))
        told[version.id] = replace(said, waived=codes_of(registry, version)) if version.id in waived else said
    return index.packed(index.adapter_entry(adapter.name, publisher, adapter.base, versions, channels, standing, told))


def _told(registry: RegistryReader, version: AdapterVersion, before: Mapping[str, Any] | None) -> index.Told:
    """What is known of a published version, asked for once: its report was written with it."""
    if before is not None and (before["commit"], before["identity"]) == (version.commit, version.identity):
        return index.Told((), before.get("engines"), before.get("published"))
    at = [e.at for e in registry.events(version.id) if e.kind == Stage.PUBLISHED]
    passed = [v.report for v in registry.validations(version.id) if v.verdict == "passed"]
    return index.Told((), index.verdicts(passed[-1].get("engines")) if passed else {}, at[-1] if at else None)


def entries(registry: RegistryReader, publisher: str) -> list[Part]:
    """Every adapter's part of the index, by name, read afresh."""
    return Parts()(registry, publisher)


def written_generation(host: Host) -> int:
    """The generation of the index document on disk; -1 where there is none."""
    try:
        return index.generation_of(host.index.read_bytes())
    except OSError:
        return -1


def export(host: Host, parts: Parts) -> int:
    """Bring ``index.json`` up to date, atomically; the generation that it shows."""
    generation = host.registry.generation()
    data = index.document(parts(host.registry, host.publisher), generation)
    if not _is_there(host, data):
        replace_file(host.index, data, mode=0o644)
    return generation


def repo_of(host: Host) -> str:
    """The index repo; empty where none is configured."""
    hub = host.config.hub
    return f"{hub.namespace}/{hub.index_repo}" if hub.index_repo else ""


def _is_there(host: Host, data: bytes) -> bool:
    try:
        return host.index.stat().st_size == len(data) and host.index.read_bytes() == data
    except OSError:
        return False


def export_to_hub(host: Host, parts: Sequence[Part]) -> bool:
    """Bring the index repo up to date, where one is configured: one file per adapter, written by its publisher.

    Another publisher's files are left alone. Where a part on the Hub tells otherwise of channels, holds or yanks, a
    person may have moved them meanwhile, so that the adapter's own repo is asked. Errors of the port pass through,
    Conflict among them where others were faster each time. True where a commit was made.
    """
    if not (repo := repo_of(host)):
        return False
    hub = host.hub()
    edit = partial(_wanted, host, parts)
    try:
        return listing.change(hub, repo, edit)
    except NotFound:
        if not host.config.hub.create_repos or _is_there_on(hub, repo):
            raise
        hub.create_repo(repo, private=host.config.hub.private)
        return listing.change(hub, repo, edit)


def _is_there_on(hub: Hub, repo: str) -> bool:
    try:
        hub.refs(repo)
    except NotFound:
        return False
    return True


def _wanted(host: Host, parts: Sequence[Part], shown: listing.Shown) -> dict[str, dict[str, Any]]:
    """The parts that are ours to write, each as it shall be."""
    wanted = {}
    for part in parts:
        path = part.path
        if path not in shown.tree or shown.tree[path].blob != part.blob:
            present = shown.summaries.get(path) or {}
            if present.get("publisher", "") not in ("", host.publisher):
                continue
            # Of a repo that is gone or in disorder nothing new is told; its own line says so.
            with suppress(NotFound, RepoStalledError):
                wanted[path] = as_shown(host.registry, host.hub(), part.value(), present, partial(shown.part, path))
    return wanted


def as_shown(
    registry: RegistryReader,
    hub: Hub,
    part: dict[str, Any],
    present: Mapping[str, Any],
    whole: Callable[[], Mapping[str, Any]],
) -> dict[str, Any]:
    """Our part of an adapter, with what the Hub alone knows.

    Args:
        registry: whose channels are believed where their heads have not moved.
        hub: to ask the adapter's own repo.
        part: by the registry.
        present: the part that the index repo has, or its summary.
        whole: reads all of it.
    """
    if present and any("published" not in version for version in part["versions"].values()):
        part = index.keeping(part, whole())
    if not present or index.moves_of(present) == index.moves_of(part):
        return part
    adapter = part["adapter"]
    heads = {c.channel: (c.commit, c.number) for c in registry.channels(adapter) if c.number and c.commit}
    repo = registry.repo(adapter)
    known = (repo.standing, repo.standing_head) if repo is not None else ({}, "")
    return index.with_standing(part, *listing.truth(hub, adapter, heads, known))
