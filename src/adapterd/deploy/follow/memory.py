"""What a follower keeps on disk: the aliases that routers read, its status, and the little that cannot be derived.

Each file is replaced whole. Where one is lost or cannot be read, only time is: drains begin anew, and commands are told
again.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from adapterd.deploy.room import Room
from adapterd.ports import Transient

SCHEMA = 1
ALIASES, STATUS = "aliases.json", "follow.json"
Drains = dict[tuple[str, str], float]


class Memory:
    """The files of one follower, in and under the directory that it keeps."""

    def __init__(self, directory: Path, room: Room) -> None:
        """Read what is there."""
        self._aliases, self._status = directory / ALIASES, directory / STATUS
        self._room, self._state = room, room.path / STATUS
        found = _object(self._aliases).get("aliases")
        self.aliases: dict[str, str] = _texts(found)
        state = _object(self._state)
        self._told = {key: _texts(told) for key, told in _mapping(state.get("told")).items()}
        self.drains: Drains = {
            (engine, serving): float(until)
            for engine, listed in _mapping(state.get("drains")).items()
            for serving, until in _mapping(listed).items()
            if isinstance(until, int | float)
        }
        self._kept = (dict(self.aliases), self._as_state())

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Be the only follower of this directory; Transient where there is one already."""
        self._room.path.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._room.path / "follow.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError:
            raise Transient(
                f"another `adapterd follow` keeps {self._aliases.parent}", "a directory of its own for each"
            ) from None
        finally:
            os.close(descriptor)

    def told(self, key: str) -> Mapping[str, str]:
        """What a command said yes to."""
        return self._told.get(key, {})

    def keep_told(self, key: str, told: Mapping[str, str]) -> None:
        """Keep what a command said yes to, at once: it must not be told again for nothing."""
        self._told[key] = dict(told)
        self.keep()

    def keep(self) -> None:
        """Write what changed; the aliases first, since drains follow from them."""
        aliases, state = dict(self.aliases), self._as_state()
        if aliases != self._kept[0] or not self._aliases.exists():
            self._room.write(self._aliases, _render({"schema": SCHEMA, "aliases": aliases}))
        if state != self._kept[1]:
            self._room.write(self._state, _render(state))
        self._kept = (aliases, state)

    def show(self, status: Mapping[str, Any]) -> None:
        """Write the status."""
        self._room.write(self._status, _render({"schema": SCHEMA, **status}))

    def _as_state(self) -> dict[str, Any]:
        drains: dict[str, dict[str, float]] = {}
        for (engine, serving), until in sorted(self.drains.items()):
            drains.setdefault(engine, {})[serving] = until
        return {"schema": SCHEMA, "drains": drains, "told": {key: dict(told) for key, told in self._told.items()}}


def _object(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) and found.get("schema") == SCHEMA else {}


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _texts(value: object) -> dict[str, str]:
    return {key: text for key, text in _mapping(value).items() if isinstance(text, str)}


def _render(document: Mapping[str, Any]) -> bytes:
    return (json.dumps(document, indent=2, sort_keys=True) + "\n").encode()
