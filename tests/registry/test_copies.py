"""Copies of a registry: made while it is written, checked, put back; and what damage is told."""

import os
import shutil
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from adapterd.core.version import Stage
from adapterd.ports import RegistryBusy, RegistryError
from adapterd.registry import (
    SqlRegistry,
    backup,
    daily,
    folder_of,
    open_reader,
    open_registry,
    prepare,
    prune,
    restore,
    verify,
)
from helpers.disks import full

if TYPE_CHECKING:
    from registry.conftest import Trainer


def _tear(path: Path, at: int = 0) -> None:
    """Overwrite the last half of a page, as a write that was cut short does."""
    data = bytearray(path.read_bytes())
    page = at or len(data) // 4096 - 1
    data[page * 4096 + 2048 : (page + 1) * 4096] = os.urandom(2048)
    path.write_bytes(data)


def _filled(path: Path, trainer: "Trainer", many: int = 30) -> None:
    with open_registry(path) as registry:
        for _ in range(many):
            trainer.staged(registry, labels={"notes": "x" * 500})


def test_a_whole_registry_is_found_whole(path: Path, trainer: "Trainer") -> None:
    """Also while it is open, and with what was committed last still beside it."""
    _filled(path, trainer)
    with open_registry(path) as registry:
        trainer.staged(registry)
        verify(path)


def test_a_torn_page_is_told_with_both_ways_out(path: Path, trainer: "Trainer") -> None:
    """The message names the file and the damage, the hint a copy to put back, and the rebuild."""
    _filled(path, trainer)
    copy = folder_of(path) / "registry-2026-11-24.db"
    backup(path, copy)
    _tear(path)
    with pytest.raises(RegistryError, match="is damaged") as caught:
        verify(path)
    assert str(path) in caught.value.message
    for way in ("registry restore", "registry rebuild", str(copy)):
        assert way in caught.value.hint


def test_an_index_that_lost_a_row_is_damage(path: Path, trainer: "Trainer") -> None:
    """What a UNIQUE rule rests on is read too: without it one content could become two versions."""
    _filled(path, trainer)
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("PRAGMA writable_schema = ON")
        root = conn.execute("SELECT rootpage FROM sqlite_master WHERE name = 'ix_versions_stage_intake'").fetchone()[0]
        conn.execute("UPDATE sqlite_master SET rootpage = ? WHERE name = 'ix_events_version_id_id'", (root,))
        conn.commit()
    with pytest.raises(RegistryError, match="is damaged"):
        verify(path)


def test_a_copy_is_whole_private_and_needs_nothing_beside_it(
    sqlite: SqlRegistry, trainer: "Trainer", tmp_path: Path
) -> None:
    """It shows what was committed when it began, also what only the write-ahead log holds, whatever the umask."""
    version = trainer.published(sqlite)
    target = tmp_path / "elsewhere" / "copy.db"
    before = os.umask(0)
    try:
        size = backup(sqlite.path, target)
    finally:
        os.umask(before)
    assert [p.name for p in target.parent.iterdir()] == ["copy.db"]
    assert (target.stat().st_size, stat.S_IMODE(target.stat().st_mode)) == (size, 0o600)
    assert stat.S_IMODE(target.parent.stat().st_mode) == 0o700
    with open_reader(target) as reader:
        assert [v.commit for v in reader.versions()] == [version.commit]


def test_a_writer_goes_on_while_it_is_copied(sqlite: SqlRegistry, trainer: "Trainer", tmp_path: Path) -> None:
    """A transaction that is open neither stops the copy nor gets into it."""
    trainer.staged(sqlite)
    with sqlite._write() as conn:  # noqa: SLF001 - a transaction that stays open
        conn.exec_driver_sql("DELETE FROM sightings")
        backup(sqlite.path, tmp_path / "copy.db")
    with open_reader(tmp_path / "copy.db") as reader:
        (version,) = reader.versions()
        assert len(reader.sightings(version.id)) == 1


