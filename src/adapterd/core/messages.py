"""Commit messages: their trailers say which version a commit is or re-instates, who moved a channel, and why. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from adapterd.core.adapter import IDENTITY_ALGORITHM
from adapterd.core.naming import tag_number

_IDENTITY, _VERSION, _PUBLISHER, _CHANNEL, _ACTOR, _REASON, _CARD, _CARD_FROM, _ERASED = (
    "Adapter-Identity",
    "Adapter-Version",
    "Adapter-Publisher",
    "Adapter-Channel",
    "Adapter-Actor",
    "Adapter-Reason",
    "Adapter-Card",
    "Adapter-Card-From",
    "Adapter-Erased",
)


@dataclass(frozen=True, slots=True)
class Trailers:
    """What a commit message of ours says in its last lines.

    Attributes:
        publisher: of a version, who made it; of a channel's commit by hand, empty.
        channel: that the commit moves; empty for a version.
        actor: who moved a channel by hand, and `reason` why; empty where a rule did.
        card: git blob id of the card that a move left, where each word in it is the version's; else empty.
        card_from: git blob id of the card that lay there before; empty for none.
    """

    identity: str
    number: int
    publisher: str
    channel: str = ""
    actor: str = ""
    reason: str = ""
    card: str = ""
    card_from: str = ""


@dataclass(frozen=True, slots=True)
class Erasure:
    """That a branch was moved off a version, named by tag or identity, since `actor` erased it; `reason` is why."""

    gone: str
    actor: str = ""
    reason: str = ""


def trailers(message: str) -> Trailers | None:
    """Read the trailers of a commit message; None where it is not one of adapterd's.

    They are its last paragraph: what a run's name puts into the title is no trailer.
    """
    found = _last_lines(message)
    number = tag_number(found.get(_VERSION, ""))
    identity = found.get(_IDENTITY, "").removeprefix(f"{IDENTITY_ALGORITHM}:")
    if number is None or not identity:
        return None
    said = (found.get(key, "") for key in (_PUBLISHER, _CHANNEL, _ACTOR, _REASON, _CARD, _CARD_FROM))
    return Trailers(identity, number, *said)


def _last_lines(message: str) -> dict[str, str]:
    """The trailers of ours in a message's last paragraph, whichever they are."""
    found: dict[str, str] = {}
    last = message.replace("\r\n", "\n").strip().rpartition("\n\n")[2]
    for line in last.split("\n"):
        key, colon, value = line.partition(": ")
        if colon and key in (_IDENTITY, _VERSION, _PUBLISHER, _CHANNEL, _ACTOR, _REASON, _CARD, _CARD_FROM, _ERASED):
            found[key] = " ".join(value.split())
    return found


def with_trailers(title: str, body: str, of: Trailers, erased: str = "") -> str:
    """A commit message: title, body, trailers; with the tag or identity of what a branch is moved off."""
    lines = [
        f"{_IDENTITY}: {IDENTITY_ALGORITHM}:{of.identity}",
        f"{_VERSION}: v{of.number}",
    ]
    told = (
        (_PUBLISHER, of.publisher),
        (_CHANNEL, of.channel),
        (_ACTOR, of.actor),
        (_REASON, of.reason),
        (_CARD, of.card),
        (_CARD_FROM, of.card_from),
        (_ERASED, erased),
    )
    lines += [f"{key}: {' '.join(value.split())}" for key, value in told if value]
    return "\n\n".join(part for part in (title, body, "\n".join(lines)) if part)


def with_erasure(title: str, body: str, of: Erasure) -> str:
    """The message of a commit that moves a branch off an erased version, to nothing or on `versions`."""
    told = ((_ERASED, of.gone), (_ACTOR, of.actor), (_REASON, of.reason))
    lines = [f"{key}: {' '.join(value.split())}" for key, value in told if value]
    return "\n\n".join(part for part in (title, body, "\n".join(lines)) if part)


def erasure(message: str) -> Erasure | None:
    """Whether and why a commit says that it moves its branch off an erased version."""
    found = _last_lines(message)
    gone = found.get(_ERASED, "")
    return Erasure(gone, found.get(_ACTOR, ""), found.get(_REASON, "")) if gone else None


def channel_history(messages: Iterable[str], channel: str) -> tuple[int | None, int]:
    """What a channel holds by its commits' messages, newest first, and the highest that it ever held; None for nothing.

    A channel that was emptied, since its version was erased, holds nothing.
    """
    holds: int | None = None
    known, highest = False, 0
    for message in messages:
        said = trailers(message)
        if said is not None and said.channel == channel:
            holds, known, highest = (holds if known else said.number), True, max(highest, said.number)
        elif erasure(message):
            known = True
    return holds, highest
