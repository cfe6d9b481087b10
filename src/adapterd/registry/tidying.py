"""What the registry lets go of: passing lines of history, long reports, forgotten directories; and its unused pages."""

from collections.abc import Collection

from sqlalchemy import (
    ColumnElement,
    Connection,
    Text,
    and_,
    delete,
    exists,
    func,
    or_,
    select,
    type_coerce,
    update,
)

from adapterd.core.retention import CUT, PASSING, STANDING, cut
from adapterd.core.version import LIVE, AdapterVersion, Reason, Stage
from adapterd.ports import Conflict, NotFound
from adapterd.registry import arrivals, history, reports, rows
from adapterd.registry.schema import events, intents, observations, validations, versions

_MARK = f'%"{CUT}":true%'
_MOST_PAGES = 25_000
"""Pages that are given back at a time; the rest at the next."""
_AT_ONCE = 500
"""Paths in one statement; SQLite takes 999 parameters everywhere."""


def erase(conn: Connection, version_id: int, reason: Reason, at: float, actor: str) -> AdapterVersion:
    """Take a version that is not published off the line for good; a published one keeps its row as it is.

    Conflict while a lane has it in hand.
    """
    was = rows.version_by_id(conn, version_id)
    if was is None:
        raise NotFound(f"the registry has no version in row {version_id}", "see `adapterd list`")
    told = conn.scalar(select(exists().where(events.c.version_id == version_id, events.c.kind == "erased")))
    if was.stage is not Stage.PUBLISHED and (was.stage, was.reason) != (Stage.REJECTED, reason.code):
        if was.lease_until > at:
            raise Conflict(f"{was.label} is in hand just now", "the same again when that is done")
        values = {**arrivals.AT_ONCE, "reason": reason.code, "message": reason.message, "hint": reason.hint}
        own = versions.c
        moved = update(versions).where(own.id == version_id)
        conn.execute(moved.values(**values, stage=Stage.REJECTED, fence=own.fence + 1, due_at=at, updated_at=at))
        conn.execute(delete(intents).where(intents.c.version_id == version_id))
    if not told:
        history.append(conn, version_id, at, "erased", actor=actor, was=was.stage, message=reason.message)
        history.changed(conn, was.adapter)
    return rows.version(conn.execute(select(*rows.VERSION).where(versions.c.id == version_id)).mappings().one())


def compactable(conn: Connection, before: float) -> int:
    """How many versions have something to cut."""
    return int(conn.scalar(select(func.count()).select_from(versions).where(_wordy(before))) or 0)


def compact(conn: Connection, before: float, most: int) -> int:
    """Cut histories and reports of some versions that were done before; how many versions."""
    ids = list(conn.scalars(select(versions.c.id).where(_wordy(before)).order_by(versions.c.id).limit(most)))
    if not ids:
        return 0
    conn.execute(delete(events).where(events.c.version_id.in_(ids), events.c.kind.in_(PASSING)))
    query = reports.every().where(validations.c.version_id.in_(ids), _long()).order_by(validations.c.id)
    if long := [{**row, "report": cut(reports.whole(row))} for row in conn.execute(query).mappings()]:
        # Deleted and written anew: a row that only shrinks in its place leaves its page to itself for ever.
        conn.execute(delete(validations).where(validations.c.id.in_([row["id"] for row in long])))
        reports.write(conn, ({column.name: row[column.name] for column in validations.c} for row in long))
    published = select(versions.c.id).where(versions.c.id.in_(ids), versions.c.stage == Stage.PUBLISHED)
    conn.execute(delete(intents).where(intents.c.version_id.in_(published)))
    return len(ids)


def forget(conn: Connection, root: str, paths: Collection[str], before: float) -> int:
    """Drop observations that did not change since; baselines and what is on its way stay. How many."""
    own, dropped, rest = observations.c, 0, sorted(paths)
    while rest:
        batch, rest = rest[:_AT_ONCE], rest[_AT_ONCE:]
        old = and_(own.changed_at < before, own.state.not_in(STANDING))
        dropped += conn.execute(delete(observations).where(own.root == root, own.path.in_(batch), old)).rowcount
        arrivals.wrote(conn, ((root, path) for path in batch))
    return dropped


def shrink(conn: Connection) -> int:
    """Give unused pages back to the file system; how many bytes.

    A file that was made before this was thought of keeps its pages, and uses them again.
    """
    reports.tidy(conn)
    size = int(conn.exec_driver_sql("PRAGMA page_size").scalar_one())
    unused = int(conn.exec_driver_sql("PRAGMA freelist_count").scalar_one())
    if (raw := conn.connection.driver_connection) is not None:
        for _ in range(min(unused, _MOST_PAGES)):
            raw.execute("PRAGMA incremental_vacuum")  # a page each time: Python's driver takes one step of it
    return size * (unused - int(conn.exec_driver_sql("PRAGMA freelist_count").scalar_one()))


def _wordy(before: float) -> ColumnElement[bool]:
    """Whether a version is done, long enough, and still has something to cut."""
    own = versions.c
    return and_(
        own.stage.not_in(LIVE),
        own.updated_at < before,
        or_(
            exists().where(events.c.version_id == own.id, events.c.kind.in_(PASSING)),
            exists().where(validations.c.version_id == own.id, _long()),
            and_(own.stage == Stage.PUBLISHED, exists().where(intents.c.version_id == own.id)),
        ),
    )


def _long() -> ColumnElement[bool]:
    return type_coerce(validations.c.report, Text).not_like(_MARK)
