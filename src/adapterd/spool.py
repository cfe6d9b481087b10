"""The spool: copy while hashing, fsync, rename to the digest; read back.

It is laid out as ``<namespace>/<name>/<tree>/payload/...`` with a ``sidecar.json`` beside the payload, so that a
lost registry can be rebuilt.
"""

import errno
import hashlib
import json
import mmap
import os
import secrets
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapterd.core import adapter as ad
from adapterd.core import leaks, quota
from adapterd.core.adapter import Entry
from adapterd.core.retention import Lying
from adapterd.durable import sync
from adapterd.ports import Transient
from adapterd.roots import GONE, SettleError, entries_of, header_of, open_regular, read_small

CHUNK = 1024 * 1024
SIDECAR = "sidecar.json"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A frozen payload: where it lies, its digests, its files (path to sha256 and size), its parsed config."""

    payload: Path
    tree: str
    identity: str
    files: Mapping[str, tuple[str, int]]
    config: ad.AdapterConfig
    repairs: tuple[Mapping[str, Any], ...]


class Spool:
    """Snapshots by adapter and tree. One process writes it."""

    def __init__(self, path: Path, hidden: Sequence[str] = ()) -> None:
        """Use `path`; nothing is made until `prepare`. Paths below the `hidden` folders never get into a snapshot."""
        self.path = path
        self._hidden = leaks.paths_of(hidden)
        self._lock = threading.Lock()
        self._used: int | None = None
        self._line = quota.EMPTY
        self._asked: set[str] = set()
        self.deciding = threading.RLock()
        """Held between asking the registry about a snapshot and what follows from the answer: its row, or its end."""

    def prepare(self) -> None:
        """Make the folder, private to its user, and clear what a crash left half-copied."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.chmod(0o700)
            shutil.rmtree(self.path / ".incoming", ignore_errors=True)
            for sidecar in self.path.glob(f"*/*/*/{SIDECAR}"):
                clear_asides(sidecar)
        except OSError as error:
            raise SettleError("spool_unwritable", f"spool {self.path} cannot be made: {error.strerror}") from error

    def used(self) -> int:
        """How many bytes the payloads take: counted once, then kept up to date."""
        with self._lock:
            if self._used is None:
                self._used = sum(map(_size, self.path.glob("*/*/*/payload")))
            return self._used

    def free(self) -> int | None:
        """How many bytes its disk has free; None where it does not answer."""
        try:
            return shutil.disk_usage(self.path).free
        except OSError:
            return None

    def recount(self) -> int:
        """Count again what lies there: a person may have removed something."""
        with self._lock:
            self._used = None
        return self.used()

    def next_round(self) -> None:
        """All that waits has been asked for once more: who was not gives up its place in line."""
        with self._lock:
            if self._line.first not in self._asked:
                self._line = quota.EMPTY
            self._asked.clear()

    def _admit(self, source: Path, needs: int, most: int | None) -> None:
        """SettleError `spool_quota` where a copy has to wait for room under `spool.max_size`."""
        # A repaired snapshot takes the place of the one that it was made from, and must not wait for that to go.
        if most is None or source.is_relative_to(self.path):
            return
        used = self.used()
        with self._lock:
            answer = quota.admit(self._line, str(source), needs, used, most)
            self._line = answer.line
            self._asked.add(str(source))
        if answer.why:
            raise SettleError("spool_quota", answer.why)

    def _came(self, size: int) -> None:
        with self._lock:
            if self._used is not None:
                self._used += size

    def _went(self, size: int) -> None:
        with self._lock:
            if self._used is not None:
                self._used = max(0, self._used - size)
            self._line = quota.removed(self._line, size)

    def folder(self, adapter: str, tree: str) -> Path:
        """Where a snapshot lies, with payload and sidecar in it."""
        return self.path / adapter / tree

    def payload(self, adapter: str, tree: str) -> Path:
        """Where a snapshot's payload lies."""
        return self.folder(adapter, tree) / "payload"

    def freeze(
        self,
        source: Path,
        adapter: str,
        hub_id: Callable[[str], str],
        limits: tuple[int, int],
        seen: str = "",
        beside: Callable[[Snapshot], Mapping[str, Any]] | None = None,
        convert: Callable[[Path], None] | None = None,
        most: int | None = None,
    ) -> Snapshot:
        """Copy an adapter directory into the spool while hashing it.

        Args:
            source: the adapter directory, or another snapshot's payload.
            adapter: ``namespace/name``.
            hub_id: from what the config names as base to its Hub id; empty where there is none.
            limits: the most bytes and the most files of a payload.
            seen: the fingerprint that was found finished.
            beside: gives the sidecar, which appears together with the snapshot: no crash leaves one without it.
            convert: makes safetensors of a pickle in a folder; without it a pickle is not copied.
            most: the most bytes that all snapshots may take together (`core.quota`).

        Raises SettleError: `changed_while_copying` where names, sizes, mtimes or inodes differ before and after, or
        from what was seen;
        `source_gone`, `source_unreadable`, `not_regular`, `too_large`, `leaks_secret`, `spool_quota`, `spool_full`,
        `spool_unwritable`, `bad_config`, `bad_weights`, and what `convert` raises.
        """
        before = self._listed(source)
        if seen and ad.fingerprint(before) != seen:
            raise SettleError("changed_while_copying", f"{source} changed before it was copied")
        taken = [e for e in ad.sources(before) if convert is not None or ad.is_payload(e.name)]
        chosen = sorted(e.name for e in taken)
        size = sum(e.size for e in taken)
        most_bytes, most_files = limits
        if size > most_bytes or len(chosen) > most_files:
            raise SettleError(
                "too_large",
                f"{source} has {len(chosen)} files of {size} bytes; {most_files} files, {most_bytes} bytes are allowed",
            )
        self._admit(source, size, most)
        with _writing(self.path):
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            free = shutil.disk_usage(self.path).free
        needed = size + sum(e.size for e in taken if e.name == ad.PICKLE)  # both lie there for a moment
        if needed > free:
            raise SettleError("spool_full", f"spool {self.path} has {free} bytes free; {source} needs {needed}")
        aside = self.path / ".incoming" / secrets.token_hex(8)
        try:
            with _writing(self.path):
                _folders(self.path, aside / "payload")
            files = {name: self._copy(source, name, aside / "payload" / name) for name in chosen}
            if ad.fingerprint(self._listed(source)) != ad.fingerprint(before):
                raise SettleError("changed_while_copying", f"{source} changed while it was copied")
            converted: tuple[Mapping[str, Any], ...] = ()
            if convert is not None and ad.PICKLE in files:
                converted = self._convert(aside / "payload", files, convert)
            return self._finish(aside, adapter, files, hub_id, beside, converted)
        finally:
            shutil.rmtree(aside, ignore_errors=True)

    def _listed(self, source: Path) -> tuple[Entry, ...]:
        try:
            return entries_of(source)
        except OSError as error:
            code = "source_gone" if error.errno in GONE else "source_unreadable"
            raise SettleError(code, f"{source} cannot be listed: {error.strerror}") from error

    def _copy(self, source: Path, name: str, target: Path) -> tuple[str, int]:
        descriptor = open_regular(source, name)
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            before = os.fstat(descriptor)
            if before.st_nlink > 1:
                raise SettleError("not_regular", f"{name} in {source} has {before.st_nlink} hard links")

            def read(buffer: memoryview) -> int:
                try:
                    return file.readinto(buffer) or 0
                except OSError as error:
                    code = "source_gone" if error.errno in GONE else "source_unreadable"
                    raise SettleError(code, f"{name} in {source} cannot be read: {error.strerror}") from error

            with _writing(self.path):
                target.parent.mkdir(mode=0o700, exist_ok=True)
                digest, size = _pour(read, target, before.st_size)
            after = os.fstat(descriptor)
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or size != after.st_size:
            raise SettleError("changed_while_copying", f"{name} in {source} changed while it was copied")
        return digest, size

    def _convert(
        self, payload: Path, files: dict[str, tuple[str, int]], convert: Callable[[Path], None]
    ) -> tuple[Mapping[str, Any], ...]:
        """Put safetensors in the place of the copied pickle, and say so. What was made is held to be what it should."""
        with _writing(self.path):
            convert(payload)
            (payload / ad.PICKLE).unlink(missing_ok=True)
            (payload / ad.WEIGHTS).chmod(0o600)
            sync(payload / ad.WEIGHTS)
        try:
            header_of(payload, ad.WEIGHTS)
        except ad.BadWeightsError as error:
            raise SettleError("conversion_failed", f"{ad.PICKLE} was converted to no {ad.WEIGHTS}: {error}") from error
        del files[ad.PICKLE]
        files[ad.WEIGHTS] = _hash(payload, ad.WEIGHTS)
        return ({"file": ad.PICKLE, "key": "format", "was": "pickle", "now": ad.WEIGHTS},)

    def _finish(
        self,
        aside: Path,
        adapter: str,
        files: dict[str, tuple[str, int]],
        hub_id: Callable[[str], str],
        beside: Callable[[Snapshot], Mapping[str, Any]] | None,
        converted: tuple[Mapping[str, Any], ...],
    ) -> Snapshot:
        payload = aside / "payload"
        try:
            data = read_small(payload, ad.CONFIG, ad.MAX_CONFIG_BYTES)
            config = ad.parse_config(data)
        except (ValueError, SettleError) as error:
            raise SettleError("bad_config", str(error)) from error
        _check_secrets(payload, files)
        shortened = self._hide(payload, files)
        data = read_small(payload, ad.CONFIG, ad.MAX_CONFIG_BYTES)
        config = ad.parse_config(data)
        repairs: tuple[Mapping[str, Any], ...] = ()
        if config.base and (known := hub_id(config.base)):
            data, repairs = ad.repair_base(data, known)
            with _writing(self.path):
                write_file(payload / ad.CONFIG, data)
            files[ad.CONFIG] = (ad.digest_of(data), len(data))
            config = ad.parse_config(data)
        identity = ad.identity_digest(config.fields, {path: digest for path, (digest, _) in files.items()})
        tree = ad.tree_digest(files)
        final = self.folder(adapter, tree)
        snapshot = Snapshot(final / "payload", tree, identity, dict(files), config, (*converted, *repairs, *shortened))
        with _writing(self.path):
            if beside is not None:
                write_file(aside / SIDECAR, json.dumps(beside(snapshot), sort_keys=True).encode())
            for folder in (*(path for path in payload.iterdir() if path.is_dir()), payload, aside):
                sync(folder)
            _folders(self.path, final.parent)
            self._put(aside, final, adapter, tree)
            for folder in (final.parent, final.parent.parent, self.path):
                sync(folder)
        return snapshot

    def _hide(self, payload: Path, files: dict[str, tuple[str, int]]) -> tuple[Mapping[str, Any], ...]:
        """Shorten paths of this host in the files that libraries write them into; what was changed."""
        records: list[Mapping[str, Any]] = []
        for name in filter(leaks.names_places, list(files)):
            data, changed = leaks.without_paths((payload / name).read_bytes(), self._hidden, name)
            if changed:
                with _writing(self.path):
                    write_file(payload / name, data)
                files[name] = (ad.digest_of(data), len(data))
                records += changed
        return tuple(records)

    def _put(self, aside: Path, final: Path, adapter: str, tree: str) -> None:
        """Rename a copy to its digest; one that is there already stays, unless its bytes are damaged."""
        size = _size(aside / "payload")
        try:
            aside.rename(final)
            self._came(size)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            try:
                self.snapshot(adapter, tree)
            except SettleError:
                self.discard(adapter, tree)
                aside.rename(final)
                self._came(size)

    def discard(self, adapter: str, tree: str) -> None:
        """Remove a snapshot, if there is one: out of the way first, so that no half of it is ever seen."""
        away = self.path / ".incoming" / secrets.token_hex(8)
        with _writing(self.path):
            away.parent.mkdir(mode=0o700, exist_ok=True)
            with suppress(FileNotFoundError):
                self.folder(adapter, tree).rename(away)
        size = _size(away / "payload")
        shutil.rmtree(away, ignore_errors=True)
        self._went(size)

    def snapshot(self, adapter: str, tree: str) -> Snapshot:
        """Read a snapshot again, hashing every byte. SettleError `snapshot_damaged` where it is not that tree."""
        return self.read(self.payload(adapter, tree), adapter, tree)

    def read(self, payload: Path, adapter: str, tree: str) -> Snapshot:
        """Read a payload wherever it lies, as `snapshot` does."""
        try:
            names = [str(p.relative_to(payload)) for p in sorted(payload.rglob("*")) if not p.is_dir()]
            files = {name: _hash(payload, name) for name in names}
            config = ad.parse_config(read_small(payload, ad.CONFIG, ad.MAX_CONFIG_BYTES))
        except (OSError, ValueError, SettleError) as error:
            code = "spool_unreadable" if self._is_away(error) else "snapshot_damaged"
            raise SettleError(code, f"snapshot {adapter} {tree[:12]} cannot be read: {error}") from error
        if ad.tree_digest(files) != tree:
            raise SettleError("snapshot_damaged", f"snapshot {adapter} {tree[:12]} has other bytes than were copied")
        identity = ad.identity_digest(config.fields, {path: digest for path, (digest, _) in files.items()})
        return Snapshot(payload, tree, identity, files, config, ())

    @contextmanager
    def aside(self, needs: int) -> Iterator[Path]:
        """An empty folder on the spool's disk for so many bytes; it goes at the end, or at the next start.

        SettleError `spool_full` where there is no room, `spool_unwritable` where none can be made.
        """
        folder = self.path / ".incoming" / secrets.token_hex(8)
        with _writing(self.path):
            folder.mkdir(mode=0o700, parents=True)
            free = shutil.disk_usage(self.path).free
        try:
            if needs > free:
                raise SettleError("spool_full", f"spool {self.path} has {free} bytes free; {needs} are needed")
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _is_away(self, error: Exception) -> bool:
        """Whether the disk says no, or all of the spool is gone with it: that says nothing about one snapshot."""
        cause = error if isinstance(error, OSError) else error.__cause__
        if isinstance(cause, OSError) and cause.errno not in GONE:
            return True
        try:
            return not any(path.name != ".incoming" for path in self.path.iterdir())
        except OSError:
            return True

    def holds(self, adapter: str, tree: str) -> bool:
        """Whether the snapshot lies here."""
        return self.payload(adapter, tree).is_dir()

    def trees(self, adapter: str) -> frozenset[str]:
        """The snapshots of an adapter that lie here."""
        return frozenset(path.parent.name for path in (self.path / adapter).glob("*/payload"))

    def lying(self) -> Iterator[Lying]:
        """Every snapshot, with its size; one that goes meanwhile is left out."""
        said = {(adapter, tree): str(sidecar.get("identity") or "") for adapter, tree, sidecar in self.sidecars()}
        for path in sorted(self.path.glob("[!.]*/*/*/payload")):
            adapter, tree = "/".join(path.parts[-4:-2]), path.parts[-2]
            with suppress(FileNotFoundError):
                size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
                yield Lying(adapter, tree, said.get((adapter, tree), ""), size, path.parent.stat().st_mtime)

    def write_sidecar(self, adapter: str, tree: str, sidecar: Mapping[str, Any]) -> None:
        """Record beside the payload what a rebuild needs."""
        with _writing(self.path):
            replace_file(self.folder(adapter, tree) / SIDECAR, (json.dumps(sidecar, sort_keys=True)).encode())

    def sidecars(self) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
        """Every snapshot that has a readable sidecar: adapter, tree, sidecar. Transient where none can be listed."""
        try:
            found = sorted(self.path.glob(f"*/*/*/{SIDECAR}"))
        except OSError as error:
            message = f"spool {self.path} cannot be read: {error.strerror or error}"
            raise Transient(message, "look for disk errors in the kernel's log") from error
        for path in found:
            with suppress(OSError, ValueError):
                sidecar = json.loads(path.read_bytes())
                if isinstance(sidecar, dict):
                    adapter = "/".join(path.parts[-4:-2])
                    yield adapter, path.parts[-2], sidecar


