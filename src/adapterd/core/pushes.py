"""When the next push comes, and why not sooner. Pure; what it says follows from the registry alone."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from adapterd.core.version import AdapterVersion, Stage


@dataclass(frozen=True, slots=True)
class Push:
    """The next version that goes to the Hub.

    Attributes:
        at: when, seconds since the epoch; what is past means now.
        version: its name.
        reason: the code of what it waits for; empty where it only has to have its turn.
        message: that, with its numbers.
        behind: how many more versions are validated and not published.
    """

    at: float
    version: str
    reason: str
    message: str
    behind: int = 0


def of(version: AdapterVersion) -> Push | None:
    """When one version goes to the Hub; None where it is not validated, or waits for a person."""
    if version.stage is not Stage.VALIDATED or version.stalled:
        return None
    return Push(version.due_at, version.label, version.reason, version.message)


def first(versions: Iterable[AdapterVersion]) -> Push | None:
    """The push that comes first; None where nothing is to be pushed."""
    ready = [(version.due_at, version.intake, push) for version in versions if (push := of(version)) is not None]
    if not ready:
        return None
    _, _, push = min(ready, key=lambda each: each[:2])
    return Push(push.at, push.version, push.reason, push.message, len(ready) - 1)


def told(push: Push | None, now: float, when: Callable[[float], str]) -> str:
    """In words; empty where there is none. `when` writes a time."""
    if push is None:
        return ""
    if push.at <= now:
        return f"next push now: {push.version}"
    return f"next push at {when(push.at)}: {push.message or push.reason}"


def document(push: Push | None) -> dict[str, object] | None:
    """As plain JSON."""
    if push is None:
        return None
    said = {"at": push.at, "version": push.version, "reason": push.reason or None, "message": push.message or None}
    return {**said, "behind": push.behind}
