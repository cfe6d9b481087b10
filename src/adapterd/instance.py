"""Who this daemon is, and whether the registry that lies here is its own."""

import json
import secrets
from pathlib import Path

from adapterd.config import Places
from adapterd.ports import RegistryBusy, RegistryError
from adapterd.spool import replace_file

_REBUILD = (
    "`adapterd registry restore FILE` puts a backup back, with its newest in the folder `backups` beside it; `adapterd"
    " registry rebuild` makes it anew from the Hub and the spool"
)
_LOST = 'write {"schema": 1, "instance": ID} there; ID is the `publisher` in each manifest that this host published'


def known_publisher(places: Places) -> str | None:
    """This instance's publisher id; None before the first start has come to its end.

    Raises RegistryError where `instance.json` or the spool tells of an earlier life and the registry is missing or
    empty: starting with a fresh one would number versions anew.
    """
    known = read_instance(places)
    used = known is not None or any(places.spool.glob("*/*/*/sidecar.json"))
    if used and not _is_there(places.registry):
        what = places.instance if known is not None else places.spool
        raise RegistryError(f"registry {places.registry} is missing, but {what} is there", _REBUILD)
    return known


def _is_there(registry: Path) -> bool:
    """Whether there is a file, and anything in it."""
    try:
        return registry.stat().st_size > 0
    except FileNotFoundError:
        return False
    except OSError as error:
        raise RegistryError(f"registry {registry} cannot be reached: {error.strerror}", "mend its folder") from error


def read_instance(places: Places) -> str | None:
    """The publisher id in `instance.json`; None where there is no such file."""
    try:
        found = json.loads(places.instance.read_bytes())["instance"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RegistryError(f"{places.instance} cannot be read: {type(error).__name__}", _LOST) from error
    return str(found)


def new_instance(places: Places) -> str:
    """Make up a publisher id and keep it."""
    return keep_instance(places, fresh_publisher())


def fresh_publisher() -> str:
    """A publisher id that nobody has."""
    return f"adapterd-{secrets.token_hex(6)}"


def keep_instance(places: Places, publisher: str) -> str:
    """Write a publisher id down."""
    try:
        places.instance.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(places.instance, (json.dumps({"schema": 1, "instance": publisher}) + "\n").encode())
    except OSError as error:
        raise RegistryBusy(
            f"{places.instance} cannot be written: {error.strerror or error}",
            "let the user of adapterd write to its folder, and make room there",
        ) from error
    return publisher
