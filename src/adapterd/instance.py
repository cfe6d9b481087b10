"""Who this daemon is, and whether the registry that lies here is its own."""

import json
import secrets

from adapterd.config import Places
from adapterd.ports import RegistryError
from adapterd.spool import replace_file

_REBUILD = "`adapterd registry rebuild` restores it from the Hub; or put the file back from a backup"


def known_publisher(places: Places) -> str | None:
    """This instance's publisher id; None before the first start has come to its end.

    Raises RegistryError where `instance.json` or the spool tells of an earlier life and the registry is missing:
    starting with an empty one would number versions anew.
    """
    known = read_instance(places)
    used = known is not None or any(places.spool.glob("*/*/*/sidecar.json"))
    if used and not places.registry.exists():
        what = places.instance if known is not None else places.spool
        raise RegistryError(f"registry {places.registry} is missing, but {what} is there", _REBUILD)
    return known


def read_instance(places: Places) -> str | None:
    """The publisher id in `instance.json`; None where there is no such file."""
    try:
        found = json.loads(places.instance.read_bytes())["instance"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RegistryError(f"{places.instance} cannot be read: {type(error).__name__}", _REBUILD) from error
    return str(found)


def new_instance(places: Places) -> str:
    """Make up a publisher id and keep it."""
    made = f"adapterd-{secrets.token_hex(6)}"
    try:
        places.instance.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(places.instance, (json.dumps({"schema": 1, "instance": made}) + "\n").encode())
    except OSError as error:
        raise RegistryError(
            f"{places.instance} cannot be written: {error.strerror or error}",
            "let the user of adapterd write to its folder, and make room there",
        ) from error
    return made
