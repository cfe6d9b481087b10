"""The writer's lock: one process writes a registry. It lasts as long as the process, however that ends."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from adapterd.ports import RegistryError


class WriterLock:
    """A held lock; leaving the block, `release`, or the end of the process gives it back."""

    def __init__(self, descriptor: int) -> None:
        """Keep the descriptor that holds the lock."""
        self._descriptor: int | None = descriptor

    def release(self) -> None:
        """Give the lock back; once is enough."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        """Hold it for a block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give it back."""
        self.release()


def acquire(path: str | Path) -> WriterLock:
    """Take the writer's lock of the registry at `path`. RegistryError where another process has it.

    The lock file stays when the lock goes: removing it would let two processes lock two files of one name.
    """
    name = Path(f"{path}.lock")
    try:
        name.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(name, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise RegistryError(
            f"the lock {name} cannot be made: {error.strerror}",
            "let the user of adapterd write to the registry's folder",
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
        os.close(descriptor)
        raise RegistryError(
            f"another adapterd (pid {holder}) writes this registry: {path}",
            "end that one, or give this one a registry of its own",
        ) from error
    except OSError as error:
        os.close(descriptor)
        raise RegistryError(
            f"the lock {name} cannot be taken: {error.strerror}", "keep the registry on a local file system"
        ) from error
    with suppress(OSError):  # the lock is what counts; who has it is for people, and a full disk is told elsewhere
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return WriterLock(descriptor)