def test_a_damaged_registry_is_not_copied_over_a_good_copy(path: Path, trainer: "Trainer", tmp_path: Path) -> None:
    """The damage is told under the registry's own name, and what lies at the target stays."""
    _filled(path, trainer)
    target = tmp_path / "copy.db"
    backup(path, target)
    good = target.read_bytes()
    _tear(path)
    with pytest.raises(RegistryError, match="is damaged") as caught:
        backup(path, target)
    assert str(path) in caught.value.message
    assert target.read_bytes() == good
    assert not list(tmp_path.glob(".*"))


def test_a_copy_on_a_full_disk_leaves_nothing(path: Path, trainer: "Trainer", small_disk: Path) -> None:
    """It passes by itself when there is room."""
    _filled(path, trainer, 300)
    target = small_disk / "copy.db"
    with pytest.raises(RegistryBusy, match=r"full|cannot be written|No space"):
        backup(path, target)
    assert list(small_disk.iterdir()) == []


def test_a_copy_put_back_is_the_registry_and_the_damaged_one_is_kept(path: Path, trainer: "Trainer") -> None:
    """Nothing of the damaged one's write-ahead log is played into the copy."""
    with open_registry(path) as registry:
        first = trainer.published(registry)
        backup(path, folder_of(path) / "registry-2026-11-24.db")
        trainer.published(registry)
        # As a crash leaves it: the second one lies in the log only.
        for end in ("", "-wal"):
            shutil.copy(f"{path}{end}", f"{path}.crashed{end}")
    for end in ("", "-wal"):
        Path(f"{path}.crashed{end}").replace(f"{path}{end}")
    _tear(path, 3)
    (copy,) = daily(path)
    kept = restore(copy, path, "replaced")
    assert kept is not None
    assert Path(f"{kept}-wal").exists()
    with open_registry(path) as registry:
        assert [v.commit for v in registry.versions(stage=Stage.PUBLISHED)] == [first.commit]
    assert restore(copy, path, "replaced") not in (None, kept)


def test_what_is_no_whole_registry_is_not_put_back(path: Path, trainer: "Trainer", tmp_path: Path) -> None:
    """A torn copy, an empty file, another program's database and a newer program's are refused; all stays as it was."""
    _filled(path, trainer)
    before = path.read_bytes()
    torn, empty, other, newer = (tmp_path / f"{name}.db" for name in ("torn", "empty", "other", "newer"))
    for copy in (torn, newer):
        backup(path, copy)
    _tear(torn)
    empty.touch()
    for copy, statement in (
        (other, "CREATE TABLE notes (text)"),
        (newer, "UPDATE alembic_version SET version_num = '9999'"),
    ):
        with closing(sqlite3.connect(copy)) as conn, conn:
            conn.execute(statement)
    for copy, said in ((torn, "damaged"), (empty, "empty"), (other, "no registry"), (newer, "newer adapterd")):
        with pytest.raises(RegistryError, match=said):
            restore(copy, path, "replaced")
        assert path.read_bytes() == before


def test_old_daily_copies_go_and_nothing_else(path: Path) -> None:
    """The newest by date stay, and so does what has another name."""
    folder = folder_of(path)
    for day in (1, 2, 3, 10):
        backup(path, folder / f"registry-2026-11-{day:02}.db")
    backup(path, folder / "before-upgrade.db")
    assert [copy.name for copy in prune(path, 2)] == ["registry-2026-11-01.db", "registry-2026-11-02.db"]
    assert [copy.name for copy in daily(path)] == ["registry-2026-11-03.db", "registry-2026-11-10.db"]
    assert (folder / "before-upgrade.db").exists()
    assert prune(path, 0) == []


def test_a_registry_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    """What a crash left of a first start is swept away by the next one, and is never taken for a registry."""
    path = tmp_path / "registry.db"
    half = tmp_path / ".registry.db.new"
    half.write_bytes(b"half")
    assert prepare(path)
    assert not half.exists()
    open_registry(path).close()


def test_a_full_disk_at_the_start_passes(small_disk: Path) -> None:
    """A registry that cannot be made for want of room is no wrong configuration: the service is started again."""
    with full(small_disk), pytest.raises(RegistryBusy):
        prepare(small_disk / "registry.db")
    assert prepare(small_disk / "registry.db")
    assert [p.name for p in small_disk.iterdir()] == ["registry.db"]
