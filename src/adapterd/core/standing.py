"""The standing document of a repo: who publishes there, what was erased, what is yanked, which channels are held. Pure.

It is `standing.json` on the branch `standing`, plain JSON of which what is not understood stays. Every entry says who
made it, why, and when (seconds since the epoch); these words are as public as the repo.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

SCHEMA = 1

Document = Mapping[str, Any]
Edit = Callable[[Document], dict[str, Any]]
"""Gives the document that shall be; applied again to a newer one where somebody else was faster."""

_PUBLISHERS, _ERASURES, _YANKS, _HOLDS = _LISTS = ("publishers", "erasures", "yanks", "holds")


@dataclass(frozen=True, slots=True)
class Said:
    """Whose word an entry is, why, and since when."""

    actor: str
    reason: str
    at: float


@dataclass(frozen=True, slots=True)
class Tombstone:
    """A version that was erased: its content is never published again, its number never used again.

    Attributes:
        number: None where it never had one.
        commit: on `versions`, which still names it; empty where it was never committed.
    """

    identity: str
    number: int | None
    commit: str
    said: Said


def fault(document: object) -> str:
    """Why a parsed document cannot be believed; empty where it can.

    A list that cannot be read is not an empty list: an erasure that is overlooked would be published again.
    """
    if not isinstance(document, dict):
        return "holds no object"
    schema = document.get("schema", SCHEMA)
    if not isinstance(schema, int) or schema > SCHEMA:
        return f"has schema {schema}"
    for key in _LISTS:
        listed = document.get(key, [])
        if not isinstance(listed, list) or not all(isinstance(entry, dict) for entry in listed):
            return f"has {key} that are no list of objects"
    return ""


def publishers(document: Document) -> frozenset[str]:
    """The ids of those who may publish there."""
    return frozenset(str(entry["id"]) for entry in _entries(document, _PUBLISHERS) if entry.get("id"))


def with_publishers(document: Document, ids: Collection[str], said: Said) -> dict[str, Any]:
    """Let these publish there too."""
    return _added(document, _PUBLISHERS, [{"id": new, **asdict(said)} for new in sorted({*ids} - publishers(document))])


def tombstones(document: Document) -> tuple[Tombstone, ...]:
    """What was erased, oldest first."""
    return tuple(
        Tombstone(str(entry["identity"]), _number(entry), str(entry.get("commit") or ""), _said(entry))
        for entry in _entries(document, _ERASURES)
        if entry.get("identity")
    )


def erasures(document: Document) -> frozenset[str]:
    """The identities that are never published again."""
    return frozenset(stone.identity for stone in tombstones(document))


def erased_numbers(document: Document) -> frozenset[int]:
    """The numbers of versions that were erased."""
    return frozenset(stone.number for stone in tombstones(document) if stone.number is not None)


def with_tombstones(document: Document, stones: Sequence[Tombstone]) -> dict[str, Any]:
    """Put up tombstones; one that stands there is changed by nothing but a number or commit that it lacks."""
    fresh = {stone.identity: stone for stone in stones}
    known, listed = erasures(document), []
    for entry in _entries(document, _ERASURES):
        stone = fresh.get(str(entry.get("identity")))
        told = {} if stone is None else {"number": stone.number, "commit": stone.commit or None}
        listed.append({**entry, **{key: value for key, value in told.items() if value and not entry.get(key)}})
    listed += [
        {"identity": s.identity, "number": s.number, "commit": s.commit or None, **asdict(s.said)}
        for s in stones
        if s.identity not in known
    ]
    return {"schema": SCHEMA, **document, _ERASURES: listed}


def yanked(document: Document) -> frozenset[int]:
    """The numbers that nobody gets unasked."""
    return frozenset(n for entry in _entries(document, _YANKS) if (n := _number(entry)) is not None)


def yanks(document: Document) -> Mapping[int, Said]:
    """Who withdrew which version, and why, by its number; the latest word counts."""
    entries = _entries(document, _YANKS)
    return {number: _said(entry) for entry in entries if (number := _number(entry)) is not None}


def with_yank(document: Document, number: int, said: Said) -> dict[str, Any]:
    """Withdraw a version."""
    new = [] if number in yanked(document) else [{"number": number, **asdict(said)}]
    return _added(document, _YANKS, new)


def without_yank(document: Document, number: int) -> dict[str, Any]:
    """Take a withdrawal back."""
    return _kept(document, _YANKS, lambda entry: entry.get("number") != number)


def held(document: Document) -> frozenset[str]:
    """The channels that do not move by themselves."""
    return frozenset(str(entry["channel"]) for entry in _entries(document, _HOLDS) if entry.get("channel"))


def holds(document: Document) -> Mapping[str, Said]:
    """Who holds which channel, and why, by its name; the latest word counts."""
    return {str(entry["channel"]): _said(entry) for entry in _entries(document, _HOLDS) if entry.get("channel")}


def with_hold(document: Document, channel: str, said: Said) -> dict[str, Any]:
    """Keep a channel where it is."""
    new = [] if channel in held(document) else [{"channel": channel, **asdict(said)}]
    return _added(document, _HOLDS, new)


def without_hold(document: Document, channel: str) -> dict[str, Any]:
    """Let a channel move again."""
    return _kept(document, _HOLDS, lambda entry: entry.get("channel") != channel)


def _entries(document: Document, key: str) -> list[Mapping[str, Any]]:
    listed = document.get(key)
    return [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []


def _added(document: Document, key: str, new: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {"schema": SCHEMA, **document, key: [*(document.get(key) or []), *new]}


def _kept(document: Document, key: str, stays: Callable[[Mapping[str, Any]], bool]) -> dict[str, Any]:
    return {"schema": SCHEMA, **document, key: [entry for entry in _entries(document, key) if stays(entry)]}


def _number(entry: Mapping[str, Any]) -> int | None:
    number = entry.get("number")
    return number if isinstance(number, int) and not isinstance(number, bool) else None


def _said(entry: Mapping[str, Any]) -> Said:
    at = entry.get("at")
    return Said(
        str(entry.get("actor") or ""),
        str(entry.get("reason") or ""),
        float(at) if isinstance(at, int | float) else 0.0,
    )
