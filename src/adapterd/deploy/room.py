"""The hidden folder of a shelf: what is written aside, a lock, and a record of what the Hub said.

The record is a memory, never a source: each version's own bytes are compared with its manifest, and the manifest with
the digest that stands here. Where it is lost, the Hub is asked again.
"""

import fcntl
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapterd.deploy.pulling import UNWRITABLE, denied
from adapterd.durable import sync

SCHEMA = 1
PART, GONE, TEMPORARY = "part-", "gone-", "new-"
"""How folders begin that are being filled, and that are being removed; and files and links before they are renamed."""

_LOCK, _RECORD, _MANIFESTS = "lock", "record.json", "manifests"


@dataclass(frozen=True, slots=True)
class Meant:
    """What a channel meant when the Hub was last asked: the version by its serving name, the head, and when."""

    serving_name: str
    head: str
    at: float


@dataclass(frozen=True, slots=True)
class Room:
    """A hidden folder beside, or in, the place where versions lie."""

    path: Path

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock of this room, for as long as a rename takes."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        except OSError as error:
            if error.errno not in UNWRITABLE:
                raise
            raise denied(self.path, error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def manifest(self, name: str) -> Path:
        """Where the manifest of a version lies whose own folder may have none."""
        return self.path / _MANIFESTS / f"{name}.json"

    def write(self, path: Path, data: bytes) -> None:
        """Write a file of this room. The lock is held.

        It need not be durable: what is lost with the power is asked of the Hub again.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path / f"{TEMPORARY}{secrets.token_hex(8)}"
        part.write_bytes(data)
        part.replace(path)

    def link(self, path: Path, to: str) -> None:
        """Let a link lead there, from one moment to the next. The lock is held."""
        fresh = self.path / f"{TEMPORARY}{secrets.token_hex(8)}"
        fresh.symlink_to(to)
        fresh.replace(path)
        sync(path.parent)

    def discard(self, folder: Path) -> None:
        """Remove a folder: its name first, so that nobody finds it half there."""
        gone = self.path / f"{GONE}{secrets.token_hex(8)}"
        try:
            folder.rename(gone)
        except FileNotFoundError:
            return
        shutil.rmtree(gone, ignore_errors=True)

    def sweep(self) -> None:
        """Remove what interrupted pulls and removals left, where nobody works in it. The lock is held."""
        for file in self.path.glob(f"{TEMPORARY}*"):
            file.unlink()
        for folder in sorted(self.path.glob(f"{GONE}*")):
            shutil.rmtree(folder, ignore_errors=True)
        for folder in sorted(self.path.glob(f"{PART}*")):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self.discard(folder)
            except BlockingIOError:
                continue
            finally:
                os.close(descriptor)

    def commit(self, name: str, manifest: bytes) -> str:
        """The commit that the Hub named for a version with this very manifest; empty where none is known."""
        said = _entries(self._record(), "versions").get(name, {})
        known = said.get("manifest") == hashlib.sha256(manifest).hexdigest()
        commit = said.get("commit")
        return commit if known and isinstance(commit, str) else ""

    def meant(self, adapter: str, channel: str) -> Meant | None:
        """What a channel meant when the Hub was last asked; None where it never was."""
        said = _entries(self._record(), "channels").get(f"{adapter}@{channel}")
        try:
            return None if said is None else Meant(str(said["serving_name"]), str(said["head"]), float(said["at"]))
        except (KeyError, TypeError, ValueError):
            return None

    def heads(self) -> Mapping[str, str]:
        """Of each channel that was asked for: its head then, and the serving name of the version that lay there."""
        said = _entries(self._record(), "channels").values()
        return {str(entry.get("head")): str(entry.get("serving_name")) for entry in said}

    def note_version(self, name: str, commit: str, manifest: bytes) -> None:
        """Remember the commit of a version. The lock is held."""
        self._note("versions", name, {"commit": commit, "manifest": hashlib.sha256(manifest).hexdigest()})

    def note_channel(self, adapter: str, channel: str, meant: Meant) -> None:
        """Remember what a channel means. The lock is held."""
        entry = {"serving_name": meant.serving_name, "head": meant.head, "at": meant.at}
        self._note("channels", f"{adapter}@{channel}", entry)

    def forget_version(self, name: str) -> None:
        """Forget a version that was removed. The lock is held."""
        self._note("versions", name, None)
        self.manifest(name).unlink(missing_ok=True)

    def _note(self, part: str, key: str, entry: Mapping[str, Any] | None) -> None:
        record = self._record()
        entries = dict(_entries(record, part))
        before = entries.pop(key, None)
        if before == entry:
            return
        if entry is not None:
            entries[key] = entry
        document = {**record, "schema": SCHEMA, part: entries}
        self.write(self.path / _RECORD, (json.dumps(document, indent=2, sort_keys=True) + "\n").encode())

    def _record(self) -> Mapping[str, Any]:
        try:
            found = json.loads((self.path / _RECORD).read_bytes())
        except (OSError, ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}


def _entries(record: Mapping[str, Any], part: str) -> Mapping[str, Mapping[str, Any]]:
    found = record.get(part)
    return {k: v for k, v in found.items() if isinstance(v, dict)} if isinstance(found, dict) else {}
