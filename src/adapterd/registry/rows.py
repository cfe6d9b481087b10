"""Rows to the port's values and back. The columns bear the names of the fields, so a mapping is enough."""

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any, TypeVar

from sqlalchemy import Column, Connection, RowMapping, Select, Table, func, select

from adapterd.core.version import AdapterVersion, Stage
from adapterd.ports import AdapterRecord, ChannelRecord, Event, Intent, Observation, RepoRecord, Sighting, Validation
from adapterd.registry import reports, schema

T = TypeVar("T")


def columns(table: Table, shape: type[Any]) -> tuple[Column[Any], ...]:
    """The columns of a table that make up a port's value."""
    return tuple(table.c[field.name] for field in fields(shape))


VERSION = columns(schema.versions, AdapterVersion)
OBSERVATION = columns(schema.observations, Observation)
SIGHTING = columns(schema.sightings, Sighting)
EVENT = columns(schema.events, Event)
CHANNEL = columns(schema.channels, ChannelRecord)
REPO = columns(schema.repos, RepoRecord)
ADAPTER = columns(schema.adapters, AdapterRecord)


def version(row: RowMapping) -> AdapterVersion:
    """A row of `versions`; columns beyond the value's are left out."""
    values = {column.name: row[column.name] for column in VERSION}
    return AdapterVersion(**{**values, "stage": Stage(values["stage"]), "repairs": tuple(values["repairs"])})


def repo(row: RowMapping) -> RepoRecord:
    """A row of `repos`."""
    return RepoRecord(**{**row, "paths": tuple(row["paths"])})


def validation(row: RowMapping) -> Validation:
    """A row of `reports.every`."""
    return Validation(
        version=row["version_id"],
        tree=row["tree"],
        policy=row["policy"],
        verdict=row["verdict"],
        report=reports.whole(row),
        at=row["at"],
    )


def plain(value: object) -> dict[str, Any]:
    """The fields of a port's value by name, one level deep."""
    return {field.name: getattr(value, field.name) for field in fields(value)}  # type: ignore[arg-type]  # a dataclass


def one(conn: Connection, statement: Select[Any], make: Callable[[RowMapping], T]) -> T | None:
    """The one value of a statement, or None."""
    row = conn.execute(statement).mappings().one_or_none()
    return None if row is None else make(row)


def every(conn: Connection, statement: Select[Any], make: Callable[[RowMapping], T]) -> Sequence[T]:
    """All values of a statement, in its order."""
    return [make(row) for row in conn.execute(statement).mappings()]


def canonical(conn: Connection, adapter: str) -> str:
    """The adapter's name as it was first written; names are compared case-folded."""
    table = schema.adapters
    found = conn.scalar(select(table.c.name).where(table.c.folded == adapter.casefold()))
    return adapter if found is None else str(found)


def version_by_id(conn: Connection, version_id: int) -> AdapterVersion | None:
    """One version."""
    return one(conn, select(*VERSION).where(schema.versions.c.id == version_id), version)


def intent(conn: Connection, version_id: int) -> Intent | None:
    """The stored intent of a version."""
    head = (
        conn.execute(select(schema.intents).where(schema.intents.c.version_id == version_id)).mappings().one_or_none()
    )
    if head is None:
        return None
    table = schema.intent_files
    files = conn.execute(
        select(table.c.path, table.c.data).where(table.c.version_id == version_id).order_by(table.c.path)
    )
    return Intent(
        number=head["number"],
        policy=head["policy"],
        files={path: bytes(data) for path, data in files},
        message=head["message"],
    )


def highest(conn: Connection, adapter: str) -> int:
    """The highest number that the registry knows of an adapter, reserved or published."""
    table, series = schema.versions, schema.adapters
    used = conn.scalar(select(func.max(table.c.number)).where(table.c.adapter == adapter))
    counter = conn.scalar(select(series.c.counter).where(series.c.name == adapter))
    return max(used or 0, counter or 0)
