"""A directory that holds versions of many adapters side by side, each whole and verified, as an engine reads them.

Whoever looks finds each version whole or not at all: what is being written lies in a hidden folder on the same file
system and comes in by one rename. Names that move are links, switched by one rename.
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from adapterd.core.publication import MANIFEST
from adapterd.deploy.exchange import exchange
from adapterd.deploy.faults import AlteredError, ForeignPlaceError, NewerSchemaError, OccupiedError, VerificationError
from adapterd.deploy.layout import Layout, demand_name, is_name, payload_of
from adapterd.deploy.manifest import Manifest, parse_manifest
from adapterd.deploy.pulling import (
    FORCE,
    FOREIGN,
    OTHER,
    Files,
    Say,
    altered,
    aside_at,
    fill,
    occupied_by,
)
from adapterd.deploy.resolving import Resolved
from adapterd.deploy.room import GONE, PART, Meant, Room
from adapterd.durable import sync
from adapterd.ports import Denied, Hub, NotFound


@dataclass(frozen=True, slots=True)
class Held:
    """A version that lies on a shelf.

    Attributes:
        commit: that the Hub named for it; empty where that is not known here.
        files: its payload as this layout has it, each path to (sha256, size in bytes).
        manifest: the bytes of its manifest.
    """

    serving_name: str
    adapter: str
    number: int
    identity: str
    commit: str
    path: Path
    files: Files = field(repr=False)
    manifest: bytes = field(repr=False)

    @property
    def altered(self) -> str:
        """How what lies there differs from its manifest; empty where a loader would read exactly the version."""
        return altered(self.path, self.files)


class Shelf:
    """The versions in a directory.

    In the layouts ``vllm`` and ``nim`` each has a folder there, by its serving name. In the layout ``plain`` the
    directory itself is the version, and former ones lie in a hidden folder beside it.
    """

    def __init__(self, directory: Path, layout: Layout) -> None:
        """Name the place; nothing is read or written yet. The directory is an absolute path."""
        self.directory = directory
        self.layout = layout
        plain = layout is Layout.PLAIN
        self.room = Room(directory.with_name(f".{directory.name}.adapterd") if plain else directory / ".adapterd")

    def put(self, hub: Hub, resolved: Resolved, say: Say, *, force: bool = False, link: str = "") -> Path:
        """Let the version lie here, whole and verified; where. Nothing is downloaded where it lies here already.

        In the layout ``plain`` another whole version of the same adapter makes room, and stays as a former one.

        Args:
            hub: to download from.
            resolved: the version.
            say: told what is being done, line by line.
            force: replace what was altered, or belongs to another adapter.
            link: a name that means this version from the same moment on, so that nobody tidies it away in between.

        Raises:
            OccupiedError: something else lies there; AlteredError and ForeignPlaceError are of this kind.
            Denied: the place cannot be written to.
            VerificationError: a file is not what the manifest says, or the layout cannot hold this version.
        """
        name, files = demand_name(resolved.serving_name), payload_of(self.layout, resolved)
        place = self.directory if self.layout is Layout.PLAIN else self.directory / name
        if self._lies(resolved, files, place, force=force) and (not link or self._linked(link, name)):
            say(f"{resolved.adapter}@{resolved.tag} is already there; nothing to download")
            return place
        if self.layout is Layout.PLAIN and self._bring_back(resolved, files):
            say(f"{resolved.adapter}@{resolved.tag} lay here before; nothing to download")
            return place
        with aside_at(self.room.path / f"{PART}{name}-{resolved.commit[:12]}", place) as aside:
            fill(hub, resolved, files, aside, say, None if self.layout is Layout.NIM else resolved.manifest)
            with self.room.locked():
                self._record(resolved)
                self._switch(self._named(aside, name), place)
                if link:
                    self._link(link, name)
        return place

    def there(self) -> Mapping[str, Held]:
        """Every version that lies here, by its serving name, as its manifest says; `Held.altered` compares bytes."""
        found: dict[str, Held] = {}
        for folder in self._folders():
            if (held := self.held(folder)) is not None:
                found.setdefault(held.serving_name, held)
        return found

    def manifest(self, folder: Path) -> Path:
        """Where the manifest of the version in a folder lies."""
        return self.room.manifest(folder.name) if self.layout is Layout.NIM else folder / MANIFEST

    def held(self, folder: Path) -> Held | None:
        """The version in a folder; None where none is to be read there."""
        data = _bytes(self.manifest(folder))
        if data is None or not folder.is_dir():
            return None
        try:
            manifest = parse_manifest(data, str(folder))
            files = payload_of(self.layout, manifest)
        except (VerificationError, NewerSchemaError):
            return None
        if not self._is_at_home(manifest, folder):
            return None
        return Held(
            manifest.serving_name,
            manifest.adapter,
            manifest.number,
            manifest.identity,
            self.room.commit(manifest.serving_name, data),
            folder,
            files,
            data,
        )

    def known(self) -> Mapping[str, bytes]:
        """The manifests that lie here, by every commit that is known to hold them: tags' and channels' heads."""
        there = self.there()
        found = {held.commit: held.manifest for held in there.values() if held.commit}
        heads = self.room.heads().items()
        return found | {h: there[name].manifest for h, name in heads if h and name in there and there[name].commit}

    def remember(self, channel: str, resolved: Resolved, at: float) -> None:
        """Remember what a channel meant at this time (seconds since the epoch), where this user may write."""
        meant = Meant(resolved.serving_name, resolved.head, at)
        with suppress(Denied), self.room.locked():
            self.room.note_channel(resolved.adapter, channel, meant)

    def links(self) -> Mapping[str, str]:
        """The links of a ``vllm`` shelf: name to serving name."""
        if self.layout is not Layout.VLLM or not self.directory.is_dir():
            return {}
        return {p.name: str(p.readlink()) for p in sorted(self.directory.iterdir()) if p.is_symlink()}

    def link(self, name: str, serving_name: str) -> None:
        """Let a name mean a version that lies here, from one moment to the next. Layout ``vllm`` alone has links.

        Raises:
            NotFound: there is no such version here.
            OccupiedError: something that is no link has the name.
        """
        if not self._linked(name, serving_name):
            raise NotFound(f"{serving_name} does not lie in {self.directory}", "pull it first")

    def remove(self, serving_name: str) -> None:
        """Take a version away; nothing happens where it does not lie here.

        Raises:
            OccupiedError: a link points to it, or it is what a ``plain`` directory holds.
        """
        with self.room.locked():
            self._remove(serving_name)

    def tidy(self, keep: int, but: Collection[str] = ()) -> tuple[str, ...]:
        """Of each adapter keep the newest `keep` versions beside those in use, remove the others; their names.

        Args:
            keep: so many by number.
            but: serving names that are in use, beside those that links name and what a ``plain`` directory holds.
        """
        if not self.room.path.is_dir():
            return ()
        removed: list[str] = []
        with self.room.locked():
            self._settle()
            held, used = self.there(), {*but, *self.links().values()}
            spare = [h for h in held.values() if h.serving_name not in used and h.path != self.directory]
            for adapter in sorted({each.adapter for each in spare}):
                former = sorted((h for h in spare if h.adapter == adapter), key=lambda h: -h.number)
                removed += [each.serving_name for each in former[keep:]]
            for name in removed:
                self._remove(name)
            self.room.sweep()
        return tuple(removed)

    def _linked(self, name: str, serving_name: str) -> bool:
        """Let a name mean a version; False where it does not lie here."""
        if self.layout is not Layout.VLLM:
            raise OccupiedError(f"the layout {self.layout} has no links", "use the layout vllm, or the serving name")
        folder = self.directory / demand_name(serving_name)
        if not folder.is_dir() or name == serving_name:
            return False
        with self.room.locked():
            if not folder.is_dir():
                return False
            self._link(name, serving_name)
        return True

    def _link(self, name: str, serving_name: str) -> None:
        """Let a name mean a version that lies here. The lock is held."""
        place = self.directory / demand_name(name)
        if place.is_symlink() and str(place.readlink()) == serving_name:
            return
        if place.exists() and not place.is_symlink():
            raise OccupiedError(f"{place} is no link", "remove it, or choose another name")
        self.room.link(place, serving_name)

    def _lies(self, resolved: Resolved, files: Files, place: Path, *, force: bool) -> bool:
        """Whether the version lies in its place; an error where something lies there that may not be replaced."""
        try:
            found = self._looked(resolved, files, place, force=force)
        except (OccupiedError, FileNotFoundError) as seen:
            if not self.room.path.is_dir():
                raise
            # Another pull may have switched it while it was read; none does while the lock is held.
            try:
                with self.room.locked():
                    found = self._looked(resolved, files, place, force=force)
            except Denied:
                raise seen from None
        if not found:
            return False
        manifest = self.manifest(place)
        if not manifest.is_file() or self.room.commit(resolved.serving_name, resolved.manifest) != resolved.commit:
            self._note(resolved)
        return True

    def _looked(self, resolved: Resolved, files: Files, place: Path, *, force: bool) -> bool:
        """The same, of what lies there while it is read."""
        name = f"{resolved.adapter}@{resolved.tag}"
        manifest = self.manifest(place)
        occupied = occupied_by(name, place, manifest)
        if occupied is None:
            return False
        known = _bytes(manifest)
        # The hidden folder of a NIM shelf may be lost while the version is there.
        lost = self.layout is Layout.NIM and known is None and place.is_dir()
        problem = altered(place, files) if lost or known == resolved.manifest else OTHER
        if not problem:
            return True
        if not occupied:
            raise ForeignPlaceError(f"{place} holds something that was never pulled; {name} was not put there", FOREIGN)
        if force:
            return False
        if problem != OTHER:
            raise AlteredError(f"{name} in {place} was altered since it was pulled: {problem}", FORCE)
        there = self.held(place)
        if self.layout is not Layout.PLAIN or there is None or there.adapter != resolved.adapter:
            raise OccupiedError(f"{place} holds another version than {name}: {problem}", FORCE)
        if problem := there.altered:
            was = f"{there.adapter}@v{there.number}"
            raise AlteredError(f"{was} in {place} was altered since it was pulled: {problem}", FORCE)
        return False

    def _note(self, resolved: Resolved) -> None:
        """Remember a version that lies here, where this user may write."""
        with suppress(Denied), self.room.locked():
            self._record(resolved)

    def _record(self, resolved: Resolved) -> None:
        """Remember a version. The lock is held."""
        if self.layout is Layout.NIM:
            self.room.write(self.room.manifest(resolved.serving_name), resolved.manifest)
        self.room.note_version(resolved.serving_name, resolved.commit, resolved.manifest)

    def _bring_back(self, resolved: Resolved, files: Files) -> bool:
        """Put a former version in place again, where it lies here whole."""
        if not self.room.path.is_dir():
            return False
        with self.room.locked():
            self._settle()
            former = self.room.path / resolved.serving_name
            if _bytes(former / MANIFEST) != resolved.manifest or altered(former, files):
                return False
            self._record(resolved)
            self._switch(former, self.directory)
        return True

    def _named(self, aside: Path, name: str) -> Path:
        """A whole version under its name, so that whatever lies there after a break is found. The lock is held."""
        if self.layout is not Layout.PLAIN:
            return aside
        self.room.discard(self.room.path / name)
        return aside.rename(self.room.path / name)

    def _switch(self, fresh: Path, place: Path) -> None:
        """Put a whole folder in its place; what lay there becomes a former version, or goes. The lock is held."""
        if place.is_dir() and any(place.iterdir()):
            exchange(fresh, place)
            if self.layout is not Layout.PLAIN:
                self.room.discard(fresh)
            else:
                self._settle()
        else:
            fresh.rename(place)
        sync(place.parent)

    def _settle(self) -> None:
        """Give each former version of a ``plain`` directory the name that its manifest says. The lock is held.

        After a break in the middle of a switch the former one lies under the name of the new one.
        """
        if self.layout is not Layout.PLAIN:
            return
        for folder in tuple(self._formers()):
            held = self.held(folder)
            if held is not None and held.serving_name == folder.name:
                continue
            if held is None or held.altered or self.held(self.room.path / held.serving_name) is not None:
                self.room.discard(folder)
            else:
                folder.rename(self.room.path / held.serving_name)

    def _remove(self, serving_name: str) -> None:
        held = self.there().get(serving_name)
        if held is None:
            return
        linked = [name for name, to in self.links().items() if to == serving_name]
        if linked or held.path == self.directory:
            what = f"the link {linked[0]} names it" if linked else "it is what the directory holds"
            raise OccupiedError(f"{serving_name} stays in {self.directory}: {what}", "let another version take over")
        self.room.discard(held.path)
        self.room.forget_version(serving_name)

    def _folders(self) -> Iterator[Path]:
        """Where versions may lie."""
        if self.layout is Layout.PLAIN:
            yield self.directory
            yield from self._formers()
        elif self.directory.is_dir():
            yield from (p for p in sorted(self.directory.iterdir()) if is_name(p.name) and not p.is_symlink())

    def _formers(self) -> Iterator[Path]:
        if self.room.path.is_dir():
            busy = (PART, GONE)
            yield from (p for p in sorted(self.room.path.iterdir()) if p.is_dir() and not p.name.startswith(busy))

    def _is_at_home(self, manifest: Manifest, folder: Path) -> bool:
        """Whether a version's folder has its name, as every one has but those of ``plain``."""
        return is_name(manifest.serving_name) and (self.layout is Layout.PLAIN or folder.name == manifest.serving_name)


def _bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
