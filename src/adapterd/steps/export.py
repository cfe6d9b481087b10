"""export: the index document follows the registry's generation. Level-triggered, beside the line."""

from collections.abc import Mapping, Sequence
from typing import Any

from adapterd.core import index
from adapterd.ports import AdapterRecord, AddBytes, Conflict, NotFound, RegistryReader
from adapterd.spool import replace_file
from adapterd.steps.host import Host
from adapterd.steps.waivers import WAIVED, codes_of


class Parts:
    """Every adapter's part of the index. Asked again, only what could look different since is read anew."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._known: dict[AdapterRecord, tuple[int, dict[str, Any] | None]] = {}

    def __call__(self, registry: RegistryReader, publisher: str) -> list[dict[str, Any]]:
        """The parts of adapters that have a published version, by name."""
        shown, known = registry.generations(), self._known
        # Generations first: what changes in between is read once more at the next time.
        self._known = {
            adapter: known[adapter]
            if adapter in known and known[adapter][0] == shown.get(adapter.name, 0)
            else (shown.get(adapter.name, 0), _part(registry, publisher, adapter))
            for adapter in registry.adapters()
        }
        return [part for _, part in self._known.values() if part is not None]


def entries(registry: RegistryReader, publisher: str) -> list[dict[str, Any]]:
    """Every adapter's part of the index, by name, read afresh."""
    return Parts()(registry, publisher)


def _part(registry: RegistryReader, publisher: str, adapter: AdapterRecord) -> dict[str, Any] | None:
    """One adapter's part; None where nothing of it is published."""
    versions = registry.versions(adapter.name)
    if not any(v.number and v.commit for v in versions):
        return None
    channels = {c.channel: c.number for c in registry.channels(adapter.name) if c.number}
    repo = registry.repo(adapter.name)
    standing = repo.standing if repo else {}
    noted = registry.noted(WAIVED, adapter.name)
    waived = {v.id: codes_of(registry, v) for v in versions if v.id in noted}
    return index.adapter_entry(adapter.name, publisher, adapter.base, versions, channels, standing, waived)


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


def export_to_hub(host: Host, parts: Sequence[dict[str, Any]]) -> bool:
    """Bring the index repo up to date, where one is configured: one file per adapter, written by its publisher.

    Another publisher's files are left alone, and so is a file of ours that says the same already. Errors of the port
    pass through. True where a commit was made.
    """
    if not (repo := repo_of(host)):
        return False
    hub = host.hub()
    try:
        refs = hub.refs(repo)
    except NotFound:
        if not host.config.hub.create_repos:
            raise
        hub.create_repo(repo, private=host.config.hub.private)
        refs = hub.refs(repo)
    if not (head := refs.branches.get("main", "")):
        raise NotFound(f"index repo {repo} has no branch main", "make the branch, or name another hub.index_repo")
    there = hub.tree(repo, head)
    operations = []
    for part in parts:
        path = path_of(part)
        data = index.render(part)
        if path in there:
            present = hub.read(repo, head, path)
            if present == data or index.publisher_of(present) not in ("", host.publisher):
                continue
        operations.append(AddBytes(path, data))
    if not operations:
        return False
    try:
        hub.commit(repo, "main", head, operations, f"index: {len(operations)} adapters")
    except Conflict:
        return False  # another publisher was faster; the next round looks again
    return True


def path_of(part: Mapping[str, Any]) -> str:
    """Where an adapter's part lies in the index repo."""
    return f"adapters/{str(part['adapter']).split('/')[-1]}.json"
