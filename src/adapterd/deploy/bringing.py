"""Bring what a name means now to a shelf; where the Hub is away, stay with what lies there verified."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapterd.core.naming import Reference
from adapterd.deploy.layout import payload_of
from adapterd.deploy.manifest import parse_manifest
from adapterd.deploy.pulling import Say
from adapterd.deploy.resolving import Resolved, resolve
from adapterd.deploy.shelf import Held, Shelf
from adapterd.ports import Hub, Transient

_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"))


def _unsaid(_: str) -> None:
    """Tell nobody: the warnings are given back."""


@dataclass(frozen=True, slots=True)
class Brought:
    """A version that lies verified on a shelf.

    Attributes:
        resolved: the version.
        held: as it lies there.
        warnings: what to be told beside.
        offline: whether the Hub could not be asked.
    """

    resolved: Resolved
    held: Held
    warnings: tuple[str, ...] = ()
    offline: bool = False


def bring(
    hub: Hub,
    reference: Reference,
    shelf: Shelf,
    say: Say,
    *,
    now: float,
    force: bool = False,
    link: str = "",
    warn: Say = _unsaid,
) -> Brought:
    """Let the version that a reference means lie on the shelf, verified.

    Where it lies there already, the Hub is asked twice at most. Where the Hub cannot be reached, an exact version that
    lies there verified is good, and for a channel the one that it meant when the Hub was last asked.

    Args:
        hub: to ask, and to download from.
        reference: what is looked for.
        shelf: where it shall lie.
        say: told what is being done, line by line.
        now: seconds since the epoch.
        force: as `Shelf.put` takes it.
        link: as `Shelf.put` takes it.
        warn: told each of the warnings as soon as it is known, before anything is done.

    Raises:
        Transient: the Hub cannot be reached, and nothing that would do lies there.
    """
    try:
        found = resolve(hub, reference, shelf.known())
    except Transient as away:
        held, told = _last(shelf, reference, now)
        if held is None:
            hint = f"pull again when the Hub answers; {told}"
            raise _again(away, hint) from away
        version = _as_resolved(held)
        warning = f"{away.message}; {told}"
        warn(warning)
        # A former one comes back; nothing is downloaded.
        place = shelf.put(hub, version, say, force=force, link=link)
        return Brought(version, _held(shelf, version, place), (warning,), offline=True)
    for each in found.warnings:
        warn(each)
    place = shelf.put(hub, found, say, force=force, link=link)
    if reference.channel is not None:
        shelf.remember(reference.channel, found, now)
    return Brought(found, _held(shelf, found, place), found.warnings)


def _held(shelf: Shelf, version: Resolved, place: Path) -> Held:
    """A version as it was put in its place; another pull may have moved the place on since."""
    return Held(
        version.serving_name,
        version.adapter,
        version.number,
        version.identity,
        version.commit,
        place,
        payload_of(shelf.layout, version),
        version.manifest,
    )


def _again(error: Transient, hint: str) -> Transient:
    """The same error with another hint."""
    kept: dict[str, Any] = {
        "retry_after": error.retry_after,
        "throttled": error.throttled,
        "counts": error.counts,
        "code": error.code,
    }
    return Transient(error.message, hint, **kept)


def _last(shelf: Shelf, reference: Reference, now: float) -> tuple[Held | None, str]:
    """What would do without the Hub, whole; and the sentence for it."""
    adapter, channel = reference.adapter.casefold(), reference.channel
    there = [held for held in shelf.there().values() if held.adapter.casefold() == adapter]
    if channel is not None:
        meant = next((m for held in there if (m := shelf.room.meant(held.adapter, channel))), None)
        found = next((held for held in there if meant and held.serving_name == meant.serving_name), None)
        told = f"{channel} meant {{name}} when it was last asked, {_ago(now - meant.at)} ago" if meant else ""
    else:
        found = next((held for held in there if _is(held, reference)), None)
        told = "{name} lies here verified"
    if found is None:
        return None, f"the version asked for does not lie in {shelf.directory}"
    name = f"{found.adapter}@v{found.number}"
    if problem := found.altered:
        return None, f"{name} lies in {shelf.directory}, and was altered: {problem}"
    return found, f"{told.format(name=name)}"


def _as_resolved(held: Held) -> Resolved:
    """What lies on a shelf, as far as it is known without the Hub."""
    manifest = parse_manifest(held.manifest, str(held.path))
    return Resolved(
        adapter=held.adapter,
        number=held.number,
        tag=f"v{held.number}",
        commit=held.commit,
        identity=held.identity,
        base_id=manifest.base_id,
        base_revision=manifest.base_revision,
        serving_name=held.serving_name,
        files=manifest.files,
        manifest=held.manifest,
    )


def _is(held: Held, reference: Reference) -> bool:
    """Whether this is exactly the version that a reference pins."""
    if reference.number is not None:
        return held.number == reference.number
    if reference.commit is not None:
        return held.commit == reference.commit
    return reference.identity is not None and held.identity.startswith(reference.identity)


def _ago(seconds: float) -> str:
    """A span of time in its largest unit."""
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
