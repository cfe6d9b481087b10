"""Read watched roots: walk them, look at directories, open files safely. Nothing is ever written here."""

import errno
import fcntl
import json
import os
import signal as signals
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from adapterd.core import adapter as ad
from adapterd.core.adapter import Entry, Kind
from adapterd.core.archive import check_archive
from adapterd.core.errors import AdapterdError
from adapterd.core.settling import Look
from adapterd.core.trainerstate import TrainerState, parse_state

TEMPLATES = "additional_chat_templates"
MAX_TEXT = 32 * 1024 * 1024
"""Text files up to this size are read whole."""

PIECE = 64 * 1024
"""Most bytes of a text file that are read at a time."""

GONE = (errno.ENOENT, errno.ENOTDIR, errno.ESTALE)
DENIED = (errno.EACCES, errno.EPERM)


class SettleError(AdapterdError):
    """A directory could not be frozen; `code` is the code of the reason."""

    def __init__(self, code: str, message: str) -> None:
        """Keep the code."""
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder below a root that holds something of an adapter: path relative to the root, and its entries."""

    path: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Walk:
    """What one walk over a root found: adapter folders, and the folders that show the traces of a training run."""

    folders: tuple[Folder, ...]
    runs: frozenset[str]
    unreadable: tuple[str, ...] = ()
    """Folders that cannot be listed now: not allowed, or a disk or a server that does not answer."""


def inode_of(path: Path) -> tuple[int, int] | None:
    """(st_dev, st_ino) of a directory that can be listed, else None where it is absent.

    Raises SettleError ``root_unreadable`` where it is there and cannot be entered.
    """
    try:
        with os.scandir(path):
            found = path.stat()
    except OSError as error:
        if error.errno in GONE:
            return None
        raise SettleError("root_unreadable", f"root {path} cannot be listed: {error.strerror}") from error
    return found.st_dev, found.st_ino


def walk(root: Path, depth: int) -> Walk:
    """Find every folder below `root`, at most `depth` deep, that holds a part of an adapter.

    Links are not followed. A folder that is hidden, vanishes or cannot be read is left out, and so is one whose name
    holds control characters or is not UTF-8: no registry, page or card could show it.
    """
    folders: list[Folder] = []
    runs: set[str] = set()
    unreadable: list[str] = []
    stack = [(".", 0)]
    while stack:
        path, level = stack.pop()
        try:
            listing = list_folder(root / path)
        except OSError as error:
            unreadable += [path] if error.errno not in GONE else []
            continue
        if listing.run:
            runs.add(path)
        if listing.part:
            folders.append(Folder(path, _entries_if_readable(root / path, listing.entries)))
        if level < depth:
            prefix = "" if path == "." else f"{path}/"
            stack += [(prefix + child, level + 1) for child in listing.children]
    return Walk(tuple(sorted(folders, key=lambda f: f.path)), frozenset(runs), tuple(sorted(unreadable)))


@dataclass(frozen=True, slots=True)
class Listing:
    """One folder, listed: the folders in it that a walk enters, whether it holds a part of an adapter, or is a run."""

    entries: Sequence["os.DirEntry[str]"]
    children: tuple[str, ...]
    part: bool
    run: bool


def list_folder(folder: Path | str) -> Listing:
    """List one folder. OSError where it cannot be."""
    with os.scandir(folder) as listing:
        entries = list(listing)
    children = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    names = {entry.name for entry in entries}
    traces = any(ad.checkpoint_number(child) is not None for child in children)
    return Listing(
        entries,
        tuple(child for child in children if child != TEMPLATES and _watched(child)),
        part=ad.CONFIG in names or any(map(ad.is_weights, names)) or ad.PICKLE in names,
        run=ad.CONFIG in names or "training_args.bin" in names or traces,
    )


def folder_at(root: Path, path: str) -> Folder | None:
    """One folder as `walk` gives it; None where it cannot be listed."""
    try:
        with os.scandir(root / path) as listing:
            entries = list(listing)
    except OSError:
        return None
    return Folder(path, _entries_if_readable(root / path, entries))


def _watched(child: str) -> bool:
    """Whether a folder of this name is entered: not a hidden one, nor one whose name is no text."""
    return is_text(child) and not child.startswith(".") and child != "lost+found"


def is_text(name: str) -> bool:
    """Whether a name is UTF-8 without control characters: no registry, page or card could show any other."""
    return not any(letter < " " or letter == "\x7f" or "\ud800" <= letter <= "\udfff" for letter in name)


def _entries_if_readable(folder: Path, listing: Sequence["os.DirEntry[str]"]) -> tuple[Entry, ...]:
    """As `_entries`, but nothing where that fails: a look at the folder says why."""
    try:
        return _entries(folder, listing)
    except OSError:
        return ()


def entries_of(folder: Path) -> tuple[Entry, ...]:
    """The entries of one folder that matter. OSError where it cannot be listed."""
    with os.scandir(folder) as listing:
        return _entries(folder, list(listing))


def _entries(folder: Path, listing: Sequence["os.DirEntry[str]"]) -> tuple[Entry, ...]:
    found = []
    for entry in (entry for entry in listing if is_text(entry.name)):
        try:
            found.append(_entry(entry.name, entry.stat(follow_symlinks=False)))
            if entry.name == TEMPLATES and entry.is_dir(follow_symlinks=False):
                with os.scandir(folder / TEMPLATES) as inner:
                    named = [e for e in inner if is_text(e.name)]
                    found += [_entry(f"{TEMPLATES}/{e.name}", e.stat(follow_symlinks=False)) for e in named]
        except OSError as error:
            if error.errno not in GONE:
                raise
    return tuple(found)


def _entry(name: str, info: os.stat_result) -> Entry:
    kind = Kind.OTHER
    if stat.S_ISDIR(info.st_mode):
        kind = Kind.DIRECTORY
    elif stat.S_ISREG(info.st_mode):
        kind = Kind.FILE
    return Entry(name, kind, info.st_size, info.st_mtime_ns, info.st_ino)


def open_regular(folder: Path, name: str) -> int:
    """Open one regular file for reading, never a link and never blocking on a pipe. SettleError says why not."""
    try:
        # To open a pipe for reading would let its writer go on.
        regular = stat.S_ISREG((folder / name).lstat().st_mode)
        if not regular:
            raise SettleError("not_regular", f"{name} in {folder} is no regular file")
        descriptor = os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in GONE:
            raise SettleError("source_gone", f"{name} in {folder} vanished") from error
        if error.errno in DENIED:
            raise SettleError("source_unreadable", f"{name} in {folder} cannot be read: {error.strerror}") from error
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise SettleError("not_regular", f"{name} in {folder} is no regular file") from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise SettleError("not_regular", f"{name} in {folder} is no regular file")
    return descriptor


def read_small(folder: Path, name: str, limit: int) -> bytes:
    """The bytes of one regular file of at most `limit` bytes. SettleError, or ValueError for a larger one."""
    with os.fdopen(open_regular(folder, name), "rb") as file:
        data = up_to(file, limit + 1)
    if len(data) > limit:
        raise ValueError(f"{name} has more than {limit} bytes")
    return data


def up_to(file: BinaryIO, limit: int) -> bytes:
    """The bytes of a file, and of a larger one the first `limit`.

    In pieces, since `read` takes room for its whole limit first; once 32 MiB were freed, glibc gives memory back to the
    system later (mallopt(3), M_MMAP_THRESHOLD).
    """
    data = bytearray()
    while piece := file.read(min(limit - len(data), PIECE)):
        data += piece
    return bytes(data)


def read_if_there(folder: Path, name: str, limit: int) -> bytes | None:
    """As `read_small`, but None where there is no such file or it is not readable as one."""
    try:
        return read_small(folder, name, limit)
    except (SettleError, ValueError):
        return None


def look(folder: Path, entries: Sequence[Entry], *, checkpoint: bool, pickles: bool = False) -> Look:
    """Look at an adapter directory once; with `pickles`, one whose weights are a pickle is one.

    SettleError where it vanished, cannot be read, or is no adapter.
    """
    present = signals_of(folder, checkpoint=checkpoint)
    seen = Look(ad.fingerprint(entries), whole=False, checkpoint=checkpoint, present=present)
    nature = ad.nature(entries, pickles=pickles)
    if nature.code != "adapter":
        return replace(seen, code=nature.code, fault=nature.message)
    try:
        _check_pair(folder, entries)
    except ad.BadConfigError as error:
        return replace(seen, code="bad_config", fault=str(error))
    except ad.BadWeightsError as error:
        return replace(seen, code="bad_weights", fault=str(error))
    signal = _signal(folder, entries, checkpoint=checkpoint)
    marked = not signal.startswith("marker:") and any(each.startswith("marker:") for each in present)
    newest = max(entry.mtime_ns for entry in ad.sources(entries))
    early = signal.startswith("state:") and int(signal.rsplit(":", 1)[1]) < newest
    return replace(seen, whole=True, signal=signal, early=early, marked=marked, held=_held(folder, entries))


def _check_pair(folder: Path, entries: Sequence[Entry]) -> None:
    names = [entry.name for entry in entries]
    try:
        ad.parse_config(read_small(folder, ad.CONFIG, ad.MAX_CONFIG_BYTES))
    except ValueError as error:
        raise ad.BadConfigError(str(error)) from error
    if ad.INDEX in names:
        try:
            missing = ad.missing_shards(read_small(folder, ad.INDEX, ad.MAX_CONFIG_BYTES), names)
        except ValueError as error:
            raise ad.BadWeightsError(str(error)) from error
        if missing:
            raise ad.BadWeightsError(f"{len(missing)} of the shards in {ad.INDEX} are missing, {missing[0]} first")
    for name in ad.weights_of(entries):
        try:
            if name == ad.PICKLE:
                check_pickle(folder)
            else:
                header_of(folder, name)
        except ad.BadWeightsError as error:
            raise ad.BadWeightsError(f"{name}: {error}") from error


def header_of(folder: Path, name: str) -> tuple[ad.Tensor, ...]:
    """The parsed header of a safetensors file. BadWeightsError or SettleError."""
    with os.fdopen(open_regular(folder, name), "rb") as file:
        return ad.parse_header(_part_of(file), os.fstat(file.fileno()).st_size)


def check_pickle(folder: Path) -> None:
    """Whether a pickle is whole, as far as can be told without reading it. BadWeightsError or SettleError."""
    with os.fdopen(open_regular(folder, ad.PICKLE), "rb") as file:
        check_archive(_part_of(file), os.fstat(file.fileno()).st_size)


def _part_of(file: BinaryIO) -> Callable[[int, int], bytes]:
    """Give `length` bytes from `offset`."""

    def read(offset: int, length: int) -> bytes:
        file.seek(offset)
        return file.read(length)

    return read


def signals_of(folder: Path, *, checkpoint: bool) -> frozenset[str]:
    """Identities of the marker beside a directory, and of a checkpoint's state file, whatever they say."""
    found = set()
    for kind, at, name in _vouchers(folder, checkpoint=checkpoint):
        with suppress(OSError):
            found.add(_identity(kind, (at / name).lstat()))
    return frozenset(found)


