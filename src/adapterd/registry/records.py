"""What was last known of repos and channels. The generation moves on only with what the index could show."""

from sqlalchemy import Connection, select
from sqlalchemy.dialects.sqlite import insert

from adapterd.core.rules import ENTERED, LEFT
from adapterd.ports import ChannelRecord, RepoRecord
from adapterd.registry import arrivals, history, rows
from adapterd.registry.schema import channels, repos, versions

_SHOWN_OF_REPO = ("standing", "private")
_SHOWN_OF_CHANNEL = ("number", "commit", "highest", "reason", "stalled")


def save_repo(conn: Connection, record: RepoRecord) -> None:
    """Remember what was seen of a repo."""
    values = {**rows.plain(record), "adapter": arrivals.ensure_adapter(conn, record.adapter)}
    query = select(*rows.REPO).where(repos.c.adapter == values["adapter"])
    before = rows.plain(rows.one(conn, query, rows.repo) or RepoRecord(record.adapter))
    conn.execute(insert(repos).values(**values).on_conflict_do_update(index_elements=["adapter"], set_=values))
    if any(before[name] != values[name] for name in _SHOWN_OF_REPO):
        history.changed(conn, values["adapter"])


def save_channel(conn: Connection, record: ChannelRecord, at: float) -> None:
    """Remember what was seen or done to a channel; histories of versions tell which one it holds from then on."""
    values = {**rows.plain(record), "adapter": arrivals.ensure_adapter(conn, record.adapter)}
    query = select(*rows.CHANNEL).where(channels.c.adapter == values["adapter"], channels.c.channel == record.channel)
    before = rows.one(conn, query, dict)
    new = insert(channels).values(**values)
    conn.execute(new.on_conflict_do_update(index_elements=["adapter", "channel"], set_=values))
    if before is None or any(before[name] != values[name] for name in _SHOWN_OF_CHANNEL):
        history.changed(conn, values["adapter"])
    was = before["number"] if before is not None else None
    if was != record.number:
        _told(conn, values["adapter"], was, at, LEFT, channel=record.channel, to=record.number)
        _told(conn, values["adapter"], record.number, at, ENTERED, channel=record.channel)


def _told(conn: Connection, adapter: str, number: int | None, at: float, kind: str, **detail: object) -> None:
    """Add a line to the history of a version by its number; another publisher's has none here."""
    row = conn.scalar(select(versions.c.id).where(versions.c.adapter == adapter, versions.c.number == number))
    if number is not None and row is not None:
        history.append(conn, row, at, kind, **detail)
