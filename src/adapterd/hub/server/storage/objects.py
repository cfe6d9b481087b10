"""The git objects of one repo: dulwich's own store, made durable before any ref names them."""

import os
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from dulwich.file import FileLocked
from dulwich.object_store import DiskObjectStore
from dulwich.objects import Blob, Commit, ObjectID, ShaFile, Tag, Tree

from adapterd.hub.server.storage import durable
from adapterd.hub.server.storage.pointer import Pointer, parse_pointer

_REMEMBERED = 1 << 16

_Kind = TypeVar("_Kind", Blob, Commit, Tag, Tree)


class Objects(DiskObjectStore):
    """Loose objects, each fsynced; ``sync`` makes their names durable too.

    Writing is done under the repo's lock, reading needs none.
    """

    def __init__(self, path: Path) -> None:
        """Open the store of a bare repo."""
        super().__init__(str(path), fsync_object_files=True)
        self._root = path
        self._touched = {path}  # what a killed server made here may have no durable name yet
        self.describe = lru_cache(_REMEMBERED)(self._describe)

    def add_object(self, obj: ShaFile) -> None:
        """Write an object and remember which directory now needs an fsync."""
        directory = self._root / obj.id.decode()[:2]
        self._touched.add(directory)
        if not directory.is_dir():
            self._touched.add(self._root)
        try:
            super().add_object(obj)
        except FileLocked as stale:
            # We are the only writer: a lock is what a write left that failed on a full disk.
            Path(os.fsdecode(stale.lockfilename)).unlink(missing_ok=True)
            super().add_object(obj)

    def sync(self) -> None:
        """Make every object added so far durable: only then may a ref name them."""
        for directory in sorted(self._touched):
            durable.sync_directory(directory)
        self._touched.clear()

    def get(self, kind: type[_Kind], oid: ObjectID) -> _Kind:
        """Read an object whose kind is known."""
        found = self[oid]
        if not isinstance(found, kind):
            raise KeyError(oid)
        return found

    def _describe(self, oid: ObjectID) -> tuple[int, Pointer | None]:
        """Say how long a blob is, and for which LFS object it stands, if for any."""
        content = self.get(Blob, oid).data
        return len(content), parse_pointer(content)
