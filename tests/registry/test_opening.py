"""Opening a registry, and what its errors say."""

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from adapterd.core.version import Stage
from adapterd.ports import Intent, RegistryBusy, RegistryError, Transient
from adapterd.registry import SqlRegistry, acquire, engine, open_reader, open_registry, prepare
from adapterd.registry.migrate import main
from adapterd.registry.schema import REVISIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from registry.conftest import Trainer

OPENERS: "list[Callable[[Path], object]]" = [open_reader, open_registry]
both = pytest.mark.parametrize("opener", OPENERS, ids=lambda opener: opener.__name__)


def _refused(opener: "Callable[[Path], object]", path: Path, what: str) -> RegistryError:
    """The error of opening, which names the file and gives a hint."""
    with pytest.raises(RegistryError, match=what) as caught:
        opener(path)
    assert str(path) in caught.value.message
    assert caught.value.hint
    return caught.value


def _schema(path: Path, statement: str) -> None:
    conn = sqlite3.connect(path)
    with conn:
        conn.execute(statement)
    conn.close()


@both
def test_missing(opener: "Callable[[Path], object]", tmp_path: Path) -> None:
    """A registry that is missing is told, and not made."""
    _refused(opener, tmp_path / "none.db", "there is no registry")
    assert list(tmp_path.iterdir()) == []


@both
def test_not_a_database(opener: "Callable[[Path], object]", tmp_path: Path) -> None:
    """A file that is no database is told, and left as it is."""
    path = tmp_path / "notes.txt"
    path.write_text("to do: buy milk\n" * 100)
    error = _refused(opener, path, "is not a database")
    assert "registry rebuild" in error.hint
    with pytest.raises(RegistryError, match="is not a database"):
        prepare(path)
    assert path.read_text() == "to do: buy milk\n" * 100


@both
def test_somebody_elses_database(opener: "Callable[[Path], object]", tmp_path: Path) -> None:
    """Another program's database is told, and left as it is."""
    path = tmp_path / "other.db"
    _schema(path, "CREATE TABLE notes (text)")
    _refused(opener, path, "no registry of adapterd")
    before = path.read_bytes()
    with pytest.raises(RegistryError, match="no registry of adapterd"):
        prepare(path)
    assert path.read_bytes() == before


@both
def test_newer(opener: "Callable[[Path], object]", path: Path) -> None:
    """A registry that a newer program wrote asks for an upgrade, also where it would be prepared."""
    _schema(path, "UPDATE alembic_version SET version_num = '9999'")
    error = _refused(opener, path, "was written by a newer adapterd")
    assert "upgrade" in error.hint
    with pytest.raises(RegistryError, match="was written by a newer adapterd"):
        prepare(path)


def test_empty(tmp_path: Path) -> None:
    """An empty file is an older schema than any; preparing makes a registry of it."""
    path = tmp_path / "registry.db"
    path.touch()
    for opener in OPENERS:
        _refused(opener, path, "has an older schema")
    assert prepare(path)
    open_registry(path).close()


@both
def test_damaged(opener: "Callable[[Path], object]", path: Path) -> None:
    """A registry whose first pages were overwritten is told as damaged, with the way to rebuild it."""
    data = bytearray(path.read_bytes())
    data[100:8192] = b"\xff" * (8192 - 100)
    path.write_bytes(data)
    error = _refused(opener, path, "damaged|not a database")
    assert "registry rebuild" in error.hint


@both
def test_folder_in_its_place(opener: "Callable[[Path], object]", tmp_path: Path) -> None:
    """A folder where the registry should be is told."""
    _refused(opener, tmp_path, "cannot be opened|cannot be read")


def test_prepare_makes_a_registry(tmp_path: Path) -> None:
    """Preparing makes folder and file for the owner alone; doing it again does nothing."""
    path = tmp_path / "state" / "registry.db"
    assert prepare(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert not prepare(path)
    with open_registry(path) as registry, open_reader(path) as reader:
        assert registry.generation() == reader.generation() == 0


def test_prepare_where_nothing_may_be_written(tmp_path: Path) -> None:
    """A registry that cannot be made is told with its reason."""
    in_the_way = tmp_path / "file"
    in_the_way.touch()
    with pytest.raises(RegistryError, match="cannot be made") as caught:
        prepare(in_the_way / "registry.db")
    assert caught.value.hint


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [(None, 0, f"went from schema none to {REVISIONS[-1]}"), (b"no database" * 100, 78, "is not a database")],
)
def test_migration_says_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, code: int, said: str
) -> None:
    """The migration prints one line, and its exit code tells configuration from success."""
    path = tmp_path / "registry.db"
    if content is not None:
        path.write_bytes(content)
    assert main([str(path)]) == code
    out, err = capsys.readouterr()
    assert said in out
    assert (out.count("\n"), err) == (1, "")


