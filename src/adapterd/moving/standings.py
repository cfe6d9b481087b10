"""How every channel of a repo stands: what it holds, since when, by whom, why, and whether it is held."""

from dataclasses import dataclass

from adapterd.core.standing import Said, holds, yanked
from adapterd.moving import document, history
from adapterd.moving.acts import demand_channel, names_of
from adapterd.moving.withdrawing import number_at
from adapterd.ports import Hub


@dataclass(frozen=True, slots=True)
class ChannelStanding:
    """One channel.

    Attributes:
        number: of the version that it holds; None for none.
        moves: its history, newest first; empty where nothing of ours ever moved it.
        hold: who holds it, and why; None where it moves by its rule.
        yanked: whether the version that it holds was withdrawn.
    """

    channel: str
    head: str
    number: int | None
    moves: tuple[history.Move, ...]
    hold: Said | None
    yanked: bool


def standings(hub: Hub, repo: str, only: str | None = None) -> tuple[ChannelStanding, ...]:
    """Every channel, or one: branches on which nothing of ours was ever put are none, but for `main`.

    NotFound where there is no such repo or channel.
    """
    refs = hub.refs(repo)
    if only is not None:
        demand_channel(repo, only, refs)
    standing = document.read(hub, repo, refs)[0]
    out, held = yanked(standing), holds(standing)
    found = []
    for name in [only] if only is not None else names_of(refs):
        head = refs.branches[name]
        moves = history.read(hub, repo, name, head)
        number = moves[0].number if moves else number_at(hub, repo, head)
        if moves or number is not None or name in ("main", only):
            found.append(ChannelStanding(name, head, number, moves, held.get(name), yanked=number in out))
    return tuple(found)
