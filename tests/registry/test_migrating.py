"""A registry of an older program is brought up to date with everything that is in it."""

import json
import sqlite3
from dataclasses import replace
from pathlib import Path

from adapterd.ports import RegistryReader
from adapterd.registry import open_reader, open_registry, prepare
from adapterd.registry.migrate import migrate
from adapterd.registry.opening import revision
from registry.conftest import Trainer


def _told(registry: RegistryReader) -> list[object]:
    """What a registry says of its versions."""
    versions = list(registry.versions())
    return [versions, *([list(registry.events(v.id)), list(registry.validations(v.id))] for v in versions)]


def test_versions_from_before_have_no_trained_losses(tmp_path: Path, trainer: Trainer) -> None:
    """Schema 0001 with versions in it becomes 0002: nothing else changed, and what comes next has its losses."""
    path, now = tmp_path / "old.db", tmp_path / "now.db"
    prepare(now)
    with open_registry(now) as registry:
        trainer.validated(registry)
        trainer.staged(registry, labels={"git": "abc"}, repairs=({"key": "x"},))
        wanted = _told(registry)
    _copy_as_first_schema(now, path)
    assert revision(path) == "0001"
    assert prepare(path)
    with open_reader(path) as reader:
        assert _told(reader) == wanted
        assert [version.trained for version in reader.versions()] == [{}, {}]
    with open_registry(path) as registry:
        assert trainer.staged(registry, trained={"loss": 1.5}).trained == {"loss": 1.5}


def _copy_as_first_schema(source: Path, target: Path) -> None:
    """Write a registry of the first schema with the rows of one of today's, whose reports lie whole there."""
    migrate(target, to="0001")
    conn = sqlite3.connect(target)
    with conn:
        conn.execute("DELETE FROM meta")
        conn.execute("ATTACH ? AS now", (str(source),))
        tables = [name for (name,) in conn.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            if table != "alembic_version":
                names = ", ".join(f'"{row[1]}"' for row in conn.execute(f"PRAGMA main.table_info({table})"))
                conn.execute(f"INSERT INTO main.{table} ({names}) SELECT {names} FROM now.{table}")  # noqa: S608 - our own names
        with open_reader(source) as reader:
            for row in (row for version in reader.versions() for row in reader.validations(version.id)):
                said = (json.dumps(row.report), row.version, row.at)
                conn.execute("UPDATE main.validations SET report = ? WHERE version_id = ? AND at = ?", said)
    conn.close()


def test_a_further_sighting_tells_the_losses_that_the_first_did_not(tmp_path: Path, trainer: Trainer) -> None:
    """What the trainer measured is filled once, and stays what it was then."""
    prepare(tmp_path / "registry.db")
    with open_registry(tmp_path / "registry.db") as registry:
        draft = trainer.draft()
        version, _ = registry.intake(draft, trainer.now)
        assert version.trained == {}
        for path, trained, kept in (("b", {"loss": 2.0}, {"loss": 2.0}), ("c", {"loss": 3.0}, {"loss": 2.0})):
            seen, new = registry.intake(replace(draft, path=path, trained=trained), trainer.now)
            assert (seen.id, seen.trained, new) == (version.id, kept, False)
