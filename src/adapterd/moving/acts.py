"""What a person does to channels, by Hub alone: promote, roll back, hold, release.

Each finds out first whether it is done, so that it may be asked for again after any failure, and completes what an
interrupted one began. The head that was read is the parent of every commit: where somebody else was faster it looks
again, and goes on while what was asked for still makes sense.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from adapterd.core import naming
from adapterd.core import publication as pub
from adapterd.core.standing import Document, Said, erased_numbers, held, with_hold, without_hold, yanked
from adapterd.moving import channel as channels
from adapterd.moving import document, history
from adapterd.moving.errors import RefusedError
from adapterd.moving.version import Version, version_of
from adapterd.ports import Conflict, Hub, NotFound, Refs

TRIES = 5
"""How often it is looked again where somebody else was faster."""


@dataclass(frozen=True, slots=True)
class Moved:
    """What became of a channel.

    Attributes:
        commit: the channel's head, which holds the version.
        was: what it held before, where that was read.
        held: whether it is held, so that no rule moves it on.
        done: whether it held the version already, and nothing was committed.
    """

    adapter: str
    channel: str
    number: int
    commit: str
    was: int | None
    held: bool
    done: bool


def promote(hub: Hub, repo: str, number: int, channel: str, said: Said) -> Moved:
    """Let a channel hold a version; a held one too, and it stays held. A channel that is not there yet is made.

    Raises:
        NotFound: there is no such repo or version, or it was erased.
        RefusedError: the version is yanked, its tag is not adapterd's, or the channel's name is reserved.
        RepoStalledError: `channel_drift`, where somebody else's files lie on the channel that a loader would read.
        Conflict: others are faster again and again.
    """
    _demand_name(channel)

    def once() -> Moved:
        refs = hub.refs(repo)
        standing = document.read(hub, repo, refs)[0]
        version = version_of(hub, repo, number, refs, standing)
        why = channels.Why(f"Promoted by {said.actor}.", "", said.actor, said.reason)
        there = channels.glance(hub, repo, channel, refs, version.tree)
        return _move(hub, repo, there, version, why, is_held=channel in held(standing))

    return _insist(once)


def rollback(hub: Hub, repo: str, channel: str, number: int | None, said: Said) -> Moved:
    """Hold a channel, then let it hold an older version: `number`, or what it held before its present one.

    The hold is put up first, so that no rule moves the channel on in between. Without a number, a channel that was
    rolled back already, and is held, stays where it is.

    Raises:
        NotFound: there is no such repo, channel or version, or it was erased.
        RefusedError: there is nothing to go back to, or the version is yanked.
        RepoStalledError: `channel_drift`, where somebody else's files lie on the channel that a loader would read.
        Conflict: others are faster again and again, or moved the channel to another version meanwhile.
    """
    _demand_name(channel)
    first: list[tuple[int | None, int]] = []

    def once() -> Moved:
        refs = hub.refs(repo)
        known = document.read(hub, repo, refs)
        head = demand_channel(repo, channel, refs)
        present: int | None = None
        to, card = number, ""
        if to is None:
            log = hub.log(repo, head)
            moves, card = history.told(log, channel), channels.own_card(log)
            present = moves[0].number if moves else None
            if moves and moves[0].rollback and channel in held(known[0]) and not first:
                return Moved(repo, channel, present or 0, head, None, held=True, done=True)
            if not first:
                first.append((present, _before(repo, channel, moves, known[0])))
            if present not in first[0]:
                raise _OvertakenError(repo, channel, present, first[0])
            to = first[0][1]
        version = version_of(hub, repo, to, refs, known[0])
        there = replace(channels.glance(hub, repo, channel, refs, version.tree), card=card)
        if channel not in held(known[0]):
            message, start = _told("Hold", channel, said), (there.head, tuple(there.tree))
            document.change(hub, repo, lambda d: with_hold(d, channel, said), message, known, refs, start)
        why = channels.Why(f"Rolled back by {said.actor}.", "", said.actor, said.reason)
        return _move(hub, repo, there, version, why, is_held=True, was=present)

    return _insist(once)


def hold(hub: Hub, repo: str, channel: str, said: Said) -> bool:
    """Keep a channel where it is, whatever its rule wants; False where it is held already. NotFound where it is not."""
    _demand_name(channel)
    refs = hub.refs(repo)
    demand_channel(repo, channel, refs)
    message = _told("Hold", channel, said)
    return bool(document.change(hub, repo, lambda d: with_hold(d, channel, said), message, refs=refs)[2])


def release(hub: Hub, repo: str, channel: str, said: Said) -> bool:
    """Let a channel's rule move it again, to versions newer than it ever held; False where it is not held."""
    refs = hub.refs(repo)
    known = document.read(hub, repo, refs)
    if channel not in held(known[0]):
        demand_channel(repo, channel, refs)
        return False
    message = _told("Release", channel, said)
    return bool(document.change(hub, repo, lambda d: without_hold(d, channel), message, known, refs)[2])


def demand_channel(repo: str, channel: str, refs: Refs) -> str:
    """The head of a channel; NotFound where there is none of this name."""
    if channel not in refs.branches or channel in naming.RESERVED_CHANNELS:
        names = ", ".join(names_of(refs))
        raise NotFound(f"{repo} has no channel {channel}", f"its channels are {names}" if names else "promote to it")
    return refs.branches[channel]


def names_of(refs: Refs) -> list[str]:
    """The branches that can be channels, by name."""
    return sorted(name for name in refs.branches if name not in naming.RESERVED_CHANNELS)


def _move(
    hub: Hub,
    repo: str,
    there: channels.Held,
    version: Version,
    why: channels.Why,
    *,
    is_held: bool,
    was: int | None = None,
) -> Moved:
    channel, number = there.channel, version.committed.said.number
    if channels.holds(there, version.tree):
        return Moved(repo, channel, number, there.head, None, held=is_held, done=True)
    commit = channels.move(hub, repo, there, version.committed, why, version.tree, {pub.MANIFEST: version.manifest})
    return Moved(repo, channel, number, commit, was, held=is_held, done=False)


def _before(repo: str, channel: str, moves: tuple[history.Move, ...], standing: Document) -> int:
    to = history.before(moves, yanked(standing) | erased_numbers(standing))
    if to is None:
        now = f"v{moves[0].number}" if moves and moves[0].number else "its present version"
        raise RefusedError(
            f"channel {channel} of {repo} held nothing before {now} to go back to", "name a version: --to vN"
        )
    return to


class _OvertakenError(Conflict):
    """Somebody moved the channel to another version, so that going back means something else now."""

    def __init__(self, repo: str, channel: str, present: int | None, first: tuple[int | None, int]) -> None:
        was, to = first
        super().__init__(
            f"channel {channel} of {repo} was moved from v{was} to v{present} meanwhile, and was not rolled back",
            f"adapterd rollback {repo} --channel {channel} --to v{to}",
        )


def _insist(once: Callable[[], Moved]) -> Moved:
    """Do it again where somebody else was faster."""
    for _ in range(TRIES - 1):
        try:
            return once()
        except _OvertakenError:
            raise
        except Conflict:
            continue
    return once()


def _demand_name(channel: str) -> None:
    if wrong := naming.channel_fault(channel):
        raise RefusedError(f"{channel} is no channel: {wrong}", "another name, such as main, stable or candidate")


def _told(what: str, channel: str, said: Said) -> str:
    """The message of a commit on the standing branch."""
    return f"{what} {channel}\n\nBy {said.actor}. {said.reason}".strip()
