"""A channel's history: its branch's commits, as their messages tell it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from adapterd.core import messages
from adapterd.ports import Hub, RemoteCommit


@dataclass(frozen=True, slots=True)
class Move:
    """One time that a channel was moved.

    Attributes:
        at: seconds since the epoch; 0 where the Hub does not say.
        number: of the version that it held from then on; None where it was emptied, since its version was erased.
        actor: who did it by hand, and `reason` why; empty where a rule did.
        erased: the version that it was moved off since that was erased; empty for any other move.
        publisher: whose rule did it; empty for a hand.
        rollback: whether a hand took it back to an older version.
    """

    commit: str
    at: float
    number: int | None
    identity: str
    actor: str
    reason: str
    publisher: str
    rollback: bool
    erased: str = ""

    @property
    def by_hand(self) -> bool:
        """Whether a person moved it, not a rule."""
        return bool(self.actor)


def read(hub: Hub, repo: str, channel: str, head: str) -> tuple[Move, ...]:
    """The history of a channel from its head on, newest first; what persons commit there besides is not told."""
    return told(hub.log(repo, head), channel)


def told(commits: Sequence[RemoteCommit], channel: str) -> tuple[Move, ...]:
    """The moves among some commits, both newest first."""
    moves: list[Move] = []
    holds: int | None = None
    for commit in reversed(commits):
        said, off = messages.trailers(commit.message), messages.erasure(commit.message)
        if said is not None and said.channel == channel:
            gone = off.gone if off is not None else ""
            back = bool(said.actor) and not gone and holds is not None and said.number < holds
            words = (said.identity, said.actor, said.reason, said.publisher)
            moves.append(Move(commit.id, commit.at, said.number, *words, rollback=back, erased=gone))
            holds = said.number
        elif said is None and off is not None:
            words = ("", off.actor, off.reason, "")
            moves.append(Move(commit.id, commit.at, None, *words, rollback=False, erased=off.gone))
            holds = None
    return tuple(reversed(moves))


def before(moves: Sequence[Move], out: Collection[int] = ()) -> int | None:
    """The version that a channel goes back to: what it held before its present one; None where there is nothing.

    A version that it was taken back from does not count, nor does one of `out`: yanked, or erased.

    Args:
        moves: newest first.
        out: numbers that nobody shall get.
    """
    line: list[int] = []
    for move in reversed(moves):
        if move.number is not None:
            line = [number for number in line if number < move.number] + [move.number]
    return next((number for number in reversed(line[:-1]) if number not in out), None)
