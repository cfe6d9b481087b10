"""look: take over what others did to a repo's channels and standing document. They move them by Hub alone."""

from dataclasses import replace

from adapterd import moving
from adapterd.core.naming import RESERVED_CHANNELS
from adapterd.log import get_logger
from adapterd.moving import RepoStalledError
from adapterd.ports import ChannelRecord, Hub, Refs, RepoRecord
from adapterd.steps import repo as repos
from adapterd.steps.host import Host

REQUESTS = 5
"""What a look takes where one channel was moved; where none was it takes one."""

log = get_logger(__name__)


def look(host: Host, adapter: str) -> tuple[str, ...]:
    """Read the refs of a repo, and what is not where the registry remembers it; the channels that hold something else.

    A channel that somebody moved is no drift, be it to an older version: it is remembered as it stands. One whose head
    is not a version's tree waits for a person, as if a rule had come upon it. Errors of the port pass through.
    """
    hub = host.hub()
    refs = hub.refs(adapter)
    before = host.registry.repo(adapter) or RepoRecord(adapter)
    known = repos.standing(hub, before, refs)
    if known != before:
        host.registry.save_repo(known)
    moved = []
    records = {record.channel: record for record in host.registry.channels(adapter)}
    for name in sorted({*records, *refs.branches} - set(RESERVED_CHANNELS)):
        record = records.get(name, ChannelRecord(adapter, name))
        if refs.branches.get(name, "") != record.commit and (found := _found(host, hub, record, refs)) != record:
            host.registry.save_channel(found)
            moved.append(name)
    return tuple(moved)


def _found(host: Host, hub: Hub, record: ChannelRecord, refs: Refs) -> ChannelRecord:
    """How a channel stands, whose branch is not where it was."""
    repo, name = record.adapter, record.channel
    ours = name in host.config.channels
    if name not in refs.branches:
        # A rule makes the branch of its own channel again; another one was removed by whoever made it.
        return record if ours else ChannelRecord(repo, name, None, "", record.highest)
    try:
        there = moving.read(hub, repo, name, refs, known=bool(record.commit))
    except RepoStalledError as stalled:
        if not record.commit:
            return record  # a person's branch of another kind, or a channel that no rule has wanted elsewhere yet
        why = stalled.reason
        return replace(record, reason=why.code, message=why.message, hint=why.hint, stalled=True)
    highest = max(record.highest, there.highest)
    if there.said is None:
        emptied = bool(record.commit) and record.number is not None
        return ChannelRecord(repo, name, None, there.head, highest) if emptied else record
    log.info("channel_was_moved", adapter=repo, channel=name, number=there.said.number, commit=there.head)
    return ChannelRecord(repo, name, there.said.number, there.head, highest)
