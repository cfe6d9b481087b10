"""Pull a version: download aside, verify every byte against the manifest, then put it in place in one rename.

Whoever looks at the target sees nothing, the old version whole, or the new one whole. What an interrupted pull left
aside is taken up again by the next one.
"""

import errno
import fcntl
import hashlib
import os
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from adapterd.core.adapter import CONFIG
from adapterd.core.channels import drift
from adapterd.core.publication import MANIFEST, OWN_FILES
from adapterd.deploy.exchange import exchange
from adapterd.deploy.faults import AlteredError, ForeignPlaceError, OccupiedError, VerificationError
from adapterd.deploy.resolving import Resolved
from adapterd.durable import sync
from adapterd.ports import Denied, Hub, Transient

UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTSUP)
"""How a file system says that nothing can be made there; /proc says that it is not found."""

OTHER = f"{MANIFEST} is that of another version"
FORCE = "choose another directory, or add --force to replace it"
FOREIGN = "choose another directory; --force does not help, since it replaces pulled versions alone"

Say = Callable[[str], None]
Files = Mapping[str, tuple[str, int]]
"""Payload path to (sha256, size in bytes)."""


def pull(hub: Hub, resolved: Resolved, target: Path, say: Say, *, force: bool = False) -> Path:
    """Put the version's payload and manifest at `target`, an absolute path; give it back.

    Args:
        hub: to download from.
        resolved: the version.
        target: a directory that is absent, empty, or holds this version already; with `force`, or another one.
        say: told what is being done, line by line.
        force: exchange whatever version lies there for this one.

    Raises:
        OccupiedError: something else lies there; AlteredError and ForeignPlaceError are of this kind.
        Denied: the place cannot be written to.
        VerificationError: a file is not what the manifest says.
    """
    name = f"{resolved.adapter}@{resolved.tag}"
    occupied = occupied_by(name, target, target / MANIFEST)
    if occupied is not None:
        problem = difference(resolved, target)
        if not problem:
            say(f"{name} is already there; nothing to download")
            return target
        if not occupied:
            raise ForeignPlaceError(f"{target} holds something else than {name}: {problem}", FOREIGN)
        if not force and problem == OTHER:
            raise OccupiedError(f"{target} holds another version than {name}: {problem}", FORCE)
        if not force:
            raise AlteredError(f"{name} in {target} was altered since it was pulled: {problem}", FORCE)
    with aside_at(target.with_name(f".{target.name}.adapterd-{resolved.commit[:12]}"), target) as aside:
        fill(hub, resolved, resolved.files, aside, say, resolved.manifest)
        if occupied:
            exchange(aside, target)
            shutil.rmtree(aside)
        else:
            aside.rename(target)
        sync(target.parent)
    return target


def difference(resolved: Resolved, folder: Path) -> str:
    """How a directory differs from the version; empty where a loader would read exactly the version from it."""
    try:
        if (folder / MANIFEST).read_bytes() != resolved.manifest:
            return OTHER
    except FileNotFoundError:
        return f"there is no {MANIFEST}"
    return altered(folder, resolved.files)


def altered(folder: Path, files: Files) -> str:
    """How a directory differs from the payload that a manifest lists; empty where a loader would read exactly that."""
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    if foreign := drift(there, files, OWN_FILES):
        return f"{foreign[0]} does not belong to it"
    return next((problem for path in sorted(files) if (problem := _wrong(files, folder, path))), "")


def occupied_by(name: str, target: Path, manifest: Path) -> bool | None:
    """None where the place is free; else whether a version of some adapter lies there, which may be replaced.

    Args:
        name: of the version that shall lie there.
        target: the place.
        manifest: where the manifest of a version in that place would be.
    """
    try:
        mode = target.lstat().st_mode
    except FileNotFoundError:
        return None
    except NotADirectoryError:
        raise ForeignPlaceError(f"{target} cannot be: a file lies on the way to it", FOREIGN) from None
    except PermissionError as error:
        raise denied(target, error) from error
    if not stat.S_ISDIR(mode):
        what = "a link" if stat.S_ISLNK(mode) else "no directory"
        hint = "name the directory itself, or a new one; --force does not help, since it replaces pulled versions alone"
        raise ForeignPlaceError(f"{target} is {what}; {name} was not pulled", hint)
    try:
        if not any(target.iterdir()):
            return None  # a rename replaces an empty directory
    except PermissionError as error:
        raise denied(target, error) from error
    return manifest.is_file()


