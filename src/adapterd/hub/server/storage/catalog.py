"""The list of repos: which exist, under which names, and who may see them.

``index.json`` is the truth. A repo's directory is made complete before the index names it, and leaves the index
before it is deleted; what the index does not name is rubbish, swept at the next start.
"""

import fcntl
import json
import re
import shutil
import threading
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from adapterd.hub.server.errors import bad_request, conflict, repo_not_found
from adapterd.hub.server.storage import durable
from adapterd.hub.server.storage.repository import Repository, Stamp

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,95}")
_RESERVED = frozenset({"api", "datasets", "lfs", "models", "spaces"})
_SCHEMA = 1
_PARTS_KEPT = 24 * 3600.0  # seconds in which a client may complete a multipart upload

Clock = Callable[[], float]


@dataclass(frozen=True)
class Record:
    """A repo as the index knows it.

    Attributes:
        storage: its directory's name, which never changes.
        kind: model, dataset or space.
        id: namespace/name, as its creator wrote it.
        private: whether only its namespace may see it.
        created: when, in seconds since 1970.
    """

    storage: str
    kind: str
    id: str
    private: bool
    created: float

    @property
    def namespace(self) -> str:
        """Give the user or organisation that it belongs to."""
        return self.id.partition("/")[0]


class DataDirectoryError(Exception):
    """A data directory that this server can not use.

    Attributes:
        message: what is wrong with it.
        hint: what to do about it.
    """

    def __init__(self, message: str, hint: str) -> None:
        """Keep the two apart."""
        super().__init__(f"{message}\nTry: {hint}")
        self.message = message
        self.hint = hint


