"""The registry as the daemon has it: every method is one transaction, durable when it returns."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine

from adapterd.core.version import AdapterVersion, Reason, Stage
from adapterd.ports import (
    AdapterRecord,
    ChannelRecord,
    Claim,
    Draft,
    Intent,
    Observation,
    RepoRecord,
    Validation,
)
from adapterd.registry import arrivals, history, line, numbers, records, rows, tidying
from adapterd.registry.engine import explained
from adapterd.registry.reading import SqlReader
from adapterd.registry.touched import Place, Touched


class SqlRegistry(SqlReader):
    """`ports.Registry` over one SQLite file. Thread-safe; one process at a time, see `lock.acquire`.

    `clock` dates the lines of history that the port gives no time for: numbers that are planned or adopted.
    """

    def __init__(self, path: Path, reads: Engine, writes: Engine, clock: Callable[[], float]) -> None:
        """Keep both engines; `open_registry` makes one that is known to hold a registry."""
        super().__init__(path, reads)
        self._writes = writes
        self._clock = clock
        self._touched = Touched()

    def close(self) -> None:
        """Close every connection."""
        super().close()
        self._writes.dispose()

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        """One transaction: committed at the end of the block, undone by any exception."""
        with explained(self.path), self._writes.begin() as conn:
            before = _changes(conn)
            yield conn
            places, changed = arrivals.taken(conn), _changes(conn) - before
        self._touched.add(places, changed)

    def changes(self) -> int:
        """Grows with every row that is changed, inserted or deleted."""
        return self._touched.rows

    def observed_since(self, mark: int) -> tuple[int, frozenset[Place] | None]:
        """A mark of now, and the (root, path) of what was observed since an earlier one; None: ask for everything."""
        return self._touched.since(mark)

    # --- what comes in ---

    def baseline(self, root: str, inode: tuple[int, int] | None, seen: Sequence[Observation]) -> None:
        """Record the baseline of a root; `inode` is (st_dev, st_ino), None where it is absent."""
        with self._write() as conn:
            arrivals.set_root(conn, root, inode, baseline=True)
            arrivals.observe(conn, seen)

    def set_root_inode(self, root: str, inode: tuple[int, int]) -> None:
        """Remember which directory a root was last seen as; keeps its baseline."""
        with self._write() as conn:
            arrivals.set_root(conn, root, inode, baseline=False)

    def know_directory(self, root: str, inode: tuple[int, int]) -> None:
        """Count a directory among those that the root was, without taking it for the present one."""
        with self._write() as conn:
            arrivals.know_directory(conn, root, inode)

    def knows_directory(self, root: str, inode: tuple[int, int]) -> bool:
        """Whether the root was this directory once, so that what is new in it is new."""
        with self._read() as conn:
            return arrivals.knows_directory(conn, root, inode)

    def await_baseline(self, root: str) -> None:
        """Take what lies in the root at its next scan as its baseline, whatever `backlog` says."""
        with self._write() as conn:
            arrivals.await_baseline(conn, root)

    def awaits_baseline(self, root: str) -> bool:
        """Whether `await_baseline` was asked for, and no baseline was taken since."""
        with self._read() as conn:
            return arrivals.awaits_baseline(conn, root)

    def observe(self, seen: Iterable[Observation]) -> None:
        """Write observations; each overwrites its own row, but never the adapter name it first got."""
        with self._write() as conn:
            arrivals.observe(conn, seen)

    def bind(self, adapter: str, root: str, base: str, peft_type: str, task: str) -> AdapterRecord:
        """The series' binding; made now where there is none. Names are compared case-folded."""
        with self._write() as conn:
            return arrivals.bind(conn, AdapterRecord(adapter, root, base, peft_type, task))

    def rebind(self, adapter: str, root: str, seen: Sequence[Observation]) -> None:
        """Bind a series to another root, with its sightings; `seen` is what is known of that root's directories now."""
        with self._write() as conn:
            arrivals.rebind(conn, adapter, root)
            arrivals.observe(conn, seen)

    def intake(self, draft: Draft, at: float, *, order: int | None = None) -> tuple[AdapterVersion, bool]:
        """Make the draft a STAGED version, or a further sighting of the version that has its content (False)."""
        with self._write() as conn:
            return arrivals.intake(conn, draft, at, order)

    def restore(self, draft: Draft, number: int, commit: str, at: float, *, order: int | None = None) -> AdapterVersion:
        """Insert a version that the Hub already holds as PUBLISHED; the counter follows."""
        with self._write() as conn:
            return arrivals.restore(conn, draft, number, commit, at, order)

    # --- the line ---

    def claim(
        self,
        stage: Stage,
        owner: str,
        now: float,
        lease: float,
        horizon: float,
        *,
        prefer_base: str = "",
        prefer_final: bool = False,
    ) -> Claim | None:
        """Lease the next due version of a stage, of a preferred adapter first, then lowest intake."""
        with self._write() as conn:
            return line.claim(conn, stage, line.Terms(owner, now, lease, horizon, prefer_base, prefer_final))

    def next_due(self, stage: Stage, now: float) -> float | None:  # noqa: ARG002 - the port's; the answer may be past
        """When the next version of a stage is due or its lease runs out; None where there is none."""
        with self._read() as conn:
            return line.next_due(conn, stage)

    def reclaim(self, owner: str, stage: Stage | None = None) -> int:
        """End the leases that an owner left, of one stage or all; their fences move on. How many there were."""
        with self._write() as conn:
            return line.reclaim(conn, owner, stage)

    def extend(self, claim: Claim, until: float) -> None:
        """Renew the lease."""
        with self._write() as conn:
            line.write(conn, claim, lease_until=until)

    def release(self, claim: Claim) -> None:
        """Give the version back untouched."""
        with self._write() as conn:
            line.write(conn, claim, lease_owner=None, lease_until=0.0)

    def advance(
        self,
        claim: Claim,
        to: Stage,
        at: float,
        *,
        reason: Reason | None = None,
        validation: Validation | None = None,
        number: int | None = None,
        commit: str | None = None,
        repo: RepoRecord | None = None,
    ) -> AdapterVersion:
        """Move the version along `core.version.MOVES`, with its new facts, and end the lease."""
        facts = line.Facts(reason, validation, number, commit, repo)
        with self._write() as conn:
            return line.advance(conn, claim, to, at, facts)

    def wait(self, claim: Claim, until: float, reason: Reason, at: float, *, failed: bool) -> None:
        """Not yet; `failed` counts an attempt, otherwise attempts stay. Ends the lease."""
        with self._write() as conn:
            line.wait(conn, claim, until, reason, at, failed=failed)

    def stall(self, claim: Claim, reason: Reason, at: float) -> None:
        """A person must act. Ends the lease."""
        with self._write() as conn:
            line.stall(conn, claim, reason, at)

    def retree(
        self, claim: Claim, tree: str, base: str, repairs: Sequence[Mapping[str, Any]], at: float
    ) -> AdapterVersion:
        """Take the new tree of a STAGED version's repaired snapshot. Keeps the lease."""
        with self._write() as conn:
            return line.retree(conn, claim, tree, base, repairs, at)

    def retry(self, version_id: int, at: float, actor: str) -> AdapterVersion:
        """Set a version going again: due now, attempts 0, REJECTED and SUPERSEDED back to STAGED."""
        with self._write() as conn:
            return line.retry(conn, version_id, at, actor)

    # --- numbers ---

    def plan(self, claim: Claim, above: int, render: Callable[[int], Intent], *, anew: bool = False) -> Intent:
        """Reserve a number and store the rendered intent, in one transaction.

        `render` is called within the transaction: it must not write to the registry.
        """
        with self._write() as conn:
            return numbers.plan(conn, claim, above, render, self._clock(), anew=anew)

    def intent(self, version_id: int) -> Intent | None:
        """The stored intent."""
        with self._read() as conn:
            return rows.intent(conn, version_id)

    def adopt(self, claim: Claim, number: int) -> None:
        """Take over a number that the Hub already shows for this identity; Conflict where another version has it."""
        with self._write() as conn:
            numbers.adopt(conn, claim, number, self._clock())

    def count_from(self, adapter: str, number: int) -> None:
        """Never give a number up to this one to a version of the adapter."""
        with self._write() as conn:
            arrivals.raise_counter(conn, arrivals.ensure_adapter(conn, adapter), number)

    # --- what was last known ---

    def save_repo(self, record: RepoRecord) -> None:
        """Remember what was seen of a repo."""
        with self._write() as conn:
            records.save_repo(conn, record)

    def save_channel(self, record: ChannelRecord) -> None:
        """Remember what was seen or done to a channel."""
        with self._write() as conn:
            records.save_channel(conn, record, self._clock())

    def note(self, version_id: int, kind: str, detail: Mapping[str, Any], at: float) -> None:
        """Append a line to a version's history."""
        with self._write() as conn:
            history.note(conn, version_id, at, kind, detail)

    def report(self, validation: Validation) -> None:
        """Record that a published version was validated again; stage, number and commit stay."""
        with self._write() as conn:
            line.report(conn, validation)

    # --- what goes ---

    def erase(self, version_id: int, reason: Reason, at: float, actor: str) -> AdapterVersion:
        """Take a version that is not published off the line for good; Conflict while a lane has it in hand."""
        with self._write() as conn:
            return tidying.erase(conn, version_id, reason, at, actor)

    def compact(self, before: float, most: int = 100) -> int:
        """Cut histories and reports of some versions that were done before; how many versions."""
        with self._write() as conn:
            return tidying.compact(conn, before, most)

    def forget(self, root: str, paths: Collection[str], before: float) -> int:
        """Drop observations of directories that are gone, and did not change since; how many."""
        with self._write() as conn:
            return tidying.forget(conn, root, paths, before)

    def shrink(self) -> int:
        """Give pages that are not used any more back to the file system; how many bytes."""
        with self._write() as conn:
            return tidying.shrink(conn)


def _changes(conn: Connection) -> int:
    """How many rows the connection has changed since it was opened (sqlite3_total_changes)."""
    raw = conn.connection.dbapi_connection
    return int(raw.total_changes) if raw is not None else 0
