"""Bring a registry to this program's schema: ``python -m adapterd.registry.migrate PATH``.

A process of its own, so that Alembic never loads in the daemon. Prints one line; ends with 0, with 75 where the disk
is full or the file is locked, with 78 where the file is no registry or a newer program's.
"""

import os
import sys
from pathlib import Path

from alembic import command
from alembic.config import Config

from adapterd.ports import RegistryError, Transient
from adapterd.registry import engine
from adapterd.registry.opening import EXIT_TRANSIENT, one_line, revision

_USAGE = 2
_CONFIGURATION = 78


def migrate(path: Path, *, to: str = "head") -> str:
    """Make the registry or bring it up to date, in one transaction; what was done, in a line."""
    _touch(path)
    before = revision(path)
    config = Config()
    config.set_main_option("script_location", "adapterd.registry:migrations")
    writes = engine.writer(path, create=True)
    try:
        with engine.explained(path), writes.begin() as conn:
            config.attributes["connection"] = conn
            command.upgrade(config, to)
    finally:
        writes.dispose()
    after = revision(path)
    if before == after:
        return f"the registry {path} is up to date (schema {after})"
    return f"the registry {path} went from schema {before or 'none'} to {after}"


def _touch(path: Path) -> None:
    """Make the file for its owner alone, whatever the umask; SQLite gives its companions the same mode."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise RegistryError(
            f"the registry {path} cannot be made: {error.strerror}",
            "let the user of adapterd write to the file and to its folder",
        ) from error


def main(arguments: list[str]) -> int:
    """Migrate the one path given; the exit code."""
    if len(arguments) != 1:
        print("usage: python -m adapterd.registry.migrate PATH", file=sys.stderr)  # noqa: T201 - a program's output
        return _USAGE
    try:
        said, code = migrate(Path(arguments[0])), 0
    except Transient as error:
        said, code = one_line(error), EXIT_TRANSIENT
    except RegistryError as error:
        said, code = one_line(error), _CONFIGURATION
    print(said)  # noqa: T201 - a program's output
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
