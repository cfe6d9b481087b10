"""A version's history: one line for each move, written in the transaction that makes the move."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.dialects.sqlite import insert as insert_or_update

from adapterd.core.version import Reason
from adapterd.registry.schema import events, meta

SHOWN = "shown:"
"""Before an adapter's name: the generation at which its part of the index could last look different."""

_WAITING = "waiting"
_LOOK_BACK = 16


def append(conn: Connection, version_id: int, at: float, kind: str, **detail: object) -> None:
    """Add a line; parts of the detail that are None or empty text are left out."""
    told = {key: value for key, value in detail.items() if value is not None and value != ""}
    note(conn, version_id, at, kind, told)


def note(conn: Connection, version_id: int, at: float, kind: str, detail: Mapping[str, Any]) -> None:
    """Add a line as it is."""
    conn.execute(insert(events).values(version_id=version_id, at=at, kind=kind, detail=dict(detail)))


def waiting(conn: Connection, version_id: int, at: float, until: float, reason: Reason) -> None:
    """Add a line for a wait. A wait for the same reason since the last move is replaced, with its count and start."""
    recent = conn.execute(
        select(events.c.id, events.c.at, events.c.kind, events.c.detail)
        .where(events.c.version_id == version_id)
        .order_by(events.c.id.desc())
        .limit(_LOOK_BACK)
    ).all()
    count, since = 1, at
    for line in recent:
        if line.kind != _WAITING:
            break
        if line.detail.get("reason") == reason.code:
            count, since = line.detail.get("count", 1) + 1, line.detail.get("since", line.at)
            conn.execute(delete(events).where(events.c.id == line.id))
            break
    append(
        conn,
        version_id,
        at,
        _WAITING,
        reason=reason.code,
        message=reason.message,
        until=until,
        count=count,
        since=since,
    )


def changed(conn: Connection, adapter: str) -> None:
    """Move the generation on: an adapter's part of the index document could look different now."""
    moved = update(meta).where(meta.c.key == "generation").values(value=meta.c.value + 1)
    generation = conn.scalar(moved.returning(meta.c.value))
    shown = insert_or_update(meta).values(key=f"{SHOWN}{adapter}", value=generation)
    conn.execute(shown.on_conflict_do_update(index_elements=["key"], set_={"value": shown.excluded.value}))