def test_migration_again(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A migration of what is up to date changes nothing, and says so."""
    assert main([str(path)]) == 0
    assert "is up to date" in capsys.readouterr().out


def test_migration_needs_a_path(capsys: pytest.CaptureFixture[str]) -> None:
    """The migration without a path says how it is used."""
    assert main([]) == 2
    assert "usage" in capsys.readouterr().err


def test_alembic_stays_out(path: Path) -> None:
    """Preparing, opening and using a registry loads neither Alembic nor SQLAlchemy's ORM."""
    code = (
        "import sys; from adapterd.registry import *; prepare(sys.argv[1]);"
        "r = open_registry(sys.argv[1]); r.observe([]); r.counts(); r.close();"
        "print([m for m in ('alembic', 'mako', 'sqlalchemy.orm', 'torch') if m in sys.modules])"
    )
    command = [sys.executable, "-c", code, str(path)]
    assert subprocess.check_output(command, text=True) == "[]\n"


def test_file_name_with_signs(template: Path, tmp_path: Path) -> None:
    """The registry may lie under any name, also one that a URI would read as something else."""
    path = tmp_path / "a?mode=memory#%20 ü.db"
    shutil.copy(template, path)
    with open_registry(path) as registry:
        assert registry.path == path


def test_reader_writes_nothing(path: Path) -> None:
    """A reader sees what the writer committed, and its connection cannot write."""
    with open_registry(path) as registry, open_reader(path) as reader:
        registry.set_root_inode("/train", (1, 2))
        assert not hasattr(reader, "observe")
        with reader._read() as conn, pytest.raises(Exception, match="readonly"):  # noqa: SLF001 - the only way to try
            conn.exec_driver_sql("DELETE FROM roots")
        assert registry.root_inode("/train") == (False, (1, 2))


def test_full_disk(sqlite: SqlRegistry, trainer: "Trainer") -> None:
    """A full disk is transient, names the registry, undoes the write, and passes by itself."""
    with sqlite._write() as conn:  # noqa: SLF001 - SQLite's own limit stands for the disk's
        pages = conn.exec_driver_sql("PRAGMA page_count").scalar()
        conn.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    many = [trainer.observation(f"run-{n}", message="x" * 500) for n in range(200)]
    with pytest.raises(Transient, match=r"cannot grow: the disk is full.*full") as caught:
        sqlite.observe(many)
    assert str(sqlite.path) in caught.value.message
    assert list(sqlite.observations()) == []
    with sqlite._write() as conn:  # noqa: SLF001 - the same
        conn.exec_driver_sql("PRAGMA max_page_count = 4294967294")
    sqlite.observe(many)
    assert len(sqlite.observations()) == 200


def test_read_only_file(path: Path, trainer: "Trainer") -> None:
    """A registry on which nothing may be written says so."""
    # Root may write whatever the mode says, so the connection is told instead.
    with open_registry(path) as registry:
        with registry._write() as conn:  # noqa: SLF001 - the only way that works for root
            conn.exec_driver_sql("PRAGMA query_only = ON")
        with pytest.raises(RegistryError, match="is read-only") as caught:
            registry.observe([trainer.observation()])
        assert "write" in caught.value.hint


def test_busy(path: Path, trainer: "Trainer") -> None:
    """A write lock that another program keeps is transient; a reader does not notice it."""
    shell = sqlite3.connect(path, isolation_level=None)
    with open_registry(path, patience=0.01) as registry:
        shell.execute("BEGIN IMMEDIATE")
        with pytest.raises(Transient, match="locked by another program"):
            registry.observe([trainer.observation()])
        assert list(registry.observations()) == []
        shell.execute("ROLLBACK")
        registry.observe([trainer.observation()])
    shell.close()


def test_write_lock_from_the_start(sqlite: SqlRegistry, trainer: "Trainer") -> None:
    """A transaction has the write lock before it reads, so that no other program can come in between."""
    trainer.validated(sqlite)
    claim = trainer.claim(sqlite, Stage.VALIDATED)
    shell = sqlite3.connect(sqlite.path, isolation_level=None, timeout=0)

    def render(number: int) -> Intent:
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            shell.execute("BEGIN IMMEDIATE")
        return trainer.intent(number)

    assert sqlite.plan(claim, 0, render).number == 1
    shell.close()


def test_locked_when_opened(path: Path) -> None:
    """A registry that another program has locked for writing is not opened."""
    shell = sqlite3.connect(path, isolation_level=None)
    shell.execute("BEGIN IMMEDIATE")
    with pytest.raises(RegistryError, match="locked by another program") as caught:
        open_registry(path, patience=0.01)
    assert caught.value.hint
    shell.close()


def test_lock(tmp_path: Path) -> None:
    """The writer's lock is had by one at a time, and tells the other who has it."""
    path = tmp_path / "state" / "registry.db"
    with acquire(path):
        with pytest.raises(RegistryError, match=rf"another adapterd \(pid {os.getpid()}\)") as caught:
            acquire(path)
        assert caught.value.hint
    lock = acquire(path)
    lock.release()
    lock.release()
    acquire(str(path)).release()


def test_lock_of_another_process(tmp_path: Path) -> None:
    """A lock that another process holds names that process, and ends with it."""
    path = tmp_path / "registry.db"
    code = (
        "import sys; from adapterd.registry import acquire;"
        "lock = acquire(sys.argv[1]); print('held', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(RegistryError, match=rf"\(pid {holder.pid}\) writes this registry"):
            acquire(path)
        holder.kill()
    acquire(path).release()


def test_lock_that_cannot_be_made(tmp_path: Path) -> None:
    """A folder where no lock can be made is told."""
    (tmp_path / "registry.db.lock").mkdir()
    with pytest.raises(RegistryError, match="cannot be made"):
        acquire(tmp_path / "registry.db")


def test_a_database_is_gathered_into_one_file(path: Path) -> None:
    """What lies in its companion only, since closing it failed, goes into it before it is renamed."""
    torn = path.with_name("torn.db")
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        conn.execute("PRAGMA journal_mode = WAL")
        conn.execute("CREATE TABLE t AS SELECT 7 AS n")
        for end in ("", "-wal"):
            shutil.copyfile(f"{path}{end}", f"{torn}{end}")
        with pytest.raises(RegistryBusy, match="locked"):
            engine.gather(path)
    engine.gather(torn)
    assert [each.name for each in torn.parent.glob("torn.db*")] == ["torn.db"]
    with closing(sqlite3.connect(torn)) as conn:
        assert conn.execute("SELECT n FROM t").fetchall() == [(7,)]
