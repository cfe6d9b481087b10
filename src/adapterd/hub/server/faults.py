"""A fault plan: which requests are struck, when, and by what. Pure but for the plan's own counting.

Each fault is a small frozen value; `web/faulty.py` does what it says. A rule is matched against every request; of all
rules that strike one, the first in the plan stands outermost.
"""

import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Literal


@dataclass(frozen=True, slots=True)
class Delay:
    """The request waits before the Hub gets it."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Say:
    """This answer instead of the Hub's, which never hears of the request."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Lose:
    """The Hub does what it was asked to, and its answer never arrives: the connection breaks, or falls silent."""

    silent: bool = False


@dataclass(frozen=True, slots=True)
class CutUpload:
    """The connection is reset (RST) once more than `after` bytes of the request's body have come."""

    after: int


@dataclass(frozen=True, slots=True)
class Hang:
    """The connection stays open and nothing comes: no answer at all, or none after `after` bytes of its body."""

    after: int | None = None


@dataclass(frozen=True, slots=True)
class Trickle:
    """Part of the exchange comes so slowly that it never ends, though something moves all the time."""

    what: Literal["request", "headers", "body"]
    every: float


@dataclass(frozen=True, slots=True)
class Truncate:
    """The answer ends after `after` bytes of its body, fewer than it promised."""

    after: int


@dataclass(frozen=True, slots=True)
class Alter:
    """One bit of each piece of the answer's body is another one; its length is right."""


@dataclass(frozen=True, slots=True)
class Redirect:
    """The client is sent to the same path at another address."""

    to: str
    status: int = 302


@dataclass(frozen=True, slots=True)
class Remake:
    """Before the request is answered, somebody deletes its repo, renames it, or changes who may see it."""

    act: Literal["delete", "rename", "public", "private"]
    to: str = ""


Fault = Delay | Say | Lose | CutUpload | Hang | Trickle | Truncate | Alter | Redirect | Remake


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, as rules see it: `path` is raw and has no query; `action` and `repo` are empty where there is none."""

    method: str
    path: str
    action: str = ""
    repo: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One fault, and which requests it strikes.

    Attributes:
        fault: what happens to them.
        on: named actions; none for any request.
        method: an HTTP method; empty for any.
        path: a pattern for the raw path, with ``*`` and ``?``.
        repo: a pattern for ``namespace/name``, in lower case.
        nth: the first of the matching requests that is struck, from 1.
        count: how many are struck at most; None for all.
        chance: that one is struck, decided by `seed` and its number.
        seconds: how long after its first strike the rule is in force; None for ever.
    """

    fault: Fault
    on: tuple[str, ...] = ()
    method: str = ""
    path: str = "*"
    repo: str = "*"
    nth: int = 1
    count: int | None = None
    chance: float = 1.0
    seed: int = 0
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Tally:
    """What one rule has seen: matching requests, strikes, and when it struck first."""

    seen: int = 0
    struck: int = 0
    began: float | None = None


def matches(rule: Rule, asked: Asked) -> bool:
    """Tell whether a rule is about a request."""
    return (
        (not rule.on or asked.action in rule.on)
        and rule.method in ("", asked.method)
        and fnmatchcase(asked.path, rule.path)
        and fnmatchcase(asked.repo.lower(), rule.repo)
    )


def decide(rule: Rule, tally: Tally, now: float) -> tuple[bool, Tally]:
    """Decide whether the next matching request is struck, and count it."""
    tally = replace(tally, seen=tally.seen + 1)
    due = tally.seen >= rule.nth and (rule.count is None or tally.struck < rule.count)
    over = rule.seconds is not None and tally.began is not None and now >= tally.began + rule.seconds
    dice = random.Random(f"{rule.seed} {tally.seen}")  # noqa: S311 - a schedule, not a secret
    if not due or over or dice.random() >= rule.chance:
        return False, tally
    return True, replace(tally, struck=tally.struck + 1, began=now if tally.began is None else tally.began)


@dataclass(frozen=True, slots=True)
class Strike:
    """One request that was struck."""

    at: float
    asked: Asked
    fault: Fault


class FaultPlan:
    """The rules in force. Any thread may change them while the Hub runs.

    Attributes:
        strikes: what was struck so far; `use` empties it.
    """

    def __init__(self, rules: Sequence[Rule] = (), clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with some rules."""
        self._lock = threading.Lock()
        self._clock = clock
        self.use(rules)

    def use(self, rules: Sequence[Rule]) -> None:
        """Let these rules stand instead, and begin to count anew."""
        with self._lock:
            self._tallies = [(rule, Tally()) for rule in rules]
            self.strikes: list[Strike] = []

    def strike(self, asked: Asked) -> list[Fault]:
        """Count a request, and give the faults that strike it, outermost first."""
        with self._lock:
            now, faults = self._clock(), []
            for index, (rule, tally) in enumerate(self._tallies):
                if not matches(rule, asked):
                    continue
                struck, tally = decide(rule, tally, now)  # noqa: PLW2901 - the tally goes on
                self._tallies[index] = (rule, tally)
                if struck:
                    faults.append(rule.fault)
                    self.strikes.append(Strike(now, asked, rule.fault))
            return faults
