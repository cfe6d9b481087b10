"""The Hub port: a Hugging Face Hub, as a publisher and a deployer need it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Refs:
    """Every branch and tag of a repo, by name, each with its 40-character commit."""

    branches: Mapping[str, str]
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file of a commit: size in bytes, git blob id, and the sha256 where it is stored as LFS."""

    path: str
    size: int
    blob: str
    sha256: str | None


@dataclass(frozen=True, slots=True)
class RemoteCommit:
    """One commit of a branch; `message` is title, blank line, body.

    `at` is when it was made, in seconds since the epoch; 0 where the Hub does not say.
    """

    id: str
    message: str
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class AddBytes:
    """Write these bytes at `path`."""

    path: str
    data: bytes


@dataclass(frozen=True, slots=True)
class AddFile:
    """Write the local file `source` at `path`."""

    path: str
    source: str


@dataclass(frozen=True, slots=True)
class CopyFrom:
    """Write at `path` what `path` holds in `revision` of the same repo; LFS bytes do not travel."""

    path: str
    revision: str


@dataclass(frozen=True, slots=True)
class AddRegular:
    """Write these bytes at `path`, as a regular file: the Hub is not asked first how it would store them."""

    path: str
    data: bytes


@dataclass(frozen=True, slots=True)
class AddStored:
    """Write at `path` a large file that the repo stores already; `size` is in bytes, none of which travel."""

    path: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove `path`."""

    path: str


@dataclass(frozen=True, slots=True)
class Pause:
    """Why calls must wait, and until when (seconds since the epoch); `code` is a reason's."""

    until: float
    code: str
    message: str


Operation = AddBytes | AddFile | CopyFrom | Delete | AddRegular | AddStored


class Hub(Protocol):
    """A Hugging Face Hub, as a publisher and a deployer need it.

    Every call may raise Transient, Denied or NotFound, and ends within the configured deadline. No call retries an
    effect: after Transient from `commit`, `create_tag`, `create_branch` or `create_repo` the effect may have
    happened, and the caller looks again. Thread-safe.
    """

    endpoint: str
    signed_in: bool
    """Whether there is a token; without one only public repos and the local cache can be read."""

    def whoami(self) -> str:
        """The name of the account behind the token."""
        ...

    def models(self, namespace: str) -> Sequence[str]:
        """The ids of the namespace's model repos that this token may see."""
        ...

    def is_private(self, repo: str) -> bool:
        """Whether the repo is private. NotFound where there is none."""
        ...

    def refs(self, repo: str) -> Refs:
        """Every branch and tag. NotFound where there is no repo."""
        ...

    def log(self, repo: str, revision: str, until: str | None = None) -> Sequence[RemoteCommit]:
        """The commits of `revision`, newest first, down to and without `until`; all where `until` is None."""
        ...

    def tree(self, repo: str, revision: str) -> Mapping[str, RemoteFile]:
        """Every file of the commit, recursively, by path."""
        ...

    def read(self, repo: str, revision: str, path: str) -> bytes:
        """The bytes of one file. NotFound where there is none."""
        ...

    def read_changed(self, repo: str, revision: str, path: str, etag: str) -> tuple[bytes | None, str]:
        """The bytes of one file, and the etag that names them; None for the bytes where `etag` names them still.

        One request, which does not count against the Hub's API limit. An empty `etag` asks for the bytes in any case.
        NotFound where there is no such file.
        """
        ...

    def download(self, repo: str, revision: str, path: str, target: str) -> str | None:
        """Write one file to the local path `target`, its bytes durably; an earlier try of the same is resumed.

        Gives the sha256 of what was written where it was computed on the way; None has the caller read the file.
        """
        ...

    def create_repo(self, repo: str, *, private: bool) -> None:
        """Create an empty model repo. Conflict where it exists already."""
        ...

    def create_branch(self, repo: str, branch: str, revision: str) -> None:
        """Create `branch` at `revision`. Conflict where it exists already."""
        ...

    def commit(self, repo: str, branch: str, parent: str, operations: Sequence[Operation], message: str) -> str:
        """Make one commit on `branch` if its head is still `parent`, and return its id.

        Conflict where the head moved. The id is no proof: an unchanged commit posts nothing and returns the head.
        One of AddRegular, AddStored and Delete alone is one request, and always a commit of its own.
        """
        ...

    def create_tag(self, repo: str, tag: str, commit: str) -> None:
        """Tag the commit. Conflict where the tag exists already, whatever commit it names."""
        ...

    def delete_tag(self, repo: str, tag: str) -> None:
        """Remove the tag; the commit stays. NotFound where there is none."""
        ...

    def lfs_files(self, repo: str) -> Mapping[str, int]:
        """Every large object of the repo that is not deleted: sha256 to size in bytes."""
        ...

    def delete_lfs(self, repo: str, digests: Collection[str]) -> None:
        """Delete large objects for good, by sha256. History is not rewritten: commits that name them stay."""
        ...

    def check_card(self, text: str) -> None:
        """Raise Denied where the Hub would refuse this model card's metadata."""
        ...

    def cached_model(self, model: str, revision: str | None) -> tuple[str, str] | None:
        """Folder and commit of a model in the local Hub cache; no network."""
        ...

    def fetch_model(self, model: str, revision: str | None) -> tuple[str, str]:
        """Download a base model into the local Hub cache; folder and commit."""
        ...
