"""The values of the Registry port: what its rows are to the rest of the program."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from adapterd.core.version import AdapterVersion


@dataclass(frozen=True, slots=True)
class Observation:
    """What was last seen of one adapter directory.

    Attributes:
        root: the configured root; `path` is relative to it, ``.`` for the root itself.
        state: ``baseline``, ``waiting``, ``settled``, ``unwanted``, ``stalled``, ``refused``, ``unfinished`` or
            ``source_gone``.
        fingerprint: digest of names, sizes, mtimes and inodes of its payload files.
        adapter: the name it first got; it keeps it.
        checkpoint: the N of ``checkpoint-N``, None for a final save.
        version: the registry row of the version it was settled into.
        signal: the state file or marker that was there then (`core.settling.Look`).
    """

    root: str
    path: str
    state: str
    fingerprint: str
    adapter: str = ""
    run: str = ""
    checkpoint: int | None = None
    reason: str = ""
    message: str = ""
    hint: str = ""
    version: int | None = None
    first_seen: float = 0.0
    changed_at: float = 0.0
    signal: str = ""


@dataclass(frozen=True, slots=True)
class Draft:
    """A new snapshot, on its way to become an adapter version; `trained` as in `core.version`."""

    adapter: str
    identity: str
    tree: str
    root: str
    path: str
    run: str
    checkpoint: int | None
    step: int | None
    final: bool
    base: str
    peft_type: str
    task: str
    fingerprint: str
    labels: Mapping[str, Any] = field(default_factory=dict)
    repairs: tuple[Mapping[str, Any], ...] = ()
    trained: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sighting:
    """One place where a version's content was seen."""

    root: str
    path: str
    run: str
    checkpoint: int | None
    step: int | None
    final: bool
    seen_at: float


@dataclass(frozen=True, slots=True)
class Claim:
    """A version under lease. Every write with it names its fence; a stale fence raises LostLease."""

    version: AdapterVersion
    owner: str
    fence: int


@dataclass(frozen=True, slots=True)
class Validation:
    """One report on one tree under one policy; `report` is plain JSON."""

    version: int
    tree: str
    policy: str
    verdict: str
    report: Mapping[str, Any]
    at: float


@dataclass(frozen=True, slots=True)
class Intent:
    """What publish is about to do, durable before its first effect.

    `files` are the rendered bytes by path: the manifest, and the card's managed block under ``README.md``.
    """

    number: int
    policy: str
    files: Mapping[str, bytes]
    message: str


@dataclass(frozen=True, slots=True)
class RepoRecord:
    """What the registry last knew of a repo.

    Attributes:
        versions_head: head of the branch `versions`; `readme` and `paths` are its README.md and its payload's paths.
        seen: identity to [number, commit] of other publishers' versions, and of ours from before a rebuild.
        standing: the parsed `standing.json` at `standing_head`.
    """

    adapter: str
    versions_head: str = ""
    readme: bytes = b""
    paths: tuple[str, ...] = ()
    seen: Mapping[str, Any] = field(default_factory=dict)
    standing_head: str = ""
    standing: Mapping[str, Any] = field(default_factory=dict)
    private: bool | None = None
    adopted: bool = False


@dataclass(frozen=True, slots=True)
class ChannelRecord:
    """What the registry last knew of a channel: the version it holds, the highest it ever held, and its standing."""

    adapter: str
    channel: str
    number: int | None = None
    commit: str = ""
    highest: int = 0
    due_at: float = 0.0
    attempts: int = 0
    reason: str = ""
    message: str = ""
    hint: str = ""
    stalled: bool = False


@dataclass(frozen=True, slots=True)
class AdapterRecord:
    """A named series and what it is bound to."""

    name: str
    root: str
    base: str
    peft_type: str
    task: str


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a version's history."""

    at: float
    kind: str
    detail: Mapping[str, Any]