class Catalog:
    """All repos of a data directory, held by one process at a time."""

    def __init__(self, data: Path, clock: Clock) -> None:
        """Open a data directory and sweep what a killed server left in it."""
        self._data = data
        self._clock = clock
        self._lock = threading.Lock()
        self._repos = data / "repos"
        durable.make_directory(self._repos)
        self._held = (data / "lock").open("w")
        try:
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as busy:
            self._held.close()
            message = f"Another server uses the data directory {data}"
            raise DataDirectoryError(message, "stop that server, or give this one another --data") from busy
        self._records: dict[str, Record] = {}
        self._moves: dict[str, str] = {}
        self._names: dict[str, str] = {}
        try:
            self._load()
        except DataDirectoryError:
            self._held.close()
            raise
        self._sweep()
        self._open = {storage: Repository(self._repos / storage) for storage in self._records}
        for repository in self._open.values():
            repository.clean(older_than=clock() - _PARTS_KEPT)

    def close(self) -> None:
        """Let go of the data directory."""
        for repository in self._open.values():
            repository.close()
        self._held.close()

    def find(self, kind: str, repo_id: str) -> tuple[Record, Repository]:
        """Find a repo by its name, or by one it had before it was moved."""
        key = _key(kind, repo_id)
        storage = self._names.get(key) or self._moves.get(key, "")
        try:
            return self._records[storage], self._open[storage]
        except KeyError as unknown:
            raise repo_not_found() from unknown

    def by_storage(self, storage: str) -> Repository:
        """Find a repo by its directory's name, as signed links carry it."""
        try:
            return self._open[storage]
        except KeyError as gone:
            raise repo_not_found() from gone

    def records(self) -> list[Record]:
        """List all repos."""
        return list(self._records.values())

    def create(self, kind: str, repo_id: str, stamp: Stamp, *, private: bool) -> Record:
        """Add a repo with its first commit."""
        _check_id(repo_id)
        with self._lock:
            self._refuse_taken(kind, repo_id)
            record = Record(uuid.uuid4().hex, kind, repo_id, private, self._clock())
            path = self._repos / record.storage
            Repository.create(path, stamp)
            durable.sync_directory(self._repos)
            self._open[record.storage] = Repository(path)
            moves = {key: storage for key, storage in self._moves.items() if key != _key(kind, repo_id)}
            self._save({**self._records, record.storage: record}, moves)
            return record

    def delete(self, record: Record) -> None:
        """Take a repo out of the index, then delete it."""
        with self._lock:
            records = {storage: kept for storage, kept in self._records.items() if storage != record.storage}
            self._save(records, {key: to for key, to in self._moves.items() if to != record.storage})
            repository = self._open.pop(record.storage, None)
        if repository is not None:
            with repository.lock:
                repository.remove()

    def move(self, record: Record, repo_id: str) -> None:
        """Give a repo another name; the old one keeps leading to it."""
        _check_id(repo_id)
        with self._lock:
            self._refuse_taken(record.kind, repo_id)
            record = self._current(record)
            moves = {**self._moves, _key(record.kind, record.id): record.storage}
            moves.pop(_key(record.kind, repo_id), None)
            self._save({**self._records, record.storage: replace(record, id=repo_id)}, moves)

    def set_private(self, record: Record, *, private: bool) -> None:
        """Hide or show a repo."""
        with self._lock:
            record = self._current(record)
            self._save({**self._records, record.storage: replace(record, private=private)}, self._moves)

    def _current(self, record: Record) -> Record:
        """Give what the index says now of a repo that was found before the lock was taken."""
        try:
            return self._records[record.storage]
        except KeyError as gone:
            raise repo_not_found() from gone

    def _refuse_taken(self, kind: str, repo_id: str) -> None:
        """Refuse a name that a repo has."""
        storage = self._names.get(_key(kind, repo_id))
        if storage is not None:
            taken = self._records[storage]
            raise conflict(f"You already created this {kind} repo: {taken.id}", id=taken.id)

    def _load(self) -> None:
        """Read the index."""
        path = self._data / "index.json"
        if not path.exists():
            return
        try:
            index = json.loads(path.read_text(encoding="utf-8"))
            if index["schema"] != _SCHEMA:
                message = f"{path} has schema {index['schema']}, and this server knows {_SCHEMA}"
                raise DataDirectoryError(message, "serve it with the adapterd that wrote it, or a newer one")
            self._use({item["storage"]: Record(**item) for item in index["repos"]}, dict(index["moves"]))
        except (ValueError, KeyError, TypeError) as error:
            message = f"{path} is no index of repos: {error}"
            raise DataDirectoryError(message, "give --data the directory of a Hub, or an empty one") from error
        for record in self._records.values():
            if not (self._repos / record.storage).is_dir():
                message = f"{self._repos / record.storage}, the directory of {record.id}, is not there"
                raise DataDirectoryError(message, "restore it, or take the repo out of index.json")

    def _save(self, records: dict[str, Record], moves: dict[str, str]) -> None:
        """Make a new index durable, then use it."""
        index = {"schema": _SCHEMA, "repos": [asdict(record) for record in records.values()], "moves": moves}
        durable.write_atomically(self._data / "index.json", json.dumps(index, indent=1).encode())
        self._use(records, moves)

    def _use(self, records: dict[str, Record], moves: dict[str, str]) -> None:
        """Answer from a new index; each of its parts is replaced whole, as readers hold no lock."""
        names = {_key(record.kind, record.id): storage for storage, record in records.items()}
        self._records, self._moves, self._names = records, moves, names

    def _sweep(self) -> None:
        """Delete directories that the index does not name."""
        for path in self._repos.iterdir():
            if path.name not in self._records:
                shutil.rmtree(path, ignore_errors=True)
        durable.remove_stale(self._data, ".*.tmp")


def _key(kind: str, repo_id: str) -> str:
    """Give the form in which ids are compared: their case means nothing."""
    return f"{kind}:{repo_id.lower()}"


def _check_id(repo_id: str) -> None:
    """Accept only what the Hub would."""
    parts = repo_id.split("/")
    well_formed = len(parts) == len(("namespace", "name")) and all(_NAME.fullmatch(part) for part in parts)
    if (
        not well_formed
        or parts[0].lower() in _RESERVED
        or "--" in repo_id
        or ".." in repo_id
        or repo_id.endswith((".git", "."))
    ):
        raise bad_request(f"Invalid repo id: {repo_id!r}")
