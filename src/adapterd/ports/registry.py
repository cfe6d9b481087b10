"""The Registry port: the durable record."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol

from adapterd.core.version import AdapterVersion, Reason, Stage
from adapterd.ports.rows import (
    AdapterRecord,
    ChannelRecord,
    Claim,
    Draft,
    Event,
    Intent,
    Observation,
    RepoRecord,
    Sighting,
    Validation,
)


class RegistryReader(Protocol):
    """What verbs that read, and the status page, may ask. Snapshots of committed state; never blocks a writer."""

    def version(self, version_id: int) -> AdapterVersion | None:
        """One version by its row."""
        ...

    def versions(
        self,
        adapter: str | None = None,
        stage: Stage | None = None,
        limit: int | None = None,
        *,
        above: int | None = None,
        final: bool | None = None,
    ) -> Sequence[AdapterVersion]:
        """Versions, newest intake first; only those numbered above, and finals or not, where that is given."""
        ...

    def newest_finals(self) -> Mapping[str, int]:
        """The highest number of a published final save, by adapter; none for an adapter without one."""
        ...

    def find(self, adapter: str, *, number: int | None = None, identity: str | None = None) -> AdapterVersion | None:
        """One version of an adapter by number, or by a prefix of its identity of 8 digits or more."""
        ...

    def adapters(self) -> Sequence[AdapterRecord]:
        """Every adapter, by name."""
        ...

    def newest_observed(self, reason: str) -> Mapping[str, int]:
        """The highest number of a published version that was last seen with this reason, by adapter."""
        ...

    def sightings(self, version_id: int) -> Sequence[Sighting]:
        """Where a version was seen, oldest first."""
        ...

    def events(self, version_id: int) -> Sequence[Event]:
        """A version's history, oldest first."""
        ...

    def noted(self, kind: str, adapter: str | None = None) -> frozenset[int]:
        """The versions whose history has a line of this kind, by row; of one adapter, or all."""
        ...

    def validations(self, version_id: int) -> Sequence[Validation]:
        """A version's reports, oldest first."""
        ...

    def observations(
        self,
        root: str | None = None,
        *,
        paths: Collection[str] | None = None,
        states: Collection[str] | None = None,
        reason: str | None = None,
        before: float | None = None,
    ) -> Sequence[Observation]:
        """What was last seen, of one root or all; only these paths, states and reason where they are given.

        With `before` only what has not changed since.
        """
        ...

    def observation(self, root: str, path: str) -> Observation | None:
        """What was last seen of one directory."""
        ...

    def root_inode(self, root: str) -> tuple[bool, tuple[int, int] | None]:
        """Whether the root has a baseline, and the (st_dev, st_ino) that it was last seen with."""
        ...

    def channels(self, adapter: str | None = None) -> Sequence[ChannelRecord]:
        """Channels as last known."""
        ...

    def repo(self, adapter: str) -> RepoRecord | None:
        """A repo as last known."""
        ...

    def counts(self) -> Mapping[str, int]:
        """Versions by stage, stalled ones under ``stalled``, observations by ``observed_<state>``."""
        ...

    def compactable(self, before: float) -> int:
        """How many versions `Registry.compact` would cut."""
        ...

    def generation(self) -> int:
        """Grows with every change that the index document could show."""
        ...

    def generations(self) -> Mapping[str, int]:
        """The generation at which each adapter's part of the index could last look different; none for one at rest."""
        ...