def _signal(folder: Path, entries: Sequence[Entry], *, checkpoint: bool) -> str:
    """Identity of what vouches for the directory: its marker, or a checkpoint's parsing trainer_state.json."""
    for kind, at, name in _vouchers(folder, checkpoint=checkpoint):
        with suppress(SettleError, ValueError, OSError, RecursionError):
            # One descriptor for both: what is parsed is what is named.
            with os.fdopen(open_regular(at, name), "rb") as file:
                info, data = os.fstat(file.fileno()), up_to(file, MAX_TEXT)
            if ad.vouched(data, entries) if kind == "marker" else isinstance(json.loads(data), dict):
                return _identity(kind, info)
    return ""


def _vouchers(folder: Path, *, checkpoint: bool) -> tuple[tuple[str, Path, str], ...]:
    """Where a directory's marker and state file would lie; a named adapter's checkpoint is the folder around it."""
    marker = ("marker", folder.parent, folder.name + ad.MARKER_SUFFIX)
    if not checkpoint:
        return (marker,)
    at = folder if ad.checkpoint_number(folder.name) is not None else folder.parent
    return (marker, ("state", at, ad.STATE))


def _identity(kind: str, info: os.stat_result) -> str:
    return f"{kind}:{info.st_ino}:{info.st_mtime_ns}"


def trainer_state(folder: Path, *, named: bool) -> TrainerState:
    """What a run's trainer_state.json says; that of a `named` sub-folder lies in the folder around it."""
    for at in (folder, folder.parent) if named else (folder,):
        data = read_if_there(at, ad.STATE, MAX_TEXT)
        if data is not None:
            return parse_state(data)
    return TrainerState()


def _held(folder: Path, entries: Sequence[Entry]) -> bool:
    """Whether a process has a weights file open for writing, where the kernel can tell.

    A read lease is refused while a writer has the file open (fcntl(2), F_SETLEASE; owner only, not on NFS). It is
    held for microseconds; a writer that opens the file in between waits that long, and the break signal is one
    whose default is to be ignored.
    """
    for name in ad.weights_of(entries):
        descriptor = open_regular(folder, name)
        try:
            fcntl.fcntl(descriptor, fcntl.F_SETSIG, signals.SIGURG)
            fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
            fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        except OSError as error:
            if error.errno == errno.EAGAIN:
                return True
        finally:
            os.close(descriptor)
    return False
