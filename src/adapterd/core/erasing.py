"""Erasing versions: where their branches go, which large objects go, and what nobody can call back. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from adapterd.core.messages import Trailers
from adapterd.core.publication import BRANCH


@dataclass(frozen=True, slots=True)
class Target:
    """One version that shall be gone; what is not known is empty.

    Attributes:
        row: in the registry.
        number: None where it never had one.
        commit: on `versions`.
        trees: of its snapshots.
        places: directories where it was seen.
    """

    identity: str
    row: int | None = None
    number: int | None = None
    commit: str = ""
    trees: tuple[str, ...] = ()
    places: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What follows the ``@``."""
        return f"v{self.number}" if self.number is not None else f"id:{self.identity[:12]}"


@dataclass(frozen=True, slots=True)
class Erased:
    """What an erasure came to. Done again, it has nothing left to do and says so.

    Attributes:
        names: of the versions, by tag or identity.
        moved: branch to the tag that it holds now, empty where it holds none.
        tags: that were deleted.
        objects: large objects that were deleted for good, by sha256, with their size in bytes.
        shared: large objects that stay, with the name of one who uses them.
        snapshots: that were cleared from the spool.
        not_recalled: what this cannot reach, for people.
    """

    adapter: str
    names: tuple[str, ...]
    moved: Mapping[str, str]
    tags: tuple[str, ...]
    objects: Mapping[str, int]
    shared: Mapping[str, str]
    snapshots: int
    not_recalled: tuple[str, ...]


def former(branch: str, history: Iterable[Trailers], tags: Collection[int], out: Collection[int]) -> int | None:
    """The version that a branch goes back to: the last one that it held, neither erased nor yanked; None for none.

    Args:
        branch: `versions` goes to the newest version there is.
        history: the trailers on the branch, newest first.
        tags: the numbers that are there.
        out: those that are erased or yanked.
    """
    stays = [number for number in tags if number not in out]
    if branch == BRANCH:
        return max(stays, default=None)
    return next((said.number for said in history if said.channel == branch and said.number in stays), None)


def doomed(
    own: Mapping[str, int], used: Mapping[str, str], stored: Collection[str]
) -> tuple[dict[str, int], dict[str, str]]:
    """Which of a version's large objects go, by sha256 with their size; and which stay, with who uses them.

    Args:
        own: what the erased versions' trees name: sha256 to size.
        used: what all other trees name: sha256 to the tag or branch.
        stored: what the Hub still has.
    """
    goes = {digest: size for digest, size in own.items() if digest in stored and digest not in used}
    return goes, {digest: used[digest] for digest in own if digest in used}


def not_recalled(
    adapter: str, targets: Sequence[Target], files: Collection[str], index_repo: str, backups: int
) -> tuple[str, ...]:
    """What an erasure cannot reach, a sentence each.

    Args:
        adapter: its repo.
        targets: the versions.
        files: regular files of theirs, which stay in git's history.
        index_repo: where the index is published; empty where it is not.
        backups: how many copies of the registry are kept on this host.
    """
    commits = ", ".join(target.commit[:12] for target in targets if target.commit)
    lines = []
    if commits and files:
        lines.append(
            f"git history of {adapter} (commits {commits}, and those of channels): {', '.join(sorted(files))} stay"
            " readable for whoever may read the repo; only rewriting its history or deleting the repo ends that"
        )
    if commits:
        lines.append("copies that were pulled or downloaded, and what was built from them")
        lines.append("caches between the Hub and its readers, until they forget by themselves")
    lines.append(
        f"{adapter}'s standing document, and the commits by which its branches moved off, name identity or number, who"
        " erased it, and the reason that was given"
    )
    if index_repo:
        lines.append(f"the history of the index repo {index_repo}")
    kept = f"{backups} copies of the registry on this host, and " if backups else ""
    lines.append(f"{kept}backups of the state directory, as long as you keep them")
    lines += [f"the training directory {place}" for target in targets for place in target.places]
    return tuple(lines)
