"""Reading the trees of a repo: what lies at a path, what lies below it, who changed it last."""

import stat
from collections.abc import Iterator
from dataclasses import dataclass

from dulwich.objects import Commit, ObjectID, Tree

from adapterd.hub.server.storage.objects import Objects
from adapterd.hub.server.storage.pointer import Pointer


@dataclass(frozen=True)
class Entry:
    """A file or a directory of a tree.

    Attributes:
        path: its path in the repo.
        oid: the git id of its blob or tree.
        directory: whether it is one.
        size: the file's own size, also where git holds a pointer; 0 for a directory.
        pointer: what git holds for an LFS file.
        pointer_size: how long that pointer is.
    """

    path: str
    oid: ObjectID
    directory: bool
    size: int = 0
    pointer: Pointer | None = None
    pointer_size: int = 0


def lookup(objects: Objects, tree: ObjectID, path: str) -> Entry | None:
    """Find what lies at a path; the empty path is the tree itself."""
    oid, mode = tree, stat.S_IFDIR
    for part in filter(None, path.split("/")):
        if not stat.S_ISDIR(mode):
            return None
        try:
            mode, oid = objects.get(Tree, oid)[part.encode()]
        except KeyError:
            return None
    return _entry(objects, path.strip("/"), mode, oid)


def walk(objects: Objects, top: Entry, *, recursive: bool) -> Iterator[Entry]:
    """List what lies in a directory, in git's order; with ``recursive`` all that lies below it."""
    for name, mode, oid in objects.get(Tree, top.oid).iteritems():
        path = f"{top.path}/{name.decode()}" if top.path else name.decode()
        entry = _entry(objects, path, mode, oid)
        yield entry
        if recursive and entry.directory:
            yield from walk(objects, entry, recursive=True)


def files(objects: Objects, tree: ObjectID) -> Iterator[Entry]:
    """List every file of a tree."""
    top = Entry("", tree, directory=True)
    return (entry for entry in walk(objects, top, recursive=True) if not entry.directory)


def history(objects: Objects, head: ObjectID) -> Iterator[tuple[ObjectID, Commit]]:
    """Walk from a commit to the root; every commit that this Hub makes has one parent at most."""
    at: ObjectID | None = head
    while at is not None:
        commit = objects.get(Commit, at)
        yield at, commit
        at = commit.parents[0] if commit.parents else None


def last_changes(objects: Objects, head: ObjectID, paths: list[str]) -> dict[str, ObjectID]:
    """Find, for each path of a commit, the newest commit that made it what it is."""
    wanted = {path: _oid_at(objects, objects.get(Commit, head).tree, path) for path in paths}
    found = dict.fromkeys(paths, head)
    for oid, commit in history(objects, head):
        # Once a commit holds something else at the path, the one after it was the change.
        wanted = {path: is_now for path, is_now in wanted.items() if _oid_at(objects, commit.tree, path) == is_now}
        if not wanted:
            break
        found.update(dict.fromkeys(wanted, oid))
    return found


def _oid_at(objects: Objects, tree: ObjectID, path: str) -> ObjectID | None:
    """Give the git id at a path, None where there is nothing."""
    entry = lookup(objects, tree, path)
    return entry.oid if entry else None


def _entry(objects: Objects, path: str, mode: int, oid: ObjectID) -> Entry:
    """Describe one line of a tree."""
    if stat.S_ISDIR(mode):
        return Entry(path, oid, directory=True)
    length, pointer = objects.describe(oid)
    if pointer is None:
        return Entry(path, oid, directory=False, size=length)
    return Entry(path, oid, directory=False, size=pointer.size, pointer=pointer, pointer_size=length)