def denied(target: Path, error: OSError) -> Denied:
    """What it means that a place cannot be written to."""
    return Denied(f"{target} cannot be written: {error.strerror}", "pull to a place where this user may write")


@contextmanager
def aside_at(aside: Path, target: Path) -> Iterator[Path]:
    """A directory that no other pull works in, and that the next pull of the same version finds.

    Args:
        aside: the directory, on the file system of the target.
        target: what errors name.
    """
    try:
        aside.parent.mkdir(parents=True, exist_ok=True)
        aside.mkdir(exist_ok=True)
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        raise denied(target, error) from error
    busy = Transient(f"another pull of the same version to {target} is under way", "pull again when it has ended")
    try:
        descriptor = os.open(aside, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:  # another pull ended, and took it or swept it away
        raise busy from None
    try:
        if os.fstat(descriptor).st_uid != os.geteuid():
            raise OccupiedError(
                f"{aside} belongs to another user", f"remove it, or pull to a place below {Path.home()}"
            )
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            mine = aside.stat().st_ino == os.fstat(descriptor).st_ino
        except (BlockingIOError, FileNotFoundError):
            mine = False
        if not mine:
            raise busy
        yield aside
    finally:
        os.close(descriptor)


def fill(hub: Hub, resolved: Resolved, files: Files, aside: Path, say: Say, manifest: bytes | None) -> None:
    """Bring these files of the version into `aside`, and a manifest, verified and durable; nothing else stays there.

    The configuration comes last: without it, no loader takes what is half there for an adapter.
    """
    _sweep(aside, lambda name: any(name == path or name.startswith(f"{path}.") for path in files))
    total = len(files)
    for count, path in enumerate(sorted(files, key=lambda each: (each == CONFIG, each)), 1):
        place = aside / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists() or _wrong(files, aside, path):
            say(f"{count}/{total} {path}, {files[path][1]:,} bytes")
            found = hub.download(resolved.adapter, resolved.commit, path, str(place))
            if found != files[path][0] and (problem := _wrong(files, aside, path)):
                place.unlink()
                text = f"{resolved.adapter}@{resolved.tag}: {problem}; nothing was put in place"
                raise VerificationError(text, "pull again; if it stays so, tell the publisher of this repo")
    _sweep(aside, files.__contains__)
    if manifest is not None:
        with (aside / MANIFEST).open("xb") as file:
            file.write(manifest)
            file.flush()
            os.fsync(file.fileno())
    for folder in (aside, *(path for path in aside.rglob("*") if path.is_dir())):
        sync(folder)


def _sweep(aside: Path, keeps: Callable[[str], bool]) -> None:
    """Remove what an earlier pull left and this one has no use for; parts of files are resumed."""
    for path in aside.rglob("*"):
        if path.is_symlink() or (path.is_file() and not keeps(path.relative_to(aside).as_posix())):
            path.unlink()


def _wrong(files: Files, folder: Path, path: str) -> str:
    """How a file differs from what the manifest says; empty where it does not."""
    digest, size = files[path]
    try:
        descriptor = os.open(folder / path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        there = os.fstat(descriptor)
        if not stat.S_ISREG(there.st_mode) or there.st_size != size:
            return f"{path} has {there.st_size} bytes, its manifest says {size}"
        found = hashlib.file_digest(file, "sha256").hexdigest()
    return "" if found == digest else f"{path} has the sha256 {found[:12]}, its manifest says {digest[:12]}"