class _writing:  # noqa: N801 - reads as a word in `with _writing(...)`
    """Turn an OSError of the spool's own file system into the reason that it is."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            code = "spool_full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "spool_unwritable"
            raise SettleError(code, f"spool {self.path}: {error.strerror or error}") from error


def _size(payload: Path) -> int:
    """The bytes of a payload's files; nothing for what is not there."""
    total = 0
    for folder, _, names in os.walk(payload):
        for name in names:
            with suppress(OSError):
                total += (Path(folder) / name).lstat().st_size
    return total


def _pour(readinto: Callable[[memoryview], int], target: Path, expected: int) -> tuple[str, int]:
    """Copy until the end while hashing; fsynced. (sha256, size). A source that outgrows `expected` is not followed."""
    digest, size = hashlib.sha256(), 0
    buffer = memoryview(bytearray(CHUNK))
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        while size <= expected and (count := readinto(buffer)):
            digest.update(buffer[:count])
            out.write(buffer[:count])
            size += count
        out.flush()
        os.fsync(descriptor)
    return digest.hexdigest(), size


def _hash(folder: Path, name: str) -> tuple[str, int]:
    with os.fdopen(open_regular(folder, name), "rb", buffering=0) as file:
        digest = hashlib.file_digest(file, "sha256")
        return digest.hexdigest(), os.fstat(file.fileno()).st_size


