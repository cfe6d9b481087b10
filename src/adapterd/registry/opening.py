"""Opening a registry: the file is there, it is a registry, and its schema is this program's."""

import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from sqlalchemy import Engine, inspect, text

from adapterd.ports import RegistryBusy, RegistryError, Transient
from adapterd.registry import engine
from adapterd.registry.reading import SqlReader
from adapterd.registry.schema import REVISIONS
from adapterd.registry.store import SqlRegistry

EXIT_TRANSIENT = 75
_HINT = " Try: "


def open_reader(path: str | Path) -> SqlReader:
    """The registry at `path`, to be read. RegistryError where there is none, or none that this program knows."""
    path = Path(path)
    _demand(path)
    return SqlReader(path, engine.reader(path))


def open_registry(
    path: str | Path, *, clock: Callable[[], float] = time.time, patience: float = engine.PATIENCE
) -> SqlRegistry:
    """The registry at `path`, to be written; its caller holds `acquire(path)` and has called `prepare(path)`.

    `patience` is how many seconds a write waits for another program that has the file locked.
    """
    path = Path(path)
    _demand(path)
    writes = engine.writer(path, patience=patience)
    try:
        # A file that is read-only or locked is told now, and not by the first version that wants to move.
        with engine.explained(path), writes.begin():
            pass
    except RegistryError:
        writes.dispose()
        raise
    return SqlRegistry(path, engine.reader(path), writes, clock)


def prepare(path: str | Path) -> bool:
    """Make the registry, or bring its schema up to date; whether anything had to be done.

    The migration has a process of its own, so that its libraries never load here. The caller holds `acquire(path)`.
    """
    path = Path(path)
    if path.exists():
        _private(path)
        if revision(path) == REVISIONS[-1]:
            return False
        _migrate(path)
        return True
    # Made aside: after a crash there is a registry, or there is none.
    fresh = path.with_name(f".{path.name}.new")
    try:
        _sweep(fresh)
        _migrate(fresh)
        engine.gather(fresh)
        fresh.replace(path)
    except OSError as error:
        raise engine.unwritable(path, error) from error
    except RegistryError as error:
        raise type(error)(error.message.replace(str(fresh), str(path)), error.hint) from error
    finally:
        with suppress(OSError):
            _sweep(fresh)
    return True


def _private(path: Path) -> None:
    """Take what others may do to a registry, which a copy that was put back by hand may have brought along."""
    try:
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)
    except OSError as error:
        raise engine.unwritable(path, error) from error


def _sweep(half: Path) -> None:
    """Remove what a crash left of a registry in the making."""
    for left in half.parent.glob(f"{half.name}*"):
        left.unlink()


def _migrate(path: Path) -> None:
    """Run the migration."""
    # -P: the working directory may be anybody's.
    command = [sys.executable, "-P", "-m", "adapterd.registry.migrate", str(path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL)  # noqa: S603 - our own module
    if done.returncode == 0:
        return
    ended = f"making the registry {path} ended with {done.returncode} and without a word"
    said = (done.stdout.strip() or done.stderr.strip() or ended).splitlines()[-1]
    message, _, hint = said.partition(_HINT)
    if done.returncode == EXIT_TRANSIENT:
        raise RegistryBusy(message, hint)
    raise RegistryError(message, hint or f"see `{' '.join(command[2:])}`")


def one_line(error: RegistryError | Transient) -> str:
    """An error as the migration's process prints it, and `prepare` reads it."""
    return f"{error.message}{_HINT}{error.hint}" if error.hint else error.message


def revision(path: Path) -> str | None:
    """The schema of the registry at `path`, None where the file is still empty.

    RegistryError where it is no registry, or a newer program's.
    """
    reads = engine.reader(path)
    try:
        return _revision(path, reads)
    finally:
        reads.dispose()


def _revision(path: Path, reads: Engine) -> str | None:
    with engine.explained(path), reads.connect() as conn:
        tables = inspect(conn).get_table_names()
        if not tables:
            return None
        found = conn.scalar(text("SELECT version_num FROM alembic_version")) if "alembic_version" in tables else None
    if found is None:
        raise RegistryError(
            f"{path} is a database, but no registry of adapterd", "see whether `registry` names the right file"
        )
    if found not in REVISIONS:
        raise RegistryError(
            f"the registry {path} was written by a newer adapterd (schema {found}, this one knows {REVISIONS[-1]})",
            "upgrade adapterd on this host",
        )
    return str(found)


def _demand(path: Path) -> None:
    """RegistryError unless the file holds a registry of this program's schema."""
    if not path.exists():
        raise RegistryError(
            f"there is no registry at {path}",
            "start `adapterd watch` once, or see whether `registry` names the right file",
        )
    found = revision(path)
    if found != REVISIONS[-1]:
        raise RegistryError(
            f"the registry {path} has an older schema ({found or 'none'}, this adapterd writes {REVISIONS[-1]})",
            "start `adapterd watch`: it brings the registry up to date",
        )
