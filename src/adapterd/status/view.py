"""What the pages show, read once per request from the registry and from what the daemon says of itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from adapterd.core import pushes
from adapterd.core.pushes import Push
from adapterd.core.standing import erasures
from adapterd.core.version import LIVE, AdapterVersion, Stage
from adapterd.health import Health
from adapterd.ports import (
    AdapterRecord,
    ChannelRecord,
    Event,
    Observation,
    RegistryReader,
    Sighting,
    Validation,
)

NEWEST = 50
"""Versions on the front page, and of one adapter on its own."""
MOST = 200
"""Stalled or waiting things that a page lists; the counts name them all."""
_LOOKED_AT = 1000  # live versions of one stage that are searched for stalled and waiting ones


@dataclass(frozen=True, slots=True)
class Item:
    """Something that stands still: a version, a directory or a channel, with the reason.

    Attributes:
        kind: ``version``, ``directory`` or ``channel``.
        name: what the command line calls it.
        adapter: the series it belongs to, where one is known.
        until: when it moves next, seconds since the epoch; None where an event must come first, or a person.
    """

    kind: str
    name: str
    adapter: str
    reason: str
    message: str
    hint: str
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One version, and the last report on it."""

    version: AdapterVersion
    report: Mapping[str, Any]

    @property
    def measurements(self) -> Mapping[str, Any]:
        """The report's numbers."""
        found = self.report.get("measurements")
        return found if isinstance(found, Mapping) else {}


@dataclass(frozen=True, slots=True)
class Overview:
    """The front page."""

    now: float
    health: Mapping[str, Any]
    counts: Mapping[str, int]
    generation: int
    stalled: Sequence[Item]
    waiting: Sequence[Item]
    newest: Sequence[Line]
    channels: Sequence[ChannelRecord]
    next_push: Push | None = None


@dataclass(frozen=True, slots=True)
class Chapter:
    """One version on its adapter's page."""

    line: Line
    validations: Sequence[Validation]
    events: Sequence[Event]
    sightings: Sequence[Sighting]
    erased: bool = False


@dataclass(frozen=True, slots=True)
class AdapterView:
    """The page of one adapter."""

    now: float
    record: AdapterRecord
    channels: Sequence[ChannelRecord]
    chapters: Sequence[Chapter]


def overview(reader: RegistryReader, health: Health, now: float) -> Overview:
    """Read the front page."""
    live = [version for stage in LIVE for version in reader.versions(stage=stage, limit=_LOOKED_AT)]
    channels = reader.channels()
    observations = reader.observations(states=("stalled", "refused", "waiting"))
    items = [(version.stalled, _of_version(version)) for version in live if version.reason]
    items += [(seen.state != "waiting", _of_directory(seen)) for seen in observations]
    items += [(channel.stalled, _of_channel(channel)) for channel in channels if channel.reason]
    waiting = [item for stalled, item in items if not stalled]
    return Overview(
        now=now,
        health=document(health),
        counts=reader.counts(),
        generation=reader.generation(),
        stalled=[item for stalled, item in items if stalled][:MOST],
        waiting=sorted(waiting, key=lambda item: item.until or 0.0)[:MOST],
        newest=[_line(reader, version) for version in reader.versions(limit=NEWEST)],
        channels=channels,
        next_push=pushes.first(live),
    )


def adapter(reader: RegistryReader, name: str, now: float) -> AdapterView | None:
    """Read the page of an adapter; None where the registry knows none of that name. Names are compared case-folded."""
    record = next((known for known in reader.adapters() if known.name.casefold() == name.casefold()), None)
    if record is None:
        return None
    repo = reader.repo(record.name)
    gone = erasures(repo.standing) if repo is not None else frozenset()
    return AdapterView(
        now=now,
        record=record,
        channels=reader.channels(record.name),
        chapters=[
            _chapter(reader, version, erased=version.identity in gone)
            for version in reader.versions(record.name, limit=NEWEST)
        ],
    )


def document(health: Health) -> Mapping[str, Any]:
    """What the daemon says of itself, as plain JSON; the lanes may add to it meanwhile."""
    still = replace(
        health,
        lanes=dict(health.lanes),
        roots=dict(health.roots),
        problems=dict(health.problems),
        counters=dict(health.counters),
    )
    return still.document()


def _chapter(reader: RegistryReader, version: AdapterVersion, *, erased: bool) -> Chapter:
    """All that is known of one version."""
    validations = reader.validations(version.id)
    return Chapter(
        line=Line(version, validations[-1].report if validations else {}),
        validations=validations,
        events=reader.events(version.id),
        sightings=reader.sightings(version.id),
        erased=erased,
    )


def _line(reader: RegistryReader, version: AdapterVersion) -> Line:
    """A version with its last report."""
    # A version that is staged for the first time has no report to ask for.
    validations = reader.validations(version.id) if version.stage is not Stage.STAGED or version.reason else ()
    return Line(version, validations[-1].report if validations else {})


def _of_version(version: AdapterVersion) -> Item:
    """A version that stands still."""
    until = None if version.stalled else version.due_at
    return Item("version", version.label, version.adapter, version.reason, version.message, version.hint, until)


def _of_directory(seen: Observation) -> Item:
    """A directory that stands still."""
    return Item("directory", f"{seen.root}/{seen.path}", seen.adapter, seen.reason, seen.message, seen.hint)


def _of_channel(channel: ChannelRecord) -> Item:
    """A channel that stands still."""
    until = None if channel.stalled else channel.due_at
    name = f"{channel.adapter}@{channel.channel}"
    return Item("channel", name, channel.adapter, channel.reason, channel.message, channel.hint, until)