def _check_secrets(payload: Path, files: Mapping[str, tuple[str, int]]) -> None:
    for name in (name for name, (_, size) in files.items() if size):
        # Mapped, since a tokenizer may be large; the copy is ours, so nobody cuts it short meanwhile.
        with (
            (payload / name).open("rb") as file,
            mmap.mmap(file.fileno(), _texts(payload, name), access=mmap.ACCESS_READ) as data,
        ):
            kind = leaks.secret_in(data)
        if kind:
            raise SettleError("leaks_secret", f"{name} holds {kind}")


def _texts(payload: Path, name: str) -> int:
    """How many bytes of a file are text: all, but of weights only the header, which anybody may have written into."""
    size = (payload / name).stat().st_size
    if not ad.is_weights(name):
        return size
    with (payload / name).open("rb") as file:
        return min(size, 8 + int.from_bytes(file.read(8), "little"))


def _folders(spool: Path, folder: Path) -> None:
    """Make a folder below the spool and those between, each private whatever the umask."""
    for part in (*reversed(folder.relative_to(spool).parents), folder.relative_to(spool)):
        (spool / part).mkdir(mode=0o700, exist_ok=True)


def write_file(path: Path, data: bytes) -> None:
    """Write and fsync; what is new is private."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def replace_file(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Write aside, fsync, rename over, fsync the folder: a reader sees the old bytes or the new ones."""
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        write_file(aside, data)
        aside.chmod(mode)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    sync(path.parent)


def clear_asides(path: Path) -> None:
    """Remove what a process that died in `replace_file` left beside a file; its caller is the file's one writer."""
    for aside in path.parent.glob(f".{path.name}.{'[0-9a-f]' * 8}"):
        with suppress(OSError):
            aside.unlink()
