"""promote: each channel holds what its rule wants. Level-triggered, beside the line.

A channel is a branch, moved by one forward commit that re-instates a version's tree; the LFS bytes do not travel. A
crash between commit and record is found again by the commit's own trailers.
"""

from dataclasses import replace

from adapterd import moving, ruling
from adapterd.core import budget, messages, rules
from adapterd.core import publication as pub
from adapterd.core.reasons import reason
from adapterd.core.rules import Back
from adapterd.core.standing import erased_numbers, held, yanked
from adapterd.core.version import AdapterVersion, Reason
from adapterd.log import get_logger
from adapterd.moving import RepoStalledError
from adapterd.ports import (
    ChannelRecord,
    Conflict,
    Denied,
    Hub,
    NotFound,
    Refs,
    RegistryError,
    RepoRecord,
    Transient,
)
from adapterd.steps import repo as repos
from adapterd.steps import waiting
from adapterd.steps.host import Host

log = get_logger(__name__)

CONFLICT_WAIT = 5.0
"""Seconds until a channel whose head moved meanwhile is looked at again."""


def due(host: Host, *, all_: bool = False) -> list[tuple[ChannelRecord, AdapterVersion]]:
    """The channels that want another version now, each with that version; with `all_`, waiting ones too."""
    now, longest = host.clock(), waiting.longest(host.config.schedule)
    moving = [(record, version) for record, version in _wanting(host) if not record.stalled]
    return [pair for pair in moving if all_ or not now < pair[0].due_at <= now + 2 * longest]


def stalled(host: Host) -> list[tuple[ChannelRecord, AdapterVersion]]:
    """The channels that want another version and wait for a person, each with that version."""
    return [(record, version) for record, version in _wanting(host) if record.stalled]


def held_back(host: Host) -> list[tuple[ChannelRecord, Back]]:
    """The newer versions that channels do not take by themselves now, each with the reason."""
    found = ruling.wanting(host.registry, host.config, host.clock())
    return [(wanting.record, back) for wanting in found for back in wanting.back]


def _wanting(host: Host) -> list[tuple[ChannelRecord, AdapterVersion]]:
    """Every channel that its rule wants elsewhere, whatever its standing, with the version that it wants."""
    _note_entries(host)
    found = ruling.wanting(host.registry, host.config, host.clock())
    return [(wanting.record, wanting.version) for wanting in found if wanting.version is not None]


def _note_entries(host: Host) -> None:
    """Begin to count for versions that a soak is about, and that a channel held before their history said so."""
    about = {channel.soak_in for channel in host.config.channels.values()} - {None}
    if not about:
        return
    told = host.registry.noted(rules.ENTERED)
    for record in host.registry.channels():
        if record.channel not in about or record.number is None:
            continue
        version = host.registry.find(record.adapter, number=record.number)
        if version is not None and version.id not in told:
            host.registry.note(version.id, rules.ENTERED, {"channel": record.channel}, host.clock())


def promote(host: Host, record: ChannelRecord, version: AdapterVersion, jitter: float) -> ChannelRecord:
    """Move one channel to a version, and record what came of it. Errors of the port become its standing."""
    pause = host.pace.pause("commit", record.adapter, budget.PROMOTION)
    if pause is not None:
        waits = replace(_standing(record, reason(pause.code, pause.message)), due_at=pause.until)
        host.registry.save_channel(waits)
        return waits
    try:
        with host.sending.commit(record.adapter):
            done = _promote(host, host.hub(), record, version)
    except RepoStalledError as stalled:
        done = _standing(record, stalled.reason, stalled=True)
    except Conflict as error:
        done = replace(_standing(record, reason("conflict", error.message)), due_at=host.clock() + CONFLICT_WAIT)
    except NotFound as error:
        done = _standing(record, reason("repo_vanished", error.message), stalled=True)
    except Denied as error:
        done = _standing(record, reason("denied", error.message, error.hint), stalled=True)
    except RegistryError:
        raise
    except Transient as error:
        later = waiting.after(error, record.attempts, host.config.schedule, host.clock(), jitter)
        done = replace(_standing(record, later.reason), attempts=record.attempts + later.counts, due_at=later.until)
    except Exception as error:  # a bug of ours: said with its traceback, and only this channel stops
        what = f"{record.adapter}@{record.channel}"
        log.exception("promotion_failed", channel=what)
        done = _standing(record, reason("bug", f"moving {what} failed with {type(error).__name__}"), stalled=True)
    host.registry.save_channel(done)
    return done


def _standing(record: ChannelRecord, why: Reason, *, stalled: bool = False) -> ChannelRecord:
    return replace(record, reason=why.code, message=why.message, hint=why.hint, stalled=stalled)


def _promote(host: Host, hub: Hub, record: ChannelRecord, version: AdapterVersion) -> ChannelRecord:
    repo, channel, number = record.adapter, record.channel, version.number or 0
    refs = hub.refs(repo)
    before = host.registry.repo(repo) or RepoRecord(repo)
    known = repos.standing(hub, before, refs)
    if known.standing_head != before.standing_head:
        host.registry.save_repo(known)
        if channel in held(known.standing) or number in yanked(known.standing) | erased_numbers(known.standing):
            return record
    there = moving.read(hub, repo, channel, refs, known=bool(record.commit))
    highest = max(record.highest, there.highest)
    if number <= there.highest and (there.said is None or there.said.number != number):
        # Another publisher, or an earlier life with a registry that is lost, moved it further: it stays, or is empty.
        return ChannelRecord(repo, channel, there.said.number if there.said else None, there.head, highest)
    if host.config.channels[channel].metric and there.said is not None and there.said.number != record.number:
        # Somebody moved it since: the version was compared with another one than it holds.
        return ChannelRecord(repo, channel, there.said.number, there.head, highest)
    to = pub.Committed(version.commit or "", messages.Trailers(version.identity, number, host.publisher))
    why = moving.Why(f"Promoted by rule `{host.config.channels[channel].rule}`.", host.publisher)
    return ChannelRecord(repo, channel, number, moving.move(hub, repo, there, to, why), max(highest, number))


def fault(hub: Hub, record: ChannelRecord, refs: Refs) -> str:
    """What is wrong with a channel that this publisher moved; empty where its head is a tree that we re-instated."""
    head = refs.branches.get(record.channel, "")
    if head == record.commit:
        return ""
    if not head:
        return f"the branch {record.channel} is gone; it held v{record.number}"
    try:
        moving.read(hub, record.adapter, record.channel, refs, known=bool(record.commit))
    except (RepoStalledError, NotFound) as error:
        return error.message
    return ""
