"""The LFS objects of one repo: content-addressed files, complete or absent, never in between.

They lie inside the repo's own directory, so that knowing a private repo's sha256 gives nobody its bytes, and so
that deleting or moving a repo needs no bookkeeping.
"""

import hashlib
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from adapterd.hub.server.errors import HubError
from adapterd.hub.server.storage import durable
from adapterd.hub.server.storage.pointer import OID

_COPY_CHUNK = 1 << 20


class Incoming:
    """Bytes on their way in: hashed while they are written aside, named only once they are right."""

    def __init__(self, directory: Path) -> None:
        """Open a file aside."""
        self._path = directory / uuid.uuid4().hex
        self._file: BinaryIO = self._path.open("xb")
        self._sha = hashlib.sha256()
        self.size = 0

    def write(self, chunk: bytes) -> None:
        """Take the next bytes."""
        self._file.write(chunk)
        self._sha.update(chunk)
        self.size += len(chunk)

    @property
    def digest(self) -> str:
        """Give the sha256 of what came so far."""
        return self._sha.hexdigest()

    def keep_as(self, path: Path) -> None:
        """Make the bytes durable under their name."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        durable.make_directory(path.parent)
        self._path.replace(path)
        durable.sync_directory(path.parent)

    def __enter__(self) -> Self:
        """Start."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave nothing behind that was not kept."""
        self._file.close()
        self._path.unlink(missing_ok=True)


class LfsStore:
    """The LFS objects of one repo, and the parts of those still coming in pieces."""

    def __init__(self, root: Path) -> None:
        """Use a directory; ``prepare`` creates it."""
        self._objects = root / "objects"
        self._incoming = root / "incoming"
        self._parts = root / "parts"

    def prepare(self) -> None:
        """Create the directories; the caller makes their names durable."""
        for directory in (self._objects, self._incoming, self._parts):
            directory.mkdir(parents=True)

    def clean(self, older_than: float) -> None:
        """Remove what a killed server left: half-written files, and parts that nobody has completed since."""
        durable.remove_stale(self._incoming, "*")
        for upload in self._parts.iterdir():
            if upload.stat().st_mtime < older_than:
                shutil.rmtree(upload, ignore_errors=True)

    def path(self, oid: str) -> Path:
        """Give the place of an object, in the layout of git-lfs."""
        if not OID.fullmatch(oid):
            raise HubError(422, f"Invalid LFS object id: {oid!r}")
        return self._objects / oid[:2] / oid[2:4] / oid

    def size(self, oid: str) -> int | None:
        """Give the size of a stored object, None where it is not stored."""
        try:
            return self.path(oid).stat().st_size
        except FileNotFoundError:
            return None

    def receive(self) -> Incoming:
        """Begin to take in bytes."""
        return Incoming(self._incoming)

    def keep(self, incoming: Incoming, oid: str, size: int) -> None:
        """Store what came in, if it is what was announced."""
        if incoming.size != size or incoming.digest != oid:
            raise HubError(400, f"The bytes are not those of object {oid} of {size} bytes")
        incoming.keep_as(self.path(oid))

    def part(self, upload: str, number: int) -> Path:
        """Give the place of a part of an upload."""
        return self._parts / upload / f"{number:05d}"

    def join_parts(self, upload: str, etags: list[str], oid: str, size: int) -> None:
        """Make one object of the parts, in their order, and drop them."""
        with self.receive() as incoming:
            for number, etag in enumerate(etags, start=1):
                self._append_part(incoming, self.part(upload, number), etag)
            self.keep(incoming, oid, size)
        shutil.rmtree(self._parts / upload, ignore_errors=True)

    def _append_part(self, incoming: Incoming, path: Path, etag: str) -> None:
        """Append one part, if it is the one that the client means."""
        sha = hashlib.sha256()
        try:
            with path.open("rb") as part:
                while chunk := part.read(_COPY_CHUNK):
                    sha.update(chunk)
                    incoming.write(chunk)
        except FileNotFoundError as missing:
            raise HubError(400, f"Part {int(path.name)} was never uploaded") from missing
        if sha.hexdigest() != etag.strip('"'):
            raise HubError(400, f"Part {int(path.name)} is not the one whose etag was given")

    def entries(self) -> Iterator[tuple[str, int, float]]:
        """List the stored objects: sha256, size, time of arrival."""
        for path in sorted(self._objects.glob("*/*/*")):
            facts = path.stat()
            yield path.name, facts.st_size, facts.st_mtime

    def remove(self, oids: Iterable[str]) -> None:
        """Delete objects for good; those that are not there are no error."""
        for oid in oids:
            path = self.path(oid)
            path.unlink(missing_ok=True)
            if path.parent.is_dir():
                durable.sync_directory(path.parent)
