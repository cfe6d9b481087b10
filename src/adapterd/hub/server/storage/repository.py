"""One repo: a bare git repository with its LFS objects beside it, changed under one lock."""

import shutil
import string
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from dulwich.index import commit_tree
from dulwich.objects import Blob, Commit, ObjectID, Tag
from dulwich.repo import Repo

from adapterd.hub.server.errors import HubError, bad_request, entry_not_found, revision_not_found
from adapterd.hub.server.storage import durable, patterns, trees
from adapterd.hub.server.storage.lfs import LfsStore
from adapterd.hub.server.storage.objects import Objects
from adapterd.hub.server.storage.operations import AddFile, AddLfs, Delete, Header, Operation
from adapterd.hub.server.storage.pointer import Pointer, parse_pointer
from adapterd.hub.server.storage.refs import BRANCHES, TAGS, Refs

_FILE = 0o100644
_SHORTEST_ID, _WHOLE_ID = 7, 40


@dataclass(frozen=True)
class Stamp:
    """Who does something, and when (seconds since 1970)."""

    name: str
    time: int

    @property
    def identity(self) -> bytes:
        """Give the author line of git."""
        return f"{self.name} <{self.name}@users.noreply.invalid>".encode()


class Repository:
    """A repo on disk."""

    def __init__(self, path: Path) -> None:
        """Open the bare repository at ``path``."""
        self.path = path
        self.lock = threading.Lock()
        self.objects = Objects(path / "objects")
        self.refs = Refs(path)
        self.lfs = LfsStore(path / "lfs")

    @classmethod
    def create(cls, path: Path, stamp: Stamp) -> None:
        """Make a repo with its first commit, durable but for the name of ``path`` itself."""
        durable.make_directory(path.parent)
        Repo.init_bare(path, mkdir=True, default_branch=b"main").close()
        repository = cls(path)
        repository.lfs.prepare()
        durable.sync_tree(path)
        blob = Blob.from_string(patterns.DEFAULT_ATTRIBUTES)
        repository.objects.add_object(blob)
        first = repository._write({b".gitattributes": blob.id}, [], Header("initial commit"), stamp)
        repository.refs.create(BRANCHES, "main", first)
        repository.close()

    def clean(self, older_than: float) -> None:
        """Remove the locks and half-written files of a killed server, which would block every later write."""
        for directory in ("objects", "refs"):
            durable.remove_stale(self.path / directory, "*.lock")
        self.lfs.clean(older_than)

    def close(self) -> None:
        """Let go of the object store."""
        self.objects.close()

    def remove(self) -> None:
        """Delete everything."""
        self.close()
        shutil.rmtree(self.path, ignore_errors=True)

    def resolve(self, revision: str) -> ObjectID:
        """Find the commit that a revision names: a tag, a branch, a full ref or the beginning of a commit's id.

        As in git, a tag goes before a branch of the same name.
        """
        short = revision.removeprefix(TAGS).removeprefix(BRANCHES)
        prefixes = [prefix for prefix in (TAGS, BRANCHES) if revision.startswith(prefix)] or [TAGS, BRANCHES]
        for prefix in prefixes:
            named = self.refs.get(prefix, short)
            if named is not None:
                return self.peel(named)
        if len(revision) == _WHOLE_ID and self._is_commit(revision):
            return ObjectID(revision.encode())
        if _SHORTEST_ID <= len(revision) < _WHOLE_ID and set(revision) <= set(string.hexdigits.lower()):
            found = [
                oid for oid in self.objects.iter_prefix(revision.encode()) if isinstance(self.objects[oid], Commit)
            ]
            if len(found) == 1:
                return found[0]
        raise revision_not_found(revision)

    def _is_commit(self, text: str) -> bool:
        """Tell whether a text is the id of a commit of this repo."""
        try:
            return isinstance(self.objects[ObjectID(text.encode())], Commit)
        except (KeyError, ValueError):
            return False

    def peel(self, oid: ObjectID) -> ObjectID:
        """Give the commit that a tag object stands for."""
        found = self.objects[oid]
        return self.peel(found.object[1]) if isinstance(found, Tag) else oid

    def commit_at(self, oid: ObjectID) -> Commit:
        """Read a commit."""
        return self.objects.get(Commit, oid)

    def entry(self, commit: ObjectID, path: str) -> trees.Entry | None:
        """Find what a commit holds at a path."""
        return trees.lookup(self.objects, self.commit_at(commit).tree, path)

    def read(self, commit: ObjectID, path: str) -> bytes:
        """Read a small file of a commit; empty where there is none."""
        entry = self.entry(commit, path)
        return self.objects.get(Blob, entry.oid).data if entry and not entry.directory else b""

    def branch(self, name: str) -> ObjectID:
        """Give the head of a branch."""
        head = self.refs.get(BRANCHES, name)
        if head is not None:
            return head
        self.resolve(name)
        raise bad_request(f"{name} is no branch: only a branch can get a commit")

    def commit(self, branch: str, header: Header, operations: Iterable[Operation], stamp: Stamp) -> ObjectID:
        """Put a commit on a branch, if the branch still is where the client believes."""
        with self.lock:
            head = self.branch(branch)
            if not head.decode().startswith(header.parent):
                raise HubError(412, "A commit has happened since. Please refresh and try again.")
            before = {entry.path.encode(): entry.oid for entry in trees.files(self.objects, self.commit_at(head).tree)}
            after = self._apply(before, operations)
            made = self._write(after, [head], header, stamp)
            self.refs.move(BRANCHES, branch, head, made)
            return made

    def squash(self, branch: str, message: str, stamp: Stamp) -> ObjectID:
        """Put one new root commit, with the tree of the branch's head, in the place of the branch's history."""
        with self.lock:
            head = self.branch(branch)
            made = self._commit(self.commit_at(head).tree, [], Header(message), stamp)
            self.refs.move(BRANCHES, branch, head, made)
            return made

    def tag(self, name: str, target: ObjectID, message: str, stamp: Stamp) -> None:
        """Add a tag; a message makes it an annotated one."""
        with self.lock:
            named = target
            if message:
                tag = Tag()
                tag.name, tag.message = name.encode(errors="replace"), message.encode(errors="replace")
                tag.object = (Commit, target)
                tag.tagger, tag.tag_time, tag.tag_timezone = stamp.identity, stamp.time, 0
                self.objects.add_object(tag)
                self.objects.sync()
                named = tag.id
            self.refs.create(TAGS, name, named)

    def _apply(self, before: dict[bytes, ObjectID], operations: Iterable[Operation]) -> dict[bytes, ObjectID]:
        """Make a commit's operations, in their order, on a flat list of paths."""
        after = dict(before)
        tracked: list[str] = []
        for operation in operations:
            match operation:
                case AddFile(path, content):
                    after[path.encode()] = self._add_file(path, content)
                case AddLfs(path):
                    after[path.encode()] = self._add_lfs(operation)
                    tracked.append(path)
                case Delete(path):
                    _delete(after, operation)
        self._track(after, [path for path in tracked if path.encode() in after])
        for name in after:
            parents = name.split(b"/")[:-1]
            if any(b"/".join(parents[:depth]) in after for depth in range(1, len(parents) + 1)):
                raise bad_request(f"{name.decode()} would lie below a file")
        return after

    def _add_file(self, path: str, content: bytes) -> ObjectID:
        """Store the bytes of an ordinary file."""
        if len(content) > patterns.LARGE:
            raise bad_request(f"{path} has {len(content)} bytes: files over {patterns.LARGE} bytes go through LFS")
        pointer = parse_pointer(content)
        if pointer is not None and self.lfs.size(pointer.oid) is None:
            raise bad_request(f"{path} is a pointer to LFS object {pointer.oid}, which was never uploaded")
        blob = Blob.from_string(content)
        self.objects.add_object(blob)
        return blob.id

    def _add_lfs(self, operation: AddLfs) -> ObjectID:
        """Store the pointer to an LFS object whose bytes are here."""
        size = self.lfs.size(operation.oid)
        if size is None:
            raise bad_request(f"{operation.path}: LFS object {operation.oid} was never uploaded")
        if operation.size not in {None, size}:
            raise bad_request(f"{operation.path}: LFS object {operation.oid} has {size} bytes, not {operation.size}")
        blob = Blob.from_string(Pointer(operation.oid, size).render())
        self.objects.add_object(blob)
        return blob.id

    def _track(self, after: dict[bytes, ObjectID], paths: list[str]) -> None:
        """Let ``.gitattributes`` name every LFS path."""
        held = after.get(b".gitattributes")
        attributes = self.objects.get(Blob, held).data if held else b""
        wanted = patterns.track(attributes, paths)
        if wanted != attributes:
            after[b".gitattributes"] = self._add_file(".gitattributes", wanted)

    def _write(self, files: dict[bytes, ObjectID], parents: list[ObjectID], header: Header, stamp: Stamp) -> ObjectID:
        """Write the trees and the commit."""
        tree = commit_tree(self.objects, [(path, oid, _FILE) for path, oid in files.items()])
        return self._commit(tree, parents, header, stamp)

    def _commit(self, tree: ObjectID, parents: list[ObjectID], header: Header, stamp: Stamp) -> ObjectID:
        """Write a commit and make it, and all that it names, durable."""
        commit = Commit()
        commit.tree, commit.parents = tree, parents
        commit.author = commit.committer = stamp.identity
        commit.author_time = commit.commit_time = stamp.time
        commit.author_timezone = commit.commit_timezone = 0
        commit.encoding = b"UTF-8"
        commit.message = header.message().encode(errors="replace")
        self.objects.add_object(commit)
        self.objects.sync()
        return commit.id


def _delete(files: dict[bytes, ObjectID], operation: Delete) -> None:
    """Take away a path that must be there."""
    path = operation.path.encode()
    if operation.folder:
        below = [name for name in files if name.startswith(path + b"/")]
        if not below:
            raise entry_not_found(f"A folder with this name doesn't exist: {operation.path}")
        for name in below:
            del files[name]
    elif files.pop(path, None) is None:
        raise entry_not_found(f"A file with this name doesn't exist: {operation.path}")
