"""The schema: what the migrations make is what the program means, and the database itself refuses wrong rows."""

import re
import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from adapterd.core.version import Stage
from adapterd.registry.schema import METADATA, REVISIONS, versions

GOOD = {
    "id": 1,
    "adapter": "acme/support",
    "identity": "1" * 64,
    "tree": "2" * 64,
    "intake": 1,
    "stage": "staged",
    "base": "",
    "run": "",
    "final": 0,
    "labels": "{}",
    "repairs": "[]",
    "due_at": 0.0,
    "attempts": 0,
    "lease_until": 0.0,
    "fence": 0,
    "reason": "",
    "message": "",
    "hint": "",
    "stalled": 0,
    "created_at": 0.0,
    "updated_at": 0.0,
}


def _tables(conn: sqlite3.Connection) -> dict[str, str]:
    """Every table and index by name, as SQL without its spacing."""
    found = conn.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name <> 'alembic_version'")
    return {name: re.sub(r"\s+", " ", sql) for name, sql in found}


def test_migrations_make_the_tables(path: Path) -> None:
    """What the migrations make differs in nothing from the tables that the program knows."""
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as conn:
        assert compare_metadata(MigrationContext.configure(conn, opts={"compare_type": True}), METADATA) == []
    engine.dispose()


def test_migrations_make_the_rules(path: Path, tmp_path: Path) -> None:
    """Constraints and partial indexes are the same too: both ways give the same SQL, line for line."""
    engine = create_engine(f"sqlite:///{tmp_path / 'direct.db'}")
    METADATA.create_all(engine)
    engine.dispose()
    wanted, made = sqlite3.connect(tmp_path / "direct.db"), sqlite3.connect(path)
    try:
        assert {name: _parts(sql) for name, sql in _tables(made).items()} == {
            name: _parts(sql) for name, sql in _tables(wanted).items()
        }
    finally:
        wanted.close()
        made.close()


def _parts(sql: str) -> list[str]:
    """A statement's columns and constraints, whose order means nothing."""
    return sorted(part.strip(" )") for part in re.split(r", (?=[a-z\"]+ [A-Z]|CONSTRAINT)", sql))


def test_program_knows_its_revisions() -> None:
    """The revisions that the program knows are those that there are migrations for, in their order."""
    config = Config()
    config.set_main_option("script_location", "adapterd.registry:migrations")
    walked = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert tuple(reversed(walked)) == REVISIONS


@pytest.fixture
def conn(path: Path) -> sqlite3.Connection:
    """A bare connection, as a database shell would have it, with an adapter in place."""
    conn = sqlite3.connect(path)
    conn.execute("PRAGMA foreign_keys = ON")
    conn.execute("INSERT INTO adapters VALUES ('acme/support', 'acme/support', '', '', '', '', 0)")
    return conn


def _insert(conn: sqlite3.Connection, **changes: object) -> None:
    row = {**GOOD, **changes}
    names = ", ".join(f'"{name}"' for name in row)
    conn.execute(f"INSERT INTO versions ({names}) VALUES ({', '.join('?' * len(row))})", list(row.values()))  # noqa: S608 - our own names


@pytest.mark.parametrize(
    "wrong",
    [
        {"stage": "lost"},
        {"stage": "published"},
        {"stage": "published", "number": 1},
        {"stage": "published", "commit": "c" * 40},
        {"commit": "c" * 40},
        {"number": 0},
        {"stalled": 1},
        {"stalled": 1, "reason": "denied", "stage": "rejected"},
        {"lease_until": 5.0},
        {"adapter": "acme/unknown"},
        {"labels": None},
    ],
    ids=str,
)
def test_rows_that_cannot_be(conn: sqlite3.Connection, wrong: dict[str, object]) -> None:
    """The database refuses a version whose facts contradict each other."""
    with conn, pytest.raises(sqlite3.IntegrityError):
        _insert(conn, **wrong)
    conn.close()


@pytest.mark.parametrize("same", ["identity", "number", "intake"])
def test_rows_that_cannot_be_twice(conn: sqlite3.Connection, same: str) -> None:
    """The database refuses an identity or a number twice within an adapter, and an intake number twice at all."""
    first = {"number": 1, "identity": "a" * 64, "intake": 1}
    second = {"id": 2, "number": 2, "identity": "b" * 64, "intake": 2}
    _insert(conn, **first)
    with conn, pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
        _insert(conn, **{**second, same: first[same]})
    _insert(conn, **second)
    conn.close()


def test_every_stage_can_be_written() -> None:
    """The rule about stages names exactly those of the state machine."""
    rule = next(str(c.sqltext) for c in versions.constraints if c.name == "ck_versions_stage")  # type: ignore[attr-defined]  # a CHECK
    assert set(re.findall(r"'(\w+)'", rule)) == {str(stage) for stage in Stage}
