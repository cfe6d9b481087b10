"""promote: each channel holds what its rule wants. Level-triggered, beside the line.

A channel is a branch, moved by one forward commit that re-instates a version's tree; the LFS bytes do not travel. A
crash between commit and record is found again by the commit's own trailers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from adapterd.core import budget, channels
from adapterd.core import publication as pub
from adapterd.core.channels import Rule
from adapterd.core.readme import BEGIN, END, splice_raw, split_front_matter
from adapterd.core.reasons import reason
from adapterd.core.standing import erased_numbers, held, yanked
from adapterd.core.version import AdapterVersion, Reason, Stage
from adapterd.log import get_logger
from adapterd.ports import (
    AddBytes,
    ChannelRecord,
    Conflict,
    CopyFrom,
    Delete,
    Denied,
    Hub,
    NotFound,
    Operation,
    Refs,
    RegistryError,
    RemoteCommit,
    RemoteFile,
    RepoRecord,
    Transient,
)
from adapterd.steps import repo as repos
from adapterd.steps import waiting
from adapterd.steps.host import Host
from adapterd.steps.repo import RepoStalledError

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


def _wanting(host: Host) -> list[tuple[ChannelRecord, AdapterVersion]]:
    """Every channel that its rule wants elsewhere, whatever its standing, with the version that it wants."""
    known = {(c.adapter, c.channel): c for c in host.registry.channels()}
    candidates = {o.version for o in host.registry.observations(reason="unfinished") if o.version}
    wanted = []
    published: dict[str, list[AdapterVersion]] = {}
    for version in host.registry.versions(stage=Stage.PUBLISHED):
        published.setdefault(version.adapter, []).append(version)
    for adapter, versions in sorted(published.items()):
        standing = (host.registry.repo(adapter) or RepoRecord(adapter)).standing
        for name, channel in host.config.channels.items():
            record = known.get((adapter, name), ChannelRecord(adapter, name))
            next_ = channels.wanted(Rule(channel.rule), name, versions, record.highest, standing, candidates)
            if next_ is not None:
                wanted.append((record, next_))
    return wanted


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
    moved = replace(record, number=number, highest=max(record.highest, number), attempts=0, due_at=0.0)
    moved = replace(moved, reason="", message="", hint="", stalled=False)
    refs = hub.refs(repo)
    before = host.registry.repo(repo) or RepoRecord(repo)
    known = repos.standing(hub, before, refs)
    if known.standing_head != before.standing_head:
        host.registry.save_repo(known)
        if channel in held(known.standing) or number in yanked(known.standing) | erased_numbers(known.standing):
            return record
    target = hub.tree(repo, version.commit or "")
    head = refs.branches.get(channel, "")
    if not head:
        root = hub.log(repo, pub.BRANCH)[-1].id
        hub.create_branch(repo, channel, root)
        head = root
    there = hub.tree(repo, head)
    former, highest = _former(hub, record, head, there)
    moved = replace(moved, highest=max(moved.highest, highest))
    if former is not None and former.number == number:
        return replace(moved, commit=head)
    if number <= highest:
        # Another publisher, or an earlier life with a registry that is lost, moved it further: it stays, or is empty.
        return replace(moved, number=former.number if former else None, commit=head)
    readme = hub.read(repo, head, pub.CARD) if pub.CARD in there else b""
    block = hub.read(repo, version.commit or "", pub.CARD).decode("utf-8", "replace")
    moves = operations(target, there, readme, block, version.commit or "")
    message = pub.with_trailers(
        f"{channel} -> v{number}",
        f"Promoted by rule `{host.config.channels[channel].rule}`.",
        pub.Trailers(version.identity, number, host.publisher, channel),
    )
    commit = hub.commit(repo, channel, head, moves, message)
    _compare(hub, repo, channel, commit, target)
    return replace(moved, commit=commit)


def fault(hub: Hub, record: ChannelRecord, refs: Refs) -> str:
    """What is wrong with a channel that this publisher moved; empty where its head is a tree that we re-instated."""
    head = refs.branches.get(record.channel, "")
    if head == record.commit:
        return ""
    if not head:
        return f"the branch {record.channel} is gone; it held v{record.number}"
    try:
        _former(hub, record, head, hub.tree(record.adapter, head))
    except RepoStalledError as stalled:
        return stalled.reason.message
    except NotFound as error:
        return error.message
    return ""


def _former(
    hub: Hub, record: ChannelRecord, head: str, there: Mapping[str, RemoteFile]
) -> tuple[pub.Trailers | None, int]:
    """What the channel's head re-instates, None for a fresh channel; and the highest number that it ever held.

    The branch says both: a registry may be new, and others may move the channel too. RepoStalledError `channel_drift`
    where the head is nothing of ours.
    """
    repo, channel = record.adapter, record.channel
    own = pub.OWN_FILES
    # A person may have edited the card since, so the newest commit need not be ours.
    log = hub.log(repo, head)
    all_said = [found for c in log if (found := pub.trailers(c.message))]
    said = all_said[0] if all_said else None
    if _emptied(log) and not channels.drift(there, (), own):
        return None, max((t.number for t in all_said if t.channel == channel), default=0)
    if said is None:
        if record.commit or (foreign := channels.drift(there, (), own)):
            what = f"commit {head[:12]}" if record.commit else foreign[0]
            raise RepoStalledError(reason("channel_drift", f"{what} on channel {channel} of {repo} is not ours"))
        return None, 0
    if said.channel and said.channel != channel:
        raise RepoStalledError(reason("channel_drift", f"{channel} of {repo} was moved to another channel's commit"))
    tree = hub.tree(repo, f"v{said.number}")
    if foreign := channels.drift(there, tree, own):
        raise RepoStalledError(reason("channel_drift", f"{foreign[0]} on channel {channel} of {repo} is not ours"))
    changed = [p for p, f in tree.items() if p not in (pub.CARD, ".gitattributes") and there.get(p) != f]
    if changed:
        raise RepoStalledError(
            reason("channel_drift", f"{changed[0]} on channel {channel} of {repo} is not v{said.number}'s")
        )
    return said, max((t.number for t in all_said if t.channel == channel), default=0)


def _emptied(log: Sequence[RemoteCommit]) -> bool:
    """Whether the last that we did to a channel was to empty it, since the version that it held was erased."""
    ours = (c.message for c in log if pub.trailers(c.message) or pub.erased_by(c.message))
    last = next(ours, None)
    return last is not None and pub.trailers(last) is None


def operations(
    target: Mapping[str, RemoteFile],
    there: Mapping[str, RemoteFile],
    readme: bytes,
    card_of_version: str,
    revision: str,
) -> list[Operation]:
    """Re-instate a version's tree, keep a person's files, splice the card."""
    found: list[Operation] = [
        CopyFrom(path, revision)
        for path, file in sorted(target.items())
        if path not in (pub.CARD, ".gitattributes") and there.get(path) != file
    ]
    stale = [p for p in sorted(there) if p not in target and p not in pub.OWN_FILES and channels.loader_reads(p)]
    found += [Delete(path) for path in stale]
    front, body = split_front_matter(card_of_version)
    begin, end = body.find(BEGIN), body.find(END)
    managed = body[begin : end + len(END)] if 0 <= begin < end else body.strip()
    return [*found, AddBytes(pub.CARD, splice_raw(readme, managed, dict(front)))]


def _compare(hub: Hub, repo: str, channel: str, commit: str, target: Mapping[str, RemoteFile]) -> None:
    """After the commit: what lies on the channel is the version's tree."""
    there = hub.tree(repo, commit)
    wrong = [p for p, f in target.items() if p not in (pub.CARD, ".gitattributes") and there.get(p) != f]
    if wrong:
        raise RepoStalledError(reason("channel_drift", f"{wrong[0]} on channel {channel} of {repo} has other bytes"))
