"""What the rules of the channels want now: read from registry and configuration, decided by `core.rules`.

Nothing is done here, so that verbs which read can tell it too; `steps.promote` moves what is wanted.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from adapterd.config import Channel, Config
from adapterd.core import channels, rules
from adapterd.core.channels import Rule
from adapterd.core.rules import FAILED, LOOKED_AT, Back, Known, Present, Terms
from adapterd.core.version import AdapterVersion, Reason, Stage
from adapterd.ports import ChannelRecord, RegistryReader, RepoRecord

UNFINISHED = "unfinished"
"""Reason of an observation: the last checkpoint of a run that ended without a final save."""


@dataclass(frozen=True, slots=True)
class Wanting:
    """One channel whose rule has something to say: the version that it takes now, and those that it does not take."""

    record: ChannelRecord
    version: AdapterVersion | None
    back: tuple[Back, ...] = ()


def wanting(registry: RegistryReader, config: Config, now: float, of: str | None = None) -> Iterator[Wanting]:
    """Every channel of one adapter or all for which there is a newer version, whatever its standing."""
    known = {(c.adapter, c.channel): c for c in registry.channels()}
    rows: frozenset[int] | None = None
    # Versions are read only where one is newer than what a channel ever held: at rest none, however many there are.
    newest = _newest(registry, config)
    for adapter in sorted(set[str]().union(*newest.values())) if of is None else [of]:
        repo: RepoRecord | None = None
        for name, channel in config.channels.items():
            record, rule = known.get((adapter, name), ChannelRecord(adapter, name)), Rule(channel.rule)
            if newest.get(rule, {}).get(adapter, 0) <= record.highest:
                continue
            final = True if rule is Rule.FINALS else None
            newer = registry.versions(adapter, Stage.PUBLISHED, above=record.highest, final=final)
            if rule is Rule.CANDIDATES and rows is None:
                rows = frozenset(o.version for o in registry.observations(reason=UNFINISHED) if o.version)
            repo = repo or registry.repo(adapter) or RepoRecord(adapter)
            suited = channels.suited(rule, newer, record.highest, repo.standing, rows or ())[:LOOKED_AT]
            if not suited:
                continue
            terms = terms_of(channel)
            present = Present(name, record.number, _held(registry, record, terms), repo.standing)
            found = rules.wish(terms, present, suited, _known(registry, suited), now)
            yield Wanting(record, found.version, found.back)


def _newest(registry: RegistryReader, config: Config) -> Mapping[Rule, Mapping[str, int]]:
    """For each rule that a channel has, the highest number that it could take, by adapter."""
    used = {Rule(channel.rule) for channel in config.channels.values()}
    found = {Rule.FINALS: registry.newest_finals()} if Rule.FINALS in used else {}
    if Rule.CANDIDATES in used:
        found[Rule.CANDIDATES] = registry.newest_observed(UNFINISHED)
    return found


@dataclass(frozen=True, slots=True)
class Failing:
    """A published version whose last report says no, why, and the channels that hold it."""

    version: AdapterVersion
    reason: Reason
    channels: tuple[str, ...] = ()


def failing(registry: RegistryReader) -> tuple[Failing, ...]:
    """Every version that failed when it was validated again, and has not passed since."""
    found = []
    for row in sorted(registry.noted(FAILED)):
        version, why = registry.version(row), rules.failing(registry.validations(row))
        if version is not None and why is not None:
            holding = (c.channel for c in registry.channels(version.adapter) if c.number == version.number)
            found.append(Failing(version, why, tuple(holding)))
    return tuple(found)


def terms_of(channel: Channel) -> Terms:
    """What a channel of the configuration asks for."""
    return Terms(
        Rule(channel.rule),
        metric=channel.metric or "",
        better=channel.direction,
        tolerance=channel.tolerance,
        soak_in=channel.soak_in or "",
        soak_for=channel.soak_for,
    )


def _held(registry: RegistryReader, record: ChannelRecord, terms: Terms) -> Known:
    """What is known of the version that a channel holds, where that is asked for."""
    if not terms.metric or record.number is None:
        return rules.NOTHING
    held = registry.find(record.adapter, number=record.number)
    return rules.NOTHING if held is None else Known(registry.validations(held.id))


def _known(registry: RegistryReader, suited: tuple[AdapterVersion, ...]) -> Mapping[int, Known]:
    return {v.id: Known(registry.validations(v.id), registry.events(v.id)) for v in suited}
