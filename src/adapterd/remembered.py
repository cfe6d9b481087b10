"""What is remembered of a root's tree between looks, so that the next one costs an `lstat` for each thing that counts.

A folder whose change time (`st_ctime`) is as it was is not listed again, and a file whose change time is as it was
is as it was: the kernel moves that time with every write, rename, truncation and change of rights, and nobody can set
it. Two rules keep this true. What changed less than `FRESH` before a look is taken as changed at the next look too,
since clocks tick coarsely (git's rule for its index); times of the future are the same case. And on a file system
that is not known to keep change times, or on another device below the root, every folder is listed at every look.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from adapterd import roots
from adapterd.core import adapter as ad

FRESH = 2_000_000_000
"""Nanoseconds: more than the coarsest clock that a file system keeps its change times with."""

_AGAIN = -1
"""The change time of a folder that is listed at the next look, whatever its own says."""
_MOST_SHAPES = 1000
_INNER = f"/{roots.TEMPLATES}"


class _Shape(NamedTuple):
    """What most folders of a run have in common: the files that are looked at, and what the folder is."""

    watched: tuple[str, ...] = ()
    part: bool = False
    run: bool = False


class _Node:
    """One folder: what it was when it was last listed, and the folders in it. Ten thousand of these take some MiB."""

    __slots__ = ("changed", "inode", "names", "nodes", "shape", "stamps")

    def __init__(self) -> None:
        self.changed = _AGAIN
        self.inode = 0
        self.stamps: tuple[object, ...] = ()
        self.shape = _NOTHING
        self.names: tuple[str, ...] = ()
        self.nodes: tuple[_Node, ...] = ()


_NOTHING = _Shape()


@dataclass(frozen=True, slots=True)
class Seen:
    """One look: the folders in which anything that counts may have changed, and those that cannot be listed.

    `reshaped` tells whether there are other folders than before, or other kinds of them. Paths are relative.
    """

    changed: frozenset[str]
    unreadable: tuple[str, ...]
    reshaped: bool


class Tree:
    """The tree below one root, at most `depth` deep, as `roots.walk` enters it. Not thread-safe."""

    def __init__(self, root: str, depth: int, *, keeping: bool, moment: Callable[[], int] = time.time_ns) -> None:
        """Nothing is remembered yet.

        Args:
            root: an absolute path.
            depth: how many levels below it are entered.
            keeping: whether its file system keeps change times.
            moment: nanoseconds since the epoch, on the clock that the kernel stamps files with.
        """
        self._root = f"{root}/."  # the root may be a link; what is in it may not
        self._marker = root + ad.MARKER_SUFFIX
        self._vouched: object = None
        self._depth = depth
        self._keeping = keeping
        self._moment = moment
        self._top = _Node()
        self._shapes: dict[_Shape, _Shape] = {}
        self._device = 0
        self._fresh = 0
        self._changed: set[str] = set()
        self._unreadable: list[str] = []
        self._reshaped = False

    def look(self) -> Seen:
        """Look at everything once."""
        self._changed, self._unreadable, self._reshaped = set(), [], False
        # Before anything is read: what changes from now on is fresh.
        self._fresh = self._moment() - FRESH
        try:
            self._device = os.lstat(self._root).st_dev
        except OSError:
            self._device = -1
        self._look_beside()
        stack = [(self._root, self._top, 0)]
        while stack:
            path, node, level = stack.pop()
            if not self._as_it_was(path, node):
                self._list(path, node, level)
            if node.names:
                stack += [
                    (f"{path}/{name}", child, level + 1) for name, child in zip(node.names, node.nodes, strict=True)
                ]
        return Seen(frozenset(self._changed), tuple(sorted(self._unreadable)), self._reshaped)

    def folders(self) -> Iterator[tuple[str, bool, bool]]:
        """Every folder of the last look: its path, whether it holds a part of an adapter, whether it is a run."""
        stack = [(self._root, self._top)]
        while stack:
            path, node = stack.pop()
            yield self._relative(path), node.shape.part, node.shape.run
            stack += [(f"{path}/{name}", child) for name, child in zip(node.names, node.nodes, strict=True)]

    def _relative(self, path: str) -> str:
        return path[len(self._root) + 1 :] or "."

    def _look_beside(self) -> None:
        """Look at the one file that counts and lies outside: the marker of the root itself."""
        try:
            info = os.lstat(self._marker)
        except OSError:
            vouched = None
        else:
            vouched = (info.st_mtime_ns, info.st_ino, info.st_ctime_ns)
        if vouched != self._vouched:
            self._vouched = vouched
            self._changed.add(".")

    def _as_it_was(self, path: str, node: _Node) -> bool:
        """Whether nothing in a folder changed. Most of a look's time is spent here, and most of that in `lstat`."""
        if node.changed == _AGAIN:
            return False
        lstat = os.lstat
        try:
            info = lstat(path)
            if info.st_ctime_ns != node.changed or info.st_ino != node.inode or info.st_dev != self._device:
                return False
            for name, stamp in zip(node.shape.watched, node.stamps, strict=True):
                if lstat(f"{path}/{name}").st_ctime_ns != stamp:
                    return False
        except OSError:
            return False
        return True

    def _list(self, path: str, node: _Node, level: int) -> None:
        """List a folder anew, and say that it changed."""
        was, keeping = (node.shape, node.names, node.stamps), False
        node.changed = _AGAIN
        try:
            info = os.lstat(path)
            listing = roots.list_folder(path)
        except OSError as error:
            if error.errno not in roots.GONE and not path.endswith(_INNER):
                self._unreadable.append(self._relative(path))
            names: tuple[str, ...] = ()
            node.shape, node.stamps = _NOTHING, ()
        else:
            keeping = self._keeping and info.st_dev == self._device
            names = self._fill(path, node, listing, level, keeping=keeping)
            stamps = [stamp for stamp in node.stamps if isinstance(stamp, int)]
            if keeping and len(stamps) == len(node.stamps) and max(info.st_ctime_ns, *stamps, 0) < self._fresh:
                node.changed, node.inode = info.st_ctime_ns, info.st_ino
        if names != node.names:
            known = dict(zip(node.names, node.nodes, strict=True))
            node.names, node.nodes = names, tuple(known.get(name) or _Node() for name in names)
        self._reshaped |= (node.shape.part, node.shape.run, names) != (was[0].part, was[0].run, was[1])
        if keeping or ad.LABELS in node.shape.watched or (node.shape, names, node.stamps) != was:
            self._say(path, {*was[0].watched, *node.shape.watched})

    def _fill(self, path: str, node: _Node, listing: roots.Listing, level: int, *, keeping: bool) -> tuple[str, ...]:
        """Take over what was listed; the names of the folders in it."""
        inner = path.endswith(_INNER)
        part, run = listing.part and not inner, listing.run and not inner
        watched = sorted((e for e in listing.entries if _counts(e.name, part=part, inner=inner)), key=lambda e: e.name)
        shape = _Shape(tuple(sys.intern(e.name) for e in watched), part, run)
        if len(self._shapes) > _MOST_SHAPES:
            self._shapes.clear()
        node.shape = self._shapes.setdefault(shape, shape)
        node.stamps = tuple(_stamp(entry, keeping=keeping) for entry in watched)
        names = [] if inner or level >= self._depth else list(listing.children)
        if part and any(e.name == roots.TEMPLATES and e.is_dir(follow_symlinks=False) for e in listing.entries):
            names.append(roots.TEMPLATES)
        return tuple(map(sys.intern, sorted(names)))

    def _say(self, path: str, watched: set[str]) -> None:
        """A folder changed; a marker in it speaks of the folder beside it, and a template of the folder around it."""
        relative = self._relative(path.removesuffix(_INNER))
        self._changed.add(relative)
        prefix = "" if relative == "." else f"{relative}/"
        self._changed.update(
            prefix + name.removesuffix(ad.MARKER_SUFFIX) for name in watched if name.endswith(ad.MARKER_SUFFIX)
        )


def _stamp(entry: "os.DirEntry[str]", *, keeping: bool) -> object:
    """What tells that a file changed; None where it vanished just now."""
    try:
        info = entry.stat(follow_symlinks=False)
    except OSError:
        return None
    return info.st_ctime_ns if keeping else (info.st_mtime_ns, info.st_size, info.st_ino)


def _counts(name: str, *, part: bool, inner: bool) -> bool:
    """Whether a change of this file may change what becomes of an adapter directory."""
    if inner:
        return ad.is_payload(f"{roots.TEMPLATES}/{name}")
    if part and (ad.is_payload(name) or name == ad.PICKLE):
        return True
    return name in (ad.STATE, ad.LABELS) or (name.endswith(ad.MARKER_SUFFIX) and roots.is_text(name))
