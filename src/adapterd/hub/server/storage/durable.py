"""Writing so that a crash at any point leaves either the old state or the new one."""

import os
import uuid
from collections.abc import Callable
from pathlib import Path


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable: a rename is only safe after this."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_directory(path: Path) -> None:
    """Create a directory and its missing parents, each name durable."""
    if path.is_dir():
        return
    make_directory(path.parent)
    path.mkdir(exist_ok=True)
    sync_directory(path.parent)


def write_atomically(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Write aside, fsync, rename, fsync the directory: a reader sees the old file or the new one."""
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
    sync_directory(path.parent)


def kept_secret(path: Path, make: Callable[[], str]) -> str:
    """Read a secret that only its owner may read, or make it and keep it."""
    if not path.exists():
        make_directory(path.parent)
        write_atomically(path, make().encode() + b"\n", mode=0o600)
    return path.read_text(encoding="utf-8").strip()


def sync_tree(directory: Path) -> None:
    """Make all files below a directory, and their names, durable; an empty directory is only a name."""
    for path in [directory, *directory.rglob("*")]:
        if path.is_dir():
            if any(path.iterdir()):
                sync_directory(path)
        else:
            with path.open("rb") as file:
                os.fsync(file.fileno())


def remove_stale(directory: Path, pattern: str) -> None:
    """Remove what a killed process left half-written; the caller holds the only lock on the directory."""
    for path in directory.rglob(pattern):
        path.unlink(missing_ok=True)
