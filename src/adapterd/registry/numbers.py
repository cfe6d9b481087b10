"""Numbers and intents: what publish is about to do is durable, with the number it is for, before it does it."""

from collections.abc import Callable

from sqlalchemy import Connection, delete, insert

from adapterd.core.version import Stage
from adapterd.ports import Claim, Intent
from adapterd.registry import arrivals, history, line, rows
from adapterd.registry.schema import intent_files, intents


def plan(
    conn: Connection, held: Claim, above: int, render: Callable[[int], Intent], at: float, *, anew: bool
) -> Intent:
    """The stored intent; or a number above all that are known, and the intent that `render` makes for it."""
    version = line.holding(conn, held)
    if version.stage is not Stage.VALIDATED:
        raise ValueError(f"only a validated version gets a number, not a {version.stage} one")
    stored = rows.intent(conn, version.id)
    if stored is not None and not anew:
        return stored
    number = max(above, rows.highest(conn, version.adapter)) + 1
    fresh = render(number)
    if fresh.number != number:
        raise ValueError(f"the intent rendered for number {number} says {fresh.number}")
    _store(conn, version.id, fresh)
    line.write(conn, held, number=number, updated_at=at)
    arrivals.raise_counter(conn, version.adapter, number)
    kind = "planned" if version.number is None else "renumbered"
    history.append(conn, version.id, at, kind, number=number, was=version.number, policy=fresh.policy)
    return fresh


def adopt(conn: Connection, held: Claim, number: int, at: float) -> None:
    """Take over the Hub's number. An intent for another number is void: what the Hub holds is final."""
    version = line.holding(conn, held)
    arrivals.refuse_taken(conn, version.adapter, number, version.id)
    arrivals.raise_counter(conn, version.adapter, number)
    if version.number == number:
        return
    _drop(conn, version.id, unless=number)
    line.write(conn, held, number=number, updated_at=at)
    history.append(conn, version.id, at, "adopted", number=number, was=version.number)


def _store(conn: Connection, version_id: int, intent: Intent) -> None:
    _drop(conn, version_id)
    conn.execute(
        insert(intents).values(
            version_id=version_id, number=intent.number, policy=intent.policy, message=intent.message
        )
    )
    files = [{"version_id": version_id, "path": path, "data": data} for path, data in intent.files.items()]
    if files:
        conn.execute(insert(intent_files), files)


def _drop(conn: Connection, version_id: int, *, unless: int | None = None) -> None:
    keep = intents.c.number.is_not_distinct_from(unless)
    conn.execute(delete(intents).where(intents.c.version_id == version_id, ~keep))
