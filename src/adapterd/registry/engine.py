"""How the registry's SQLite file is opened, and what SQLite's errors mean to the rest of the program.

One writer: every write is a `BEGIN IMMEDIATE`, because a deferred transaction that reads and then writes fails under
contention whatever `busy_timeout` says. Its pool holds one connection, so threads queue here and not in SQLite's
polling. Readers see the last commit, take no lock that a writer waits for, and cannot write.
"""

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, QueuePool, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from adapterd.durable import sync
from adapterd.ports import RegistryBusy, RegistryError

PATIENCE = 10.0
"""Seconds to wait for a lock that another program has on the file."""
_QUEUE_SECONDS = 60.0

# FULL and not NORMAL: a power cut must not forget "published".
_WRITER = ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", "PRAGMA foreign_keys = ON")
_SMALL = "PRAGMA cache_size = -1024"

_OPENED = "let the user of adapterd read and write the file and its folder"
REBUILD = (
    "`adapterd registry restore FILE` puts a backup back, `adapterd registry rebuild` makes it anew from the Hub; first"
    " see whether `registry` names the right file"
)
_MEANINGS: dict[int, tuple[type[RegistryError], str, str]] = {
    sqlite3.SQLITE_FULL: (
        RegistryBusy,
        "cannot grow: the disk is full",
        "make room on its file system; nothing is lost, and it goes on by itself",
    ),
    sqlite3.SQLITE_BUSY: (
        RegistryBusy,
        "is locked by another program",
        "end whatever has it open for writing (a database shell, a backup); it goes on by itself",
    ),
    sqlite3.SQLITE_IOERR: (
        RegistryBusy,
        "cannot be read or written",
        "look for disk errors in the kernel's log; it goes on by itself when they are gone",
    ),
    sqlite3.SQLITE_NOTADB: (RegistryError, "is not a database", REBUILD),
    sqlite3.SQLITE_CORRUPT: (RegistryError, "is damaged", REBUILD),
    sqlite3.SQLITE_READONLY: (RegistryError, "is read-only", _OPENED),
    sqlite3.SQLITE_PERM: (RegistryError, "may not be opened", _OPENED),
    sqlite3.SQLITE_CANTOPEN: (RegistryError, "cannot be opened", _OPENED),
}


def writer(path: Path, *, create: bool = False, patience: float = PATIENCE) -> Engine:
    """The engine of the one writer; `create` makes the file where there is none."""
    mode = "rwc" if create else "rw"
    # Only a file without a page takes it: what is deleted later can then be given back.
    first = ("PRAGMA auto_vacuum = INCREMENTAL",) if create else ()
    return _engine(path, mode, (*first, *_WRITER, _SMALL), begin="BEGIN IMMEDIATE", pool=1, patience=patience)


def reader(path: Path) -> Engine:
    """An engine that only reads."""
    return _engine(path, "ro", (_SMALL,), begin="BEGIN", pool=4, patience=PATIENCE)


def _engine(path: Path, mode: str, pragmas: tuple[str, ...], *, begin: str, pool: int, patience: float) -> Engine:
    uri = f"{path.absolute().as_uri()}?mode={mode}"

    def connect() -> sqlite3.Connection:
        # isolation_level=None: transactions begin where we say so, not where the driver guesses.
        connection = sqlite3.connect(uri, uri=True, timeout=patience, isolation_level=None, check_same_thread=False)
        try:
            for pragma in pragmas:
                connection.execute(pragma)
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    engine = create_engine(
        "sqlite://",
        creator=connect,
        poolclass=QueuePool,
        pool_size=pool,
        max_overflow=0 if pool == 1 else pool,
        pool_timeout=_QUEUE_SECONDS,
        pool_use_lifo=True,
    )

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn SQLite's errors about the file into the port's; what is left is a bug and goes through as it is."""
    try:
        yield
    except PoolTimeout as error:
        raise RegistryBusy(
            f"the registry {path} was busy for {_QUEUE_SECONDS:.0f} s", "nothing, unless it stays so"
        ) from error
    except DBAPIError as error:
        known = explain(path, error.orig)
        if known is None:
            raise
        raise known from error


def gather(path: Path) -> None:
    """Let a database that nobody has open be one file: what lies in its `-wal` goes into it, durably.

    Closing says nothing where that fails, and a file renamed without its companion is a damaged one. RegistryError.
    """
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as conn:
            done = conn.execute("PRAGMA journal_mode = DELETE").fetchone() == ("delete",)
    except sqlite3.Error as error:
        if (known := explain(path, error)) is None:
            raise
        raise known from error
    if not done:
        raise RegistryBusy(f"the registry {path} is open in another program", "end that first")
    sync(path)


def unwritable(path: Path, error: OSError) -> RegistryError:
    """What the operating system's refusal of a registry's file means."""
    said = f"{path} cannot be written: {error.strerror or error}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
        return RegistryBusy(said, "make room there, or look for disk errors in the kernel's log")
    return RegistryError(said, "let the user of adapterd write to its folder")


def explain(path: Path, error: BaseException | None) -> RegistryError | None:
    """What an error of SQLite says about the file; None where it is about our statement."""
    # Extended codes carry the primary code in their low byte.
    known = _MEANINGS.get(getattr(error, "sqlite_errorcode", 0) & 0xFF)
    if known is None:
        return None
    kind, says, hint = known
    return kind(f"the registry {path} {says} ({error})", hint)
