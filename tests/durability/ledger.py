"""Hold what a publisher keeps against the Hub: registry, index, channels, spool, audit log; and the Hub's own files."""

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

from adapterd.audit import AuditLog
from adapterd.core import publication as pub
from adapterd.core.index import NEWEST
from adapterd.core.naming import version_numbers
from adapterd.core.version import Stage
from adapterd.ports import Hub, NotFound, Refs, RegistryReader
from adapterd.roots import SettleError
from adapterd.spool import Spool
from durability.books import WEIGHTS


def registry(hub: Hub, reader: RegistryReader, adapters: Iterable[str]) -> Iterator[str]:
    """Where registry and tags disagree: a version that only one of the two knows, or another commit."""
    for adapter in adapters:
        tags = version_numbers(_refs(hub, adapter).tags)
        known = {v.number or 0: v.commit for v in reader.versions(adapter, Stage.PUBLISHED)}
        for number in sorted({*known, *tags}):
            if known.get(number) != tags.get(number):
                yield f"{adapter}@v{number}: registry {known.get(number)}, tag {tags.get(number)}"


def index(path: Path, reader: RegistryReader) -> Iterator[str]:
    """Where the index document shows other versions, commits or channels than the registry."""
    document = json.loads(path.read_bytes())
    if document["generation"] != reader.generation():
        yield f"index.json shows generation {document['generation']}, the registry has {reader.generation()}"
    listed = document["adapters"]
    for adapter in {a.name for a in reader.adapters()} | set(listed):
        shown = listed.get(adapter, {"versions": {}, "channels": {}})
        here = {tag: entry["commit"] for tag, entry in shown["versions"].items()}
        known = {v.tag: v.commit for v in reader.versions(adapter, Stage.PUBLISHED)}
        held = set(shown["channels"].values())
        newest = sorted(known, key=lambda tag: int(tag[1:]))[-NEWEST:]
        missing, other = {*newest, *held} - set(here), [tag for tag in here if known.get(tag) != here[tag]]
        if missing or other or shown.get("count", len(here)) != len(known):
            yield f"index.json lists {sorted(here)} of {adapter}, the registry {sorted(map(str, known))}"
        moved = {c.channel: f"v{c.number}" for c in reader.channels(adapter) if c.number}
        if shown["channels"] != moved:
            yield f"index.json shows channels {shown['channels']} of {adapter}, the registry {moved}"


def channel(hub: Hub, adapter: str, finals: frozenset[str], name: str = "main") -> Iterator[str]:
    """Where a channel does not hold, byte for byte, the newest version whose weights are those of a final save."""
    refs = _refs(hub, adapter)
    newest = ""
    for _, commit in sorted(version_numbers(refs.tags).items()):
        if hashlib.sha256(hub.read(adapter, commit, WEIGHTS)).hexdigest() in finals:
            newest = commit
    if not newest:
        return
    own = {pub.CARD, pub.PICTURE, ".gitattributes"}
    wanted = {path: file for path, file in hub.tree(adapter, newest).items() if path not in own}
    there = hub.tree(adapter, refs.branches[name])
    wrong = [path for path, file in wanted.items() if there.get(path) != file]
    if wrong:
        yield f"{name} of {adapter} does not hold its newest final: {', '.join(wrong)} differ"


def spool(path: Path) -> Iterator[str]:
    """Snapshots that are not whole, and what was left half-copied."""
    kept = Spool(path)
    if (path / ".incoming").exists():
        yield from (f"{left.name} was left in the spool, half-copied" for left in (path / ".incoming").iterdir())
    described = {(adapter, tree) for adapter, tree, _ in kept.sidecars()}
    for folder in sorted(path.glob("*/*/*")):
        adapter, tree = "/".join(folder.parts[-3:-1]), folder.name
        if (adapter, tree) not in described:
            yield f"snapshot {adapter} {tree[:12]} has no sidecar"
        try:
            kept.snapshot(adapter, tree)
        except SettleError as error:
            yield error.message
        yield from (f"{left.name} was left beside {tree[:12]}" for left in folder.glob(".*"))


def state(folder: Path) -> Iterator[str]:
    """A damaged registry, a broken chain, and files that a crash left behind."""
    with closing(sqlite3.connect(f"file:{folder / 'registry.db'}?mode=ro", uri=True)) as database:
        said = [str(row[0]) for row in database.execute("PRAGMA integrity_check")]
    if said != ["ok"]:
        yield f"the registry is damaged: {said[0]}"
    if (folder / "audit.jsonl").exists() and (line := AuditLog(folder / "audit.jsonl").broken_at()) is not None:
        yield f"the audit log is broken at line {line}"
    yield from (f"{left.name} was left in the state folder" for left in folder.glob(".*"))


def store(data: Path) -> Iterator[str]:
    """Objects of the Hub's LFS stores whose bytes are not those of their names."""
    for path in data.glob("repos/*/lfs/objects/*/*/*"):
        if hashlib.sha256(path.read_bytes()).hexdigest() != path.name:
            yield f"LFS object {path.name[:12]} of the Hub is torn"


def _refs(hub: Hub, adapter: str) -> Refs:
    try:
        return hub.refs(adapter)
    except NotFound:
        return Refs(branches={}, tags={})