class Registry(RegistryReader, Protocol):
    """The durable record. One writing process; a transition is one conditional UPDATE under a fence.

    Every method is one transaction, durable when it returns. Times are seconds since the epoch, given by the caller.
    """

    def baseline(self, root: str, inode: tuple[int, int] | None, seen: Sequence[Observation]) -> None:
        """Record the baseline of a root in one transaction; `inode` is (st_dev, st_ino), None where it is absent."""
        ...

    def set_root_inode(self, root: str, inode: tuple[int, int]) -> None:
        """Remember which directory a root was last seen as; keeps its baseline."""
        ...

    def know_directory(self, root: str, inode: tuple[int, int]) -> None:
        """Count a directory among those that the root was, without taking it for the present one."""
        ...

    def knows_directory(self, root: str, inode: tuple[int, int]) -> bool:
        """Whether the root was this directory once: by `baseline`, `set_root_inode` or `know_directory`."""
        ...

    def await_baseline(self, root: str) -> None:
        """Take what lies in the root at its next scan as its baseline, whatever `backlog` says."""
        ...

    def awaits_baseline(self, root: str) -> bool:
        """Whether `await_baseline` was asked for, and no baseline was taken since."""
        ...

    def observe(self, seen: Iterable[Observation]) -> None:
        """Write observations; each overwrites its own row, but never the adapter name it first got."""
        ...

    def changes(self) -> int:
        """Grows with every row that this process changes; begins at 0 when the registry is opened."""
        ...

    def observed_since(self, mark: int) -> tuple[int, frozenset[tuple[str, str]] | None]:
        """A mark of now, and the (root, path) of every observation that was written since an earlier one.

        None where that is not known: too many were written, or the mark is below 0. An observation is named after it
        was committed; one that was only written as it stood already may be named as well.
        """
        ...

    def bind(self, adapter: str, root: str, base: str, peft_type: str, task: str) -> AdapterRecord:
        """The series' binding; made now where there is none. Names are compared case-folded.

        Where the stored base, type or task is empty, the given one fills it.
        """
        ...

    def rebind(self, adapter: str, root: str, seen: Sequence[Observation]) -> None:
        """Bind a series to another root, with its sightings; `seen` is what is known of that root's directories now."""
        ...

    def intake(self, draft: Draft, at: float, *, order: int | None = None) -> tuple[AdapterVersion, bool]:
        """Make the draft a STAGED version with the next intake number, and mark its observation settled.

        At a rebuild `order` is the intake number that it had in the lost registry; it is kept where it is free.
        The same (adapter, identity) again adds a sighting and returns the version there is, with False; a
        SUPERSEDED one that is now seen as a final goes back to STAGED.
        """
        ...

    def claim(
        self,
        stage: Stage,
        owner: str,
        now: float,
        lease: float,
        horizon: float,
        *,
        prefer_base: str = "",
        prefer_final: bool = False,
    ) -> Claim | None:
        """Lease the next due version of a stage: not stalled, lease free or run out, lowest intake first.

        A `due_at` further away than `horizon` seconds counts as due, since clocks jump. Adapters that have a due
        version with the base `prefer_base` go first, and before them, with `prefer_final`, those that have a due final;
        within one adapter it is always the lowest intake.
        """
        ...

    def reclaim(self, owner: str, stage: Stage | None = None) -> int:
        """End the leases that an earlier life of this owner left; their fences move on. How many there were.

        With a stage only those of versions in it: their lane failed before it could give them back.
        """
        ...

    def next_due(self, stage: Stage, now: float) -> float | None:
        """When the next version of a stage is due or its lease runs out; None where there is none."""
        ...

    def extend(self, claim: Claim, until: float) -> None:
        """Renew the lease."""
        ...

    def release(self, claim: Claim) -> None:
        """Give the version back untouched."""
        ...

    def advance(
        self,
        claim: Claim,
        to: Stage,
        at: float,
        *,
        reason: Reason | None = None,
        validation: Validation | None = None,
        number: int | None = None,
        commit: str | None = None,
        repo: RepoRecord | None = None,
    ) -> AdapterVersion:
        """Move the version along `core.version.MOVES`, with its new facts, and end the lease."""
        ...

    def wait(self, claim: Claim, until: float, reason: Reason, at: float, *, failed: bool) -> None:
        """Not yet; `failed` counts an attempt, otherwise attempts stay. Ends the lease."""
        ...

    def stall(self, claim: Claim, reason: Reason, at: float) -> None:
        """A person must act. Ends the lease."""
        ...

    def retree(
        self, claim: Claim, tree: str, base: str, repairs: Sequence[Mapping[str, Any]], at: float
    ) -> AdapterVersion:
        """A STAGED version's snapshot was repaired: take its new tree. Keeps the lease."""
        ...

    def plan(self, claim: Claim, above: int, render: Callable[[int], Intent], *, anew: bool = False) -> Intent:
        """Reserve a number and store the rendered intent, in one transaction.

        The stored intent is returned unchanged where there is one and not `anew`; otherwise a number is taken
        above both `above` and the adapter's counter, `render` is called with it, and the result is stored.
        """
        ...

    def intent(self, version_id: int) -> Intent | None:
        """The stored intent."""
        ...

    def adopt(self, claim: Claim, number: int) -> None:
        """Take over a number that the Hub already shows for this identity; the counter follows."""
        ...

    def retry(self, version_id: int, at: float, actor: str) -> AdapterVersion:
        """Set a stalled or rejected version going again: due now, attempts 0, REJECTED back to STAGED."""
        ...

    def save_repo(self, record: RepoRecord) -> None:
        """Remember what was seen of a repo."""
        ...

    def save_channel(self, record: ChannelRecord) -> None:
        """Remember what was seen or done to a channel."""
        ...

    def note(self, version_id: int, kind: str, detail: Mapping[str, Any], at: float) -> None:
        """Append a line to a version's history."""
        ...

    def report(self, validation: Validation) -> None:
        """Record that a PUBLISHED version was validated again, and say so in its history; nothing else changes."""
        ...

    def count_from(self, adapter: str, number: int) -> None:
        """Never give a number up to this one to a version of the adapter: it was seen somewhere."""
        ...

    def restore(self, draft: Draft, number: int, commit: str, at: float, *, order: int | None = None) -> AdapterVersion:
        """Insert a version that the Hub already holds as PUBLISHED (registry rebuild); the counter follows.

        `order` as for `intake`.
        """
        ...

    def erase(self, version_id: int, reason: Reason, at: float, actor: str) -> AdapterVersion:
        """Take a version that is not published off the line for good: REJECTED, its fence moves on, its intent goes.

        A published one keeps its row as it is. Both have it in their history, once. Conflict while a lane has it in
        hand.
        """
        ...

    def compact(self, before: float, most: int = 100) -> int:
        """Cut histories (to moves and people's words) and reports (to verdicts) of versions that were done before.

        How many versions there were, `most` at a time; 0 where nothing is left to cut.
        """
        ...

    def forget(self, root: str, paths: Collection[str], before: float) -> int:
        """Drop observations of directories that are gone and did not change since; how many. Baselines stay."""
        ...

    def shrink(self) -> int:
        """Give room that is not used any more back to the file system; how many bytes."""
        ...
