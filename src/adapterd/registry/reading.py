"""What may be asked of the registry: snapshots of committed state that never hold up the writer."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlalchemy import Connection, Engine, and_, func, select

from adapterd.core.version import AdapterVersion, Stage
from adapterd.ports import (
    AdapterRecord,
    ChannelRecord,
    Event,
    Observation,
    RegistryError,
    RepoRecord,
    Sighting,
    Validation,
)
from adapterd.registry import arrivals, reports, rows, tidying
from adapterd.registry.engine import explained
from adapterd.registry.history import SHOWN
from adapterd.registry.schema import (
    adapters,
    channels,
    events,
    meta,
    observations,
    repos,
    sightings,
    validations,
    versions,
)

_PREFIX = 8
_AT_ONCE = 500
"""Paths that one statement is given."""


class SqlReader:
    """`ports.RegistryReader` over one SQLite file. Thread-safe."""

    def __init__(self, path: Path, reads: Engine) -> None:
        """Keep the engine; `open_reader` makes one that is known to hold a registry."""
        self.path = path
        self._reads = reads

    def close(self) -> None:
        """Close every connection."""
        self._reads.dispose()

    def __enter__(self) -> Self:
        """Close at the end of a block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        """One snapshot of committed state."""
        with explained(self.path), self._reads.connect() as conn:
            yield conn

    def version(self, version_id: int) -> AdapterVersion | None:
        """One version by its row."""
        with self._read() as conn:
            return rows.version_by_id(conn, version_id)

    def versions(
        self,
        adapter: str | None = None,
        stage: Stage | None = None,
        limit: int | None = None,
        *,
        above: int | None = None,
        final: bool | None = None,
    ) -> Sequence[AdapterVersion]:
        """Versions, newest intake first; only those numbered above, and finals or not, where that is given."""
        with self._read() as conn:
            query = select(*rows.VERSION).order_by(versions.c.intake.desc()).limit(limit)
            if adapter is not None:
                query = query.where(versions.c.adapter == rows.canonical(conn, adapter))
            if stage is not None:
                query = query.where(versions.c.stage == stage)
            if above is not None:
                query = query.where(versions.c.number > above)
            if final is not None:
                query = query.where(versions.c.final.is_(final))
            return rows.every(conn, query, rows.version)

    def newest_finals(self) -> Mapping[str, int]:
        """The highest number of a published final save, by adapter; none for an adapter without one."""
        own = versions.c
        query = select(own.adapter, func.max(own.number)).where(own.stage == Stage.PUBLISHED, own.final)
        with self._read() as conn:
            return {str(name): int(number) for name, number in conn.execute(query.group_by(own.adapter))}

    def find(self, adapter: str, *, number: int | None = None, identity: str | None = None) -> AdapterVersion | None:
        """One version of an adapter by number, or by a prefix of its identity of 8 digits or more.

        RegistryError where the prefix fits several.
        """
        if (number is None) == (identity is None):
            raise ValueError("find a version by its number or by its identity")
        if identity is not None and len(identity) < _PREFIX:
            raise ValueError(f"a prefix of an identity has {_PREFIX} digits or more: {identity!r}")
        with self._read() as conn:
            query = select(*rows.VERSION).where(versions.c.adapter == rows.canonical(conn, adapter)).limit(2)
            if identity is None:
                query = query.where(versions.c.number == number)
            else:
                query = query.where(versions.c.identity.startswith(identity.lower(), autoescape=True))
            found = rows.every(conn, query, rows.version)
        if len(found) > 1:
            raise RegistryError(f"{adapter}@id:{identity} fits several versions", "give more digits of the identity")
        return found[0] if found else None

    def adapters(self) -> Sequence[AdapterRecord]:
        """Every adapter, by name."""
        with self._read() as conn:
            query = select(*rows.ADAPTER).order_by(adapters.c.name)
            return rows.every(conn, query, lambda row: AdapterRecord(**row))

    def newest_observed(self, reason: str) -> Mapping[str, int]:
        """The highest number of a published version that was last seen with this reason, by adapter."""
        own = versions.c
        query = select(own.adapter, func.max(own.number)).join(observations, observations.c.version == own.id)
        query = query.where(own.stage == Stage.PUBLISHED, observations.c.reason == reason).group_by(own.adapter)
        with self._read() as conn:
            return {str(name): int(number) for name, number in conn.execute(query)}

    def sightings(self, version_id: int) -> Sequence[Sighting]:
        """Where a version was seen, oldest first."""
        with self._read() as conn:
            query = select(*rows.SIGHTING).where(sightings.c.version_id == version_id).order_by(sightings.c.id)
            return rows.every(conn, query, lambda row: Sighting(**row))

    def events(self, version_id: int) -> Sequence[Event]:
        """A version's history, oldest first."""
        with self._read() as conn:
            query = select(*rows.EVENT).where(events.c.version_id == version_id).order_by(events.c.id)
            return rows.every(conn, query, lambda row: Event(**row))

    def noted(self, kind: str, adapter: str | None = None) -> frozenset[int]:
        """The versions whose history has a line of this kind, by row; of one adapter, or all."""
        with self._read() as conn:
            query = select(events.c.version_id).where(events.c.kind == kind)
            if adapter is not None:
                of = select(versions.c.id).where(versions.c.adapter == rows.canonical(conn, adapter))
                query = query.where(events.c.version_id.in_(of))
            return frozenset(conn.scalars(query))

    def validations(self, version_id: int) -> Sequence[Validation]:
        """A version's reports, oldest first."""
        with self._read() as conn:
            query = reports.every().where(validations.c.version_id == version_id).order_by(validations.c.id)
            return rows.every(conn, query, rows.validation)

    def observations(
        self,
        root: str | None = None,
        *,
        paths: Collection[str] | None = None,
        states: Collection[str] | None = None,
        reason: str | None = None,
        before: float | None = None,
    ) -> Sequence[Observation]:
        """What was last seen, of one root or all, by path; only these paths, states and reason where they are given.

        With `before` only what has not changed since.
        """
        own, query = observations.c, select(*rows.OBSERVATION).order_by(observations.c.root, observations.c.path)
        if root is not None:
            query = query.where(own.root == root)
        if states is not None:
            query = query.where(own.state.in_(states))
        if reason is not None:
            query = query.where(own.reason == reason)
        if before is not None:
            query = query.where(own.changed_at < before)
        with self._read() as conn:
            if paths is None:
                return [Observation(*row) for row in conn.execute(query)]
            wanted, found = sorted(paths), list[Observation]()
            for first in range(0, len(wanted), _AT_ONCE):
                some = query.where(own.path.in_(wanted[first : first + _AT_ONCE]))
                found += [Observation(*row) for row in conn.execute(some)]
            return found

    def observation(self, root: str, path: str) -> Observation | None:
        """What was last seen of one directory."""
        with self._read() as conn:
            query = select(*rows.OBSERVATION).where(and_(observations.c.root == root, observations.c.path == path))
            return rows.one(conn, query, lambda row: Observation(**row))

    def root_inode(self, root: str) -> tuple[bool, tuple[int, int] | None]:
        """Whether the root has a baseline, and the (st_dev, st_ino) that it was last seen with."""
        with self._read() as conn:
            return arrivals.root_inode(conn, root)

    def channels(self, adapter: str | None = None) -> Sequence[ChannelRecord]:
        """Channels as last known, by adapter and name."""
        with self._read() as conn:
            query = select(*rows.CHANNEL).order_by(channels.c.adapter, channels.c.channel)
            if adapter is not None:
                query = query.where(channels.c.adapter == rows.canonical(conn, adapter))
            return rows.every(conn, query, lambda row: ChannelRecord(**row))

    def repo(self, adapter: str) -> RepoRecord | None:
        """A repo as last known."""
        with self._read() as conn:
            query = select(*rows.REPO).where(repos.c.adapter == rows.canonical(conn, adapter))
            return rows.one(conn, query, rows.repo)

    def counts(self) -> Mapping[str, int]:
        """Versions by stage, stalled ones under ``stalled`` instead, observations by ``observed_<state>``.

        Every stage and ``stalled`` are there, with 0 where there is none; the states only where there are some.
        """
        found = {str(stage): 0 for stage in Stage} | {"stalled": 0}
        with self._read() as conn:
            line = select(versions.c.stage, versions.c.stalled, func.count()).group_by(
                versions.c.stage, versions.c.stalled
            )
            for stage, stalled, count in conn.execute(line):
                found["stalled" if stalled else stage] += count
            seen = select(observations.c.state, func.count()).group_by(observations.c.state)
            found |= {f"observed_{state}": count for state, count in conn.execute(seen)}
        return found

    def compactable(self, before: float) -> int:
        """How many versions `Registry.compact` would cut."""
        with self._read() as conn:
            return tidying.compactable(conn, before)

    def generation(self) -> int:
        """Grows with every change that the index document could show."""
        with self._read() as conn:
            return int(conn.scalar(select(meta.c.value).where(meta.c.key == "generation")) or 0)

    def generations(self) -> Mapping[str, int]:
        """The generation at which each adapter's part of the index document could last look different."""
        with self._read() as conn:
            marks = conn.execute(select(meta.c.key, meta.c.value).where(meta.c.key.startswith(SHOWN, autoescape=True)))
            return {key.removeprefix(SHOWN): value for key, value in marks}
