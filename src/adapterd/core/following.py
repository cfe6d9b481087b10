"""What a follower does next, so that engines serve the versions that channels hold. Pure.

A turn observes, decides, acts, and decides again from what is there now, until nothing is left to do. So it makes no
difference after which act a follower dies, or an engine restarts: what is there says what is missing.

The order for a new version: pull it, load it under its own serving name on every engine, check it, let the stable name
mean it, and unload the former one when requests to it have drained.
"""

from collections.abc import Collection, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from enum import StrEnum


class Golden(StrEnum):
    """What a golden check of a loaded version decides."""

    OFF = "off"
    """It is not made."""
    WARN = "warn"
    """It warns."""
    REQUIRE = "require"
    """Only a version that answers as recorded takes over."""


@dataclass(frozen=True, slots=True)
class Followed:
    """One adapter that is followed.

    Attributes:
        name: stable; what routers ask for.
        adapter: namespace/name.
        want: serving name of the version that shall serve; empty where that is not known.
        engines: those that shall serve it.
    """

    name: str
    adapter: str
    want: str
    engines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Listing:
    """What an engine lists: every name, and which of them were loaded from the follower's own folder."""

    names: frozenset[str] = frozenset()
    ours: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Pull:
    """Bring a version to the shelf."""

    name: str
    serving: str


@dataclass(frozen=True, slots=True)
class Load:
    """Have an engine load a version under its serving name."""

    engine: str
    name: str
    serving: str


@dataclass(frozen=True, slots=True)
class Check:
    """Ask an engine the golden prompts of a version."""

    engine: str
    name: str
    serving: str


@dataclass(frozen=True, slots=True)
class Switch:
    """Let the stable name mean this version from now on; `former` is what it meant."""

    name: str
    serving: str
    former: str


@dataclass(frozen=True, slots=True)
class Forget:
    """Drop a stable name that is no longer followed; engines keep what they have."""

    name: str


@dataclass(frozen=True, slots=True)
class Drain:
    """Let requests end before a version is unloaded."""

    engine: str
    serving: str
    until: float


@dataclass(frozen=True, slots=True)
class Unload:
    """Have an engine let a version go."""

    engine: str
    name: str
    serving: str


Action = Pull | Load | Check | Switch | Forget | Drain | Unload


@dataclass(frozen=True, slots=True)
class View:
    """One reading of everything.

    Attributes:
        shelf: serving names of the versions that lie verified on disk.
        engines: what each lists; None where it does not answer.
        aliases: stable name to serving name, as routers read it.
        drains: until when an engine keeps what nobody shall ask it for any more, by engine and serving name.
        checked: golden checks that were made, by engine and serving name: whether the version may take over.
        held: actions that failed and are not tried again yet.
        given_up: engines that have been silent for so long that a switch no longer waits for them.
        drain: seconds that requests have to end.
    """

    followed: tuple[Followed, ...]
    shelf: AbstractSet[str]
    engines: Mapping[str, Listing | None]
    aliases: Mapping[str, str]
    now: float
    drain: float
    drains: Mapping[tuple[str, str], float] = field(default_factory=dict)
    checked: Mapping[tuple[str, str], bool] = field(default_factory=dict)
    held: Collection[Action] = ()
    given_up: Collection[str] = ()
    golden: Golden = Golden.OFF


def decide(view: View) -> list[Action]:
    """Everything that may be done now, in this order; nothing where only time, the Hub or an engine can help."""
    found = [action for one in view.followed for action in _towards(one, view)]
    found += _away(view)
    known = {one.name for one in view.followed}
    found += [Forget(name) for name in sorted(view.aliases) if name not in known]
    return [action for action in found if action not in view.held]


def settled(one: Followed, view: View) -> bool:
    """Whether an adapter is where it shall be: its name means what is wanted, and all of its engines list that."""
    listings = [view.engines.get(engine) for engine in one.engines]
    served = all(listing is not None and one.want in listing.names for listing in listings)
    return bool(one.want) and view.aliases.get(one.name) == one.want and one.want in view.shelf and served


def drains_left(view: View) -> dict[tuple[str, str], float]:
    """The drains that still mean something: what is gone, or wanted again, has none; a silent engine keeps its own."""
    return {
        (engine, serving): until
        for (engine, serving), until in view.drains.items()
        if (listing := view.engines.get(engine)) is None
        or (serving in listing.ours and serving not in _kept(engine, view))
    }


def _towards(one: Followed, view: View) -> list[Action]:
    """What brings one adapter to the version that it shall serve."""
    found: list[Action] = []
    present = view.aliases.get(one.name, "")
    # The present one first: it is what routers ask a restarted engine for.
    for serving in dict.fromkeys(name for name in (present, one.want) if name):
        if serving in view.shelf:
            found += [
                Load(engine, one.name, serving)
                for engine in one.engines
                if (listing := view.engines.get(engine)) is not None and serving not in listing.names
            ]
        elif serving == one.want:
            found.append(Pull(one.name, serving))
    if one.want in ("", present) or one.want not in view.shelf:
        return found
    having = [
        engine
        for engine in one.engines
        if (listing := view.engines.get(engine)) is not None and one.want in listing.names
    ]
    if view.golden is not Golden.OFF:
        found += [Check(e, one.name, one.want) for e in having if (e, one.want) not in view.checked]
    if _may_switch(one, having, present, view):
        found.append(Switch(one.name, one.want, present))
    return found


def _may_switch(one: Followed, having: list[str], present: str, view: View) -> bool:
    """Whether nobody who asks for the stable name could be sent to an engine that lacks the version.

    A name that means nothing yet has nobody to protect: it waits for no silent engine, but for one that answers.
    """
    silent = [engine for engine in one.engines if view.engines.get(engine) is None]
    missed = [engine for engine in silent if present and engine not in view.given_up]
    if missed or len(having) + len(silent) < len(one.engines) or (one.engines and not having):
        return False
    checks = [view.checked.get((engine, one.want)) for engine in having]
    if view.golden is Golden.OFF:
        return True
    return all(checks) if view.golden is Golden.REQUIRE else None not in checks


def _away(view: View) -> list[Action]:
    """What lets go of versions that nobody shall ask for any more."""
    found: list[Action] = []
    for engine, listing in view.engines.items():
        kept = _kept(engine, view)
        for serving in sorted(listing.ours - kept) if listing is not None else ():
            owner = _owner(serving, view)
            if owner is None:
                continue
            until = view.drains.get((engine, serving))
            # After the longest drain that there may be, a clock was set back.
            if until is None or until > view.now + view.drain:
                found.append(Drain(engine, serving, view.now + view.drain))
            elif until <= view.now:
                found.append(Unload(engine, owner.name, serving))
    return found


def _kept(engine: str, view: View) -> set[str]:
    """What an engine shall have: of each adapter that it serves what is wanted, and what its name means now."""
    ours = [one for one in view.followed if engine in one.engines]
    return {name for one in ours for name in (one.want, view.aliases.get(one.name, "")) if name}


def _owner(serving: str, view: View) -> Followed | None:
    """Whose version a serving name is; None where it is no followed adapter's, or one of which nothing is known yet."""
    same = [one for one in view.followed if of_adapter(serving, one.adapter)]
    return same[0] if same and all(one.want for one in same) else None


def of_adapter(serving: str, adapter: str) -> bool:
    """Whether a serving name is one of this adapter's versions."""
    return serving.casefold().startswith(f"{adapter.replace('/', '-')}@v".casefold())
