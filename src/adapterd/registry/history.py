"""A version's history: one line for each move, written in the transaction that makes the move."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from adapterd.core.version import Reason
from adapterd.registry.schema import events, meta

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


def changed(conn: Connection) -> None:
    """Move the generation on: the index document could look different now."""
    conn.execute(update(meta).where(meta.c.key == "generation").values(value=meta.c.value + 1))
