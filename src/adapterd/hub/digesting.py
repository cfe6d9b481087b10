"""The sha256 of a download, computed beside it: what arrives is hashed in a thread while more is on its way."""

import hashlib
from pathlib import Path
from queue import Queue
from threading import Thread
from types import TracebackType
from typing import Self

_ALONE = 1024 * 1024
"""Bytes from which on a thread is worth it."""
_AHEAD = 64
"""Pieces that may wait to be hashed; more are not held in memory."""


class Digest:
    """Takes pieces in order, and gives their sha256. It is a context, at whose end the thread is gone."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._sha256 = hashlib.sha256()
        self._size = 0
        self._waiting: Queue[bytes | None] = Queue(_AHEAD)
        self._thread: Thread | None = None

    def __enter__(self) -> Self:
        """Take pieces."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the thread."""
        self._join()

    def add(self, piece: bytes) -> None:
        """Hash one more piece."""
        self._size += len(piece)
        if self._size < _ALONE:
            self._sha256.update(piece)
            return
        if self._thread is None:
            self._thread = Thread(target=self._work, name="digest", daemon=True)
            self._thread.start()
        self._waiting.put(piece)

    def add_file(self, path: Path, size: int) -> None:
        """Hash the first bytes of a file, which arrived before."""
        with path.open("rb") as file:
            while size > 0 and (piece := file.read(min(size, _ALONE))):
                size -= len(piece)
                self.add(piece)

    def hexdigest(self) -> str:
        """The sha256 of all pieces."""
        self._join()
        return self._sha256.hexdigest()

    def _join(self) -> None:
        if self._thread is not None:
            self._waiting.put(None)
            self._thread.join()
            self._thread = None

    def _work(self) -> None:
        while (piece := self._waiting.get()) is not None:
            self._sha256.update(piece)
