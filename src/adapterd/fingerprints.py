"""A base model's files: which they are, how large, and the fingerprint of their content. No torch here.

A file's digest is kept by the file's identity (device, inode, size, modification time), also across restarts, so that a
base of 100 GB is not read twice to be recognised.
"""

import hashlib
import json
import re
import threading
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from pathlib import Path

from adapterd.spool import replace_file

CONFIG = "config.json"
SHORT = 16
"""Digits of a fingerprint that are shown where all 64 are too many, and the fewest that name one."""

_WEIGHTS = (".safetensors", ".bin", ".gguf")
_LOADED = re.compile(r"(?:model|pytorch_model)(?:-\d{5}-of-\d{5})?\.(?:safetensors|bin)")
_MOST = 1024
"""Digests that are kept; the oldest go first."""
_LARGEST = 1024 * 1024
_IDENTITY = re.compile(r"\d+:\d+:\d+:-?\d+")
_DIGEST = re.compile(r"[0-9a-f]{64}")


class Digests:
    """The sha256 of base files by file identity, in memory and, where a path is given, on disk. Thread-safe."""

    def __init__(self, path: Path | None = None) -> None:
        """Read what an earlier process learned; a file that is damaged or missing says nothing."""
        self._path = path
        self._lock = threading.Lock()
        self._known = _read(path) if path is not None else {}

    def known(self) -> dict[str, str]:
        """Everything that is known, oldest first."""
        with self._lock:
            return dict(self._known)

    def learn(self, found: Mapping[str, str]) -> None:
        """Add what is new. A disk that cannot take it costs a second hashing after a restart, and nothing else."""
        with self._lock:
            fresh = {str(key): str(value) for key, value in found.items() if self._known.get(key) != value}
            if not fresh:
                return
            merged = {key: value for key, value in self._known.items() if key not in fresh} | fresh
            self._known = dict(list(merged.items())[-_MOST:])
            if self._path is not None:
                with suppress(OSError):
                    replace_file(self._path, json.dumps({"schema": 1, "sha256": self._known}).encode())

    def of(self, folder: Path) -> str:
        """The fingerprint of a folder's base model; only files that are new or have changed are read."""
        hashes = self.known()
        digest = fingerprint(folder, hashes)
        self.learn(hashes)
        return digest

    def of_file(self, path: Path) -> str:
        """The sha256 of one file; read only if it is new or has changed."""
        hashes = self.known()
        digest = _digest(path, hashes)
        self.learn(hashes)
        return digest


def _read(path: Path) -> dict[str, str]:
    """What a file of digests holds, as far as it is one."""
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
        kept = json.loads(data)["sha256"] if len(data) <= _LARGEST else {}
        pairs = [(key, value) for key, value in kept.items() if _IDENTITY.fullmatch(key) and _DIGEST.fullmatch(value)]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}
    return dict(pairs[-_MOST:])


def fingerprint(folder: Path, hashes: MutableMapping[str, str]) -> str:
    """Digest of a base's config and weight files, by name, size and content; OSError where one cannot be read.

    `hashes` gives the digests of files that have not changed since, and keeps the others.
    """
    digest = hashlib.sha256()
    for path in base_files(folder):
        digest.update(f"{path.name} {path.stat().st_size} {_digest(path, hashes)}\n".encode())
    return digest.hexdigest()


def sketch(folder: Path) -> tuple[bytes, tuple[tuple[str, int], ...]] | None:
    """What two folders with the same fingerprint have in common, told without reading weights: config, names and sizes.

    None where there are no weights, or something cannot be read: such a folder is like no other.
    """
    try:
        files = base_files(folder)
        weights = tuple((path.name, path.stat().st_size) for path in files if path.name != CONFIG)
        config = (folder / CONFIG).read_bytes() if (folder / CONFIG).exists() else b""
    except OSError:
        return None
    return (config, weights) if weights else None


def weight_bytes(folder: Path) -> int:
    """Size of the weight files, for an estimate of what the base needs; 0 where the folder cannot be read."""
    total = 0
    with suppress(OSError):
        for path in base_files(folder):
            total += path.stat().st_size if path.name != CONFIG else 0
    return total


def base_files(folder: Path) -> list[Path]:
    """Config and weight files, by name: of the weights those that transformers loads, safetensors before pickles."""
    there = [path for path in folder.iterdir() if path.suffix in _WEIGHTS and path.is_file()] if folder.is_dir() else []
    for suffix in _WEIGHTS:
        alike = [path for path in there if path.suffix == suffix]
        weights = [path for path in alike if _LOADED.fullmatch(path.name)] or alike
        if weights:
            break
    else:
        weights = []
    config = [path for path in (folder / CONFIG,) if path.exists()]
    return sorted([*config, *weights], key=lambda path: path.name)


def _digest(path: Path, hashes: MutableMapping[str, str]) -> str:
    """The sha256 of one file, known by its identity; what changed while it was read is not kept."""
    before = _identity(path)
    if before in hashes:
        return hashes[before]
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if _identity(path) == before:
        hashes[before] = digest
    return digest


def _identity(path: Path) -> str:
    stat = path.stat()
    return f"{stat.st_dev}:{stat.st_ino}:{stat.st_size}:{stat.st_mtime_ns}"
