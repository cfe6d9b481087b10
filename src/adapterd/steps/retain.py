"""retention: what nobody needs any more goes from spool and registry. Nothing on the Hub is touched.

It may be done at any time, beside every lane: each snapshot is decided about again, with the registry's word of that
moment, before it goes.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from pathlib import Path

from adapterd import roots
from adapterd.core import retention
from adapterd.core.retention import Fate, Rules
from adapterd.core.standing import erasures
from adapterd.log import get_logger
from adapterd.ports import RegistryReader
from adapterd.roots import SettleError
from adapterd.steps.host import Host

log = get_logger(__name__)

AT_ONCE = 100
"""Versions whose history is cut in one transaction, so that no lane waits long for the registry."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What would go now: snapshots with their fates, how many histories are cut, paths by root that are forgotten."""

    fates: Sequence[Fate]
    histories: int
    forgotten: Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Tidied:
    """What went: how many snapshots and bytes of the spool, histories, observations, bytes of the registry's file."""

    snapshots: int
    bytes: int
    histories: int
    observations: int
    given_back: int


def plan(host: Host) -> Plan:
    """Look at spool, registry and roots, and say what goes; nothing is changed."""
    kept, now = host.config.retention, host.clock()
    long_ago = now - kept.observations_for
    return Plan(
        fates(host),
        host.registry.compactable(now - kept.events_for),
        retention.forgettable(host.registry.observations(before=long_ago), long_ago, _Gone(host)),
    )


def fates(host: Host) -> tuple[Fate, ...]:
    """What becomes of every snapshot in the spool."""
    # First what lies there: whatever comes after this look is newer than the rows.
    lying = sorted(host.spool.lying(), key=attrgetter("adapter"))
    holding, erased = _holding(host.registry), _erased(host.registry)
    found: list[Fate] = []
    for adapter, some in groupby(lying, key=attrgetter("adapter")):
        versions = host.registry.versions(adapter)
        found += retention.fates(some, versions, holding, erased, _rules(host), host.clock())
    return tuple(found)


def retain(host: Host) -> Tidied:
    """Let go of what nobody needs any more. SettleError where the spool cannot be written."""
    seen = plan(host)
    gone = [fate for fate in seen.fates if not fate.stays and discard(host, fate)]
    before, cut = host.clock() - host.config.retention.events_for, 0
    while count := host.registry.compact(before, AT_ONCE):
        cut += count
    long_ago = host.clock() - host.config.retention.observations_for
    forgotten = sum(host.registry.forget(root, paths, long_ago) for root, paths in seen.forgotten.items())
    tidied = Tidied(len(gone), sum(fate.lying.size for fate in gone), cut, forgotten, host.registry.shrink())
    log.info(
        "retention_done",
        snapshots=tidied.snapshots,
        bytes=tidied.bytes,
        histories=tidied.histories,
        observations=tidied.observations,
    )
    return tidied


def discard(host: Host, fate: Fate) -> bool:
    """Remove a snapshot if what was decided about it still holds."""
    lying, was = fate.lying, fate.version
    with host.spool.deciding:
        if was is None:
            still = all(version.tree != lying.tree for version in host.registry.versions(lying.adapter))
        else:
            now = host.registry.version(was.id)
            still = now is not None and (now.stage, now.tree, now.updated_at) == (was.stage, was.tree, was.updated_at)
        if not still:
            return False
        host.spool.discard(lying.adapter, lying.tree)
    log.info("snapshot_discarded", adapter=lying.adapter, tree=lying.tree, bytes=lying.size, message=fate.why)
    return True


def _rules(host: Host) -> Rules:
    kept = host.config.retention
    return Rules(kept.snapshots, kept.snapshots_for, kept.rejected_for)


def _holding(registry: RegistryReader) -> frozenset[tuple[str, int]]:
    return frozenset((c.adapter, c.number) for c in registry.channels() if c.number is not None)


def _erased(registry: RegistryReader) -> dict[str, frozenset[str]]:
    repos = ((a.name, registry.repo(a.name)) for a in registry.adapters())
    return {name: erasures(repo.standing) for name, repo in repos if repo is not None}


class _Gone:
    """Whether a directory is gone for good: its root is there, as it was known, and the directory is not."""

    def __init__(self, host: Host) -> None:
        """Know no root yet."""
        self._host = host
        self._there: dict[str, bool] = {}

    def __call__(self, root: str, path: str) -> bool:
        """Tell of one directory."""
        if root not in self._there:
            self._there[root] = self._known(root)
        return self._there[root] and not os.path.lexists(Path(root) / path)

    def _known(self, root: str) -> bool:
        """Whether the root is the directory that was scanned; one that is not mounted has lost nothing."""
        _, was = self._host.registry.root_inode(root)
        try:
            return was is not None and roots.inode_of(Path(root)) == was
        except SettleError:
            return False
