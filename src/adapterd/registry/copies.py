"""Copies of a registry by SQLite's own means: made while it is written to, checked, and put back.

A file system's copy of a database in use is torn: what was committed last lies in the file beside it (`-wal`).
"""

import os
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from adapterd.durable import sync
from adapterd.ports import RegistryError
from adapterd.registry import engine
from adapterd.registry.opening import revision

FOLDER = "backups"
"""Beside the registry."""

COMPANIONS = ("", "-wal", "-shm", "-journal")
"""What belongs to a database file. A `-wal` that is left behind is played into whatever file takes its place."""

_DAILY = re.compile(r"registry-\d{4}-\d{2}-\d{2}\.db")


def verify(path: Path, *, newest: bool = True) -> None:
    """Read every page and every index of a database; RegistryError says where it is damaged, and both ways out.

    `newest` names the newest daily copy in the hint.
    """
    copy = next(reversed(daily(path)), None) if newest else None
    hint = f"{engine.REBUILD}; the newest copy is {copy}" if copy else engine.REBUILD
    try:
        with explained(path), closing(_reader(path)) as conn:
            said = [str(row[0]) for row in conn.execute("PRAGMA integrity_check(3)")]
    except RegistryError as error:
        # Some damage keeps even the check from being made.
        if error.hint == engine.REBUILD:
            raise RegistryError(error.message, hint) from error
        raise
    if said != ["ok"]:
        raise RegistryError(f"the registry {path} is damaged: {'; '.join(said).replace(chr(10), ' ')}", hint)


def backup(path: Path, target: Path) -> int:
    """Copy a registry to a file that is whole, checked and durable when it appears; its size in bytes.

    The writer goes on meanwhile: the copy shows what was committed when it began. RegistryError where the registry is
    damaged, RegistryBusy where the copy cannot be written now; neither leaves anything at `target`.
    """
    aside = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        remove(aside)
        os.close(os.open(aside, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        with explained(path), closing(_reader(path)) as source, closing(_plain(aside)) as copy:
            source.backup(copy)
            # One file that needs no companions, also on a medium where none can be made.
            copy.execute("PRAGMA journal_mode = DELETE")
        verify(aside, newest=False)
        sync(aside)
        aside.replace(target)
        sync(target.parent)
        return target.stat().st_size
    except OSError as error:
        raise engine.unwritable(target, error) from error
    except RegistryError as error:
        # The person knows the registry by its own name.
        raise type(error)(error.message.replace(str(aside), f"{path} (as copied)"), error.hint) from error
    finally:
        with suppress(OSError):
            remove(aside)


def restore(copy: Path, path: Path, mark: str) -> Path | None:
    """Put a copy in a registry's place; where the present one was put, None where there was none.

    The caller holds `acquire(path)`. What is there, whole or not, is kept under a name with `mark`; nothing of it
    stays beside the copy. A crash leaves the old one, none, or the new one, and it can be done again.
    """
    verify(copy, newest=False)
    if revision(copy) is None:
        raise RegistryError(f"{copy} is empty", f"name another copy: {_named(daily(path))}")
    aside = path.with_name(f".{path.name}.part")
    try:
        remove(aside)
        shutil.copyfile(copy, aside)
        return install(aside, path, mark)
    except OSError as error:
        raise engine.unwritable(path, error) from error
    finally:
        with suppress(OSError):
            remove(aside)


def install(fresh: Path, path: Path, mark: str) -> Path | None:
    """Let a database that is closed and whole be the registry; where the present one was put, as for `restore`."""
    fresh.chmod(0o600)
    engine.gather(fresh)
    kept = put_aside(path, mark)
    fresh.replace(path)
    sync(path.parent)
    return kept


def put_aside(path: Path, mark: str) -> Path | None:
    """Rename a database and its companions; the new name, None where there is none. Nothing is ever removed."""
    kept = path.with_name(f"{path.name}.{mark}")
    number = 1
    while any(Path(f"{kept}{end}").exists() for end in COMPANIONS):
        number += 1
        kept = path.with_name(f"{path.name}.{mark}-{number}")
    there = [end for end in COMPANIONS if Path(f"{path}{end}").exists()]
    # The database first: after a crash it is missing, which a start refuses, and not an older state of itself.
    for end in there:
        Path(f"{path}{end}").rename(f"{kept}{end}")
    return kept if there else None


def remove(path: Path) -> None:
    """Remove a database that nobody needs, with its companions."""
    for end in COMPANIONS:
        Path(f"{path}{end}").unlink(missing_ok=True)


def folder_of(path: Path) -> Path:
    """Where the daily copies of a registry lie."""
    return path.with_name(FOLDER)


def daily(path: Path) -> list[Path]:
    """The daily copies of a registry, oldest first."""
    with suppress(OSError):
        return sorted(found for found in folder_of(path).iterdir() if _DAILY.fullmatch(found.name))
    return []


def prune(path: Path, keep: int) -> list[Path]:
    """Remove all but the newest daily copies; those that went."""
    old = daily(path)[:-keep] if keep else []
    for copy in old:
        copy.unlink(missing_ok=True)
    return old


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn SQLite's errors about a file into the port's."""
    try:
        yield
    except sqlite3.Error as error:
        known = engine.explain(path, error)
        if known is None:
            raise
        raise known from error


def _reader(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=engine.PATIENCE)


def _plain(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None)


def _named(copies: list[Path]) -> str:
    return str(copies[-1]) if copies else "there is none in its folder `backups`"
