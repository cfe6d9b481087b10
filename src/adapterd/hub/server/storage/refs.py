"""Branches and tags of one repo: each moved by compare-and-swap, each durable when the call returns."""

from pathlib import Path

from dulwich.objects import ObjectID
from dulwich.refs import DiskRefsContainer, Ref, check_ref_format

from adapterd.hub.server.errors import HubError, bad_request, conflict
from adapterd.hub.server.storage import durable

BRANCHES = "refs/heads/"
TAGS = "refs/tags/"


class Refs:
    """The refs of a bare repo. Writing is done under the repo's lock."""

    def __init__(self, path: Path) -> None:
        """Use the refs of the bare repo at ``path``."""
        self._path = path
        self._refs = DiskRefsContainer(str(path))

    def list(self, prefix: str) -> dict[str, ObjectID]:
        """List the refs below a prefix, by their short names."""
        found = self._refs.as_dict(Ref(prefix.rstrip("/").encode()))
        return {name.decode(): oid for name, oid in sorted(found.items())}

    def get(self, prefix: str, name: str) -> ObjectID | None:
        """Give what a ref names, None where there is no such ref."""
        if not _well_formed(prefix + name):
            return None
        try:
            return ObjectID(self._refs[Ref((prefix + name).encode())])
        except (KeyError, OSError):
            return None

    def create(self, prefix: str, name: str, target: ObjectID) -> None:
        """Add a ref that must not be there yet."""
        if not _well_formed(prefix + name):
            raise bad_request(f"Invalid reference name: {name!r}")
        for other in self.list(prefix):
            if other == name:
                raise conflict(f"Reference already exists: {prefix}{name}")
            if other.startswith(name + "/") or name.startswith(other + "/"):
                raise conflict(f"Reference {prefix}{name} can not stand beside {prefix}{other}")
        durable.make_directory((self._path / prefix / name).parent)
        self._unlock(prefix + name)
        if not self._refs.add_if_new(Ref((prefix + name).encode()), target):
            raise conflict(f"Reference already exists: {prefix}{name}")
        self._sync(prefix + name)

    def move(self, prefix: str, name: str, old: ObjectID, new: ObjectID) -> None:
        """Move a ref from the commit that the caller has seen, and from no other."""
        self._unlock(prefix + name)
        if not self._refs.set_if_equals(Ref((prefix + name).encode()), old, new):
            raise HubError(412, "A commit has happened since. Please refresh and try again.")
        self._sync(prefix + name)

    def delete(self, prefix: str, name: str) -> None:
        """Remove a ref."""
        self._unlock(prefix + name)
        self._refs.remove_if_equals(Ref((prefix + name).encode()), None)
        self._sync(prefix + name)

    def _unlock(self, ref: str) -> None:
        """Remove what a write left that failed on a full disk: we are the only writer, so no lock is anybody's."""
        path = self._path / ref
        path.with_name(f"{path.name}.lock").unlink(missing_ok=True)

    def _sync(self, ref: str) -> None:
        """Make a changed name durable; deleting may have taken empty directories with it."""
        directory = (self._path / ref).parent
        while not directory.is_dir():
            directory = directory.parent
        durable.sync_directory(directory)


def _well_formed(ref: str) -> bool:
    """Tell whether git accepts this as the name of a ref."""
    return check_ref_format(Ref(ref.removeprefix("refs/").encode(errors="replace"))) and not ref.endswith("/")
