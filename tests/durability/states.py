"""What lay on the disk, from one operation of a writer to the next: what adapterd took is held against it."""

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from adapterd.core import adapter as ad

SLACK = 1.0
"""Seconds that a scan may begin later than it was due."""


@dataclass(slots=True)
class Known:
    """One content that a directory had, by its identity.

    Attributes:
        complete: whether config and weights are whole by their own words.
        zeros: whether pages of the weights were never written.
        finished: whether its writer meant it.
        owed: whether it lay finished and untouched for as long as adapterd may take.
        since: when it last began to lie so.
        rested: the longest time that it lay so.
        taken: how long it had lain so when it became a version; None where it did not.
    """

    kind: str
    protected: bool
    weights: str
    complete: bool
    zeros: bool
    finished: bool = False
    owed: bool = False
    since: float = 0.0
    rested: float = 0.0
    taken: float | None = None


@dataclass(slots=True)
class Lying:
    """What lies in one directory now; finished since `done`, to be taken within `needs` seconds of rest."""

    print: object
    identity: str
    since: float
    done: float | None = None
    needs: float = 0.0


@dataclass
class States:
    """Everything that lay in the directories of some writers."""

    known: dict[str, Known] = field(default_factory=dict)
    lying: dict[Path, Lying] = field(default_factory=dict)
    torn: set[str] = field(default_factory=set)

    def look(self, folder: Path, kind: str, now: float, *, protected: bool, held: bool) -> None:
        """Note what lies in a directory after an operation."""
        names = _print(folder)
        was = self.lying.get(folder)
        if was is not None and was.print == (names, held):
            return
        if was is not None:
            self._end(was, now)
            del self.lying[folder]
        if (found := _content(folder)) is not None:
            identity, weights, complete, zeros = found
            known = self.known.setdefault(identity, Known(kind, protected, weights, complete, zeros))
            known.since = now
            self.lying[folder] = Lying((names, held), identity, now)

    def done(self, folder: Path, now: float, needs: float) -> None:
        """Its writer has finished a directory that was just looked at."""
        lying = self.lying[folder]
        self.known[lying.identity].finished = True
        lying.done, lying.needs = now, needs

    def again(self, now: float) -> None:
        """What adapterd remembers between two looks is lost: every wait begins anew."""
        for lying in self.lying.values():
            if lying.done is not None:
                self._owe(lying, now)
                lying.done = now

    def take(self, identity: str, now: float) -> None:
        """A version was made of this content."""
        known = self.known.get(identity)
        if known is None:
            self.torn.add(identity)
        elif known.taken is None:
            known.taken = now - known.since

    def end(self, now: float) -> None:
        """Nobody writes any more."""
        for lying in self.lying.values():
            self._end(lying, now)
        self.lying.clear()

    def _end(self, lying: Lying, now: float) -> None:
        known = self.known[lying.identity]
        known.rested = max(known.rested, now - lying.since)
        self._owe(lying, now)

    def _owe(self, lying: Lying, now: float) -> None:
        if lying.done is not None and now - lying.done >= lying.needs + SLACK:
            self.known[lying.identity].owed = True


def partial(known: Known, quiet: float) -> bool:
    """Whether a version was made of what its writer neither finished nor left at rest in a form that looks whole."""
    if known.taken is None or known.finished:
        return False
    return known.protected or not known.complete or known.taken < quiet


def _print(folder: Path) -> object:
    try:
        with os.scandir(folder) as listing:
            found = [(e.name, e.stat(follow_symlinks=False)) for e in listing if ad.is_payload(e.name)]
    except OSError:
        return None
    return tuple(sorted((name, s.st_size, s.st_mtime_ns, s.st_ino) for name, s in found))


def _content(folder: Path) -> tuple[str, str, bool, bool] | None:
    """Identity, digest of the weights, whether they are whole, whether pages are empty; None where one is missing."""
    try:
        data = {e.name: Path(e.path).read_bytes() for e in os.scandir(folder) if ad.is_payload(e.name)}
        fields = json.loads(data[ad.CONFIG])
        weights = data[ad.WEIGHTS]
    except (OSError, ValueError, KeyError):
        return None
    digests = {name: hashlib.sha256(raw).hexdigest() for name, raw in data.items()}
    zeros = any(not any(weights[at : at + 4096]) for at in range(0, len(weights) - 4096, 4096))
    return ad.identity_digest(fields, digests), digests[ad.WEIGHTS], _whole(weights), zeros


def _whole(weights: bytes) -> bool:
    """Whether a safetensors file is as long as its header says."""
    length = int.from_bytes(weights[:8], "little")
    try:
        header = json.loads(weights[8 : 8 + length])
    except ValueError:
        return False
    end: int = max(t["data_offsets"][1] for name, t in header.items() if name != "__metadata__")
    return 8 + length + end == len(weights)
