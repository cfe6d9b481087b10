"""How much of the Hub may still be used: what was sent, what the Hub itself says, and whether the next step fits. Pure.

Times are of any clock that does not jump; the caller says what time it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

WINDOW = 300.0
"""Seconds in which requests are counted, as the Hub counts them."""

HOUR = 3600.0
"""Seconds in which the commits to one repo are counted."""

GRAIN = 5.0
"""Requests within so many seconds are counted together."""

FIRST, LATER, PROMOTION, INDEX = 17, 11, 15, 5
"""Requests that a first version takes, a later one, a promotion, an export of the index (docs/line.md)."""

TIGHT = 0.25
"""It is tight when less than this share of a budget is left."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the configuration allows: requests in any five minutes, commits to one repo in any hour."""

    requests: int = 600
    commits: int = 100


@dataclass(frozen=True, slots=True)
class Window:
    """What the Hub said of one of its own windows: requests left, when it opens anew, how many it has."""

    remaining: int
    opens: float
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Ledger:
    """What was sent, and what the Hub said.

    Attributes:
        sent: requests by grain of time: (its begin, how many).
        commits: when each repo was committed to.
        windows: the Hub's own, by name.
    """

    sent: tuple[tuple[float, int], ...] = ()
    commits: Mapping[str, tuple[float, ...]] = field(default_factory=lambda: MappingProxyType({}))
    windows: Mapping[str, Window] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Spent:
    """It does not fit: when it will, and why not now."""

    until: float
    message: str


def sent(ledger: Ledger, now: float) -> Ledger:
    """One more request."""
    grain = now - now % GRAIN
    kept = [(begin, count) for begin, count in ledger.sent if now < begin + GRAIN + WINDOW]
    if kept and kept[-1][0] == grain:
        kept[-1] = (grain, kept[-1][1] + 1)
    else:
        kept.append((grain, 1))
    return replace(ledger, sent=tuple(kept))


def committed(ledger: Ledger, repo: str, now: float) -> Ledger:
    """One more commit to a repo."""
    kept = {name: live for name, times in ledger.commits.items() if (live := _live(times, now))}
    return replace(ledger, commits=kept | {repo: (*kept.get(repo, ()), now)})


def told(ledger: Ledger, name: str, window: Window) -> Ledger:
    """The Hub said how much is left in one of its windows."""
    return replace(ledger, windows={**ledger.windows, name: window})


def shut(ledger: Ledger, now: float) -> Spent | None:
    """Whether the Hub's own window is empty, so that no request may be sent."""
    empty = [window for window in ledger.windows.values() if window.remaining <= 0 and now < window.opens]
    if not empty:
        return None
    last = max(empty, key=lambda window: window.opens)
    return Spent(last.opens, _of_hub(last))


def used(ledger: Ledger, now: float) -> int:
    """Requests of the last five minutes."""
    return sum(count for begin, count in ledger.sent if now < begin + GRAIN + WINDOW)


def left(ledger: Ledger, limits: Limits, now: float) -> int:
    """Requests that may be sent now: what the configuration allows, or the Hub, whichever is less."""
    theirs = [window.remaining for window in ledger.windows.values() if now < window.opens]
    return max(0, min([limits.requests - used(ledger, now), *theirs]))


def commits_left(ledger: Ledger, limits: Limits, repo: str, now: float) -> int:
    """Commits that may be made to a repo now."""
    return max(0, limits.commits - len(_live(ledger.commits.get(repo, ()), now)))


def spent(ledger: Ledger, limits: Limits, now: float, requests: int, commit_to: str = "") -> Spent | None:
    """Why so many requests, and a commit to a repo where one is named, do not fit now; None where they do."""
    reasons = [
        Spent(window.opens, _of_hub(window))
        for window in ledger.windows.values()
        if window.remaining < requests and now < window.opens
    ]
    count = used(ledger, now)
    if count + requests > limits.requests:
        text = f"{count} of the {limits.requests} requests that hub.budget allows in five minutes are used"
        reasons.append(Spent(_room(ledger, limits.requests - requests, now), text))
    times = _live(ledger.commits.get(commit_to, ()), now) if commit_to else ()
    if len(times) >= limits.commits and commit_to:
        text = f"{commit_to} got {len(times)} commits within an hour, and hub.budget allows {limits.commits}"
        reasons.append(Spent(times[-limits.commits] + HOUR, text))
    return max(reasons, key=lambda found: found.until) if reasons else None


def tight(ledger: Ledger, limits: Limits, now: float, due: int) -> bool:
    """Whether requests run short: fewer are left than the versions that are due need, or than a quarter."""
    rest = left(ledger, limits, now)
    limit = min([limits.requests, *(w.limit for w in ledger.windows.values() if w.limit and now < w.opens)])
    return rest < max(due * LATER, TIGHT * limit)


def tight_for(ledger: Ledger, limits: Limits, now: float, repo: str, due: int) -> bool:
    """Whether commits to a repo run short: fewer are left than its versions that are due, or than a quarter."""
    return commits_left(ledger, limits, repo, now) < max(due, TIGHT * limits.commits)


def _of_hub(window: Window) -> str:
    of = "" if window.limit is None else f" of {window.limit}"
    return f"{window.remaining}{of} requests are left in the Hub's window"


def _live(times: tuple[float, ...], now: float) -> tuple[float, ...]:
    return tuple(at for at in times if now < at + HOUR)


def _room(ledger: Ledger, most: int, now: float) -> float:
    """When no more than `most` of the requests so far count any more."""
    count, until = used(ledger, now), now
    for begin, of_grain in ledger.sent:
        if count <= most:
            break
        if now < begin + GRAIN + WINDOW:
            count, until = count - of_grain, begin + GRAIN + WINDOW
    return until
