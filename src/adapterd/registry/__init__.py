"""The registry: the durable record of every adapter directory and adapter version, over SQLAlchemy Core on SQLite.

The daemon's order: ``lock = acquire(path)``, ``prepare(path)``, ``open_registry(path)``. Whoever only reads:
``open_reader(path)``.
"""

from adapterd.registry.copies import backup, daily, folder_of, install, prune, remove, restore, verify
from adapterd.registry.lock import WriterLock, acquire
from adapterd.registry.opening import open_reader, open_registry, prepare, revision
from adapterd.registry.reading import SqlReader
from adapterd.registry.store import SqlRegistry

__all__ = [
    "SqlReader",
    "SqlRegistry",
    "WriterLock",
    "acquire",
    "backup",
    "daily",
    "folder_of",
    "install",
    "open_reader",
    "open_registry",
    "prepare",
    "prune",
    "remove",
    "restore",
    "revision",
    "verify",
]
