"""A circuit breaker: what failed in a row, and until when nobody tries again. Pure.

There is one for a whole endpoint, and one for each action, which is a kind of call: `refs`, `commit`, `create_repo`.

closed: calls go. open: nobody calls until its time has come. half-open: one call tries, the others wait for its answer.

It also tells whose fault a failure is, since only a version's own failures may stall it. The Hub's: nothing of the kind
is answered, for anybody. The repo's own: others were answered meanwhile, or nobody else fails at it.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from adapterd.core.version import backoff

TURN = 2.0
"""Seconds that the others have for the next try before the repo whose try failed: one that is broken must not be the
only one that ever tries."""


class State(StrEnum):
    """Whether calls go."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


@dataclass(frozen=True, slots=True)
class Rule:
    """When a breaker opens, and for how long.

    Attributes:
        first, longest: of its growing pauses, in seconds.
        trial: seconds after which a try that told nothing is over.
        several: whether failures of one repo alone leave it closed; its versions wait with pauses of their own.
        threshold: failures in a row that open it.
    """

    first: float = 10.0
    longest: float = 900.0
    trial: float = 600.0
    several: bool = False
    threshold: int = 3


@dataclass(frozen=True, slots=True)
class Breaker:
    """What is known. A new one is closed.

    Attributes:
        failures: in a row; no answer came in between.
        failing: the repos that they were about.
        suspects: the repos that failed before others were answered, and were not asked again since.
        everywhere: whether the failures are about no repo in particular: no connection, or a quota.
        until: when it may be tried again; 0 while it is closed.
        trying: until when somebody's try may take.
        tried: the repo that failed last.
        quota: whether a quota opened it, not a fault.
        cause: the last failure in words.
    """

    failures: int = 0
    failing: frozenset[str] = frozenset()
    suspects: frozenset[str] = frozenset()
    everywhere: bool = False
    until: float = 0.0
    trying: float = 0.0
    tried: str = ""
    quota: bool = False
    cause: str = ""

    @property
    def general(self) -> bool:
        """Whether it holds for every repo, not only for the one that failed."""
        return self.everywhere or len(self.failing) > 1


def state(breaker: Breaker, now: float) -> State:
    """Where it stands."""
    if not breaker.until:
        return State.CLOSED
    return State.OPEN if now < breaker.until else State.HALF_OPEN


def held(breaker: Breaker, repo: str, now: float) -> float:
    """Until when a call about a repo must wait; 0 where it may go."""
    if not breaker.until or not (breaker.general or repo in breaker.failing):
        return 0.0
    # From the beginning, so that all versions of a repo wait until the same moment, and keep their order.
    turn = breaker.until + (TURN if repo == breaker.tried else 0.0)
    if now < turn:
        return turn
    return min(breaker.trying, now + TURN) if now < breaker.trying else 0.0


def begun(breaker: Breaker, rule: Rule, now: float) -> Breaker:
    """A call that was not held goes; where it is half-open, it is the one that tries."""
    return replace(breaker, trying=now + rule.trial) if state(breaker, now) is State.HALF_OPEN else breaker


def ended(breaker: Breaker) -> Breaker:
    """A call came to its end and told nothing about the other side."""
    return replace(breaker, trying=0.0)


def answered(breaker: Breaker, repo: str) -> Breaker:
    """A call about a repo was answered: closed. Who failed before is under suspicion now."""
    if breaker == Breaker():
        return breaker
    return Breaker(suspects=(breaker.suspects | breaker.failing) - {repo})


def failed(
    breaker: Breaker,
    rule: Rule,
    repo: str,
    now: float,
    jitter: float,
    cause: str,
    *,
    everywhere: bool = False,
    at_least: float = 0.0,
) -> Breaker:
    """A call about a repo got no answer, or one that tells of a fault; `at_least` are seconds that the Hub asks for."""
    after = replace(
        breaker,
        failures=breaker.failures + 1,
        failing=breaker.failing | {repo},
        suspects=breaker.suspects - {repo},
        everywhere=breaker.everywhere or everywhere,
        trying=0.0,
        tried=repo,
        quota=False,
        cause=cause,
    )
    if after.failures < rule.threshold or (rule.several and not after.general):
        return replace(after, until=0.0)
    pause = backoff(after.failures, rule.first, rule.longest, jitter)
    return replace(after, until=now + max(pause, min(at_least, rule.longest)))


def refused(
    breaker: Breaker, rule: Rule, repo: str, now: float, jitter: float, cause: str, pause: float | None = None
) -> Breaker:
    """A quota of this action is used up: open at once, for as long as was said, or else for a growing time."""
    failures = breaker.failures + 1
    return replace(
        breaker,
        failures=failures,
        everywhere=True,
        until=now + (pause or backoff(failures, rule.first, rule.longest, jitter)),
        trying=0.0,
        tried=repo,
        quota=True,
        cause=cause,
    )


def at_once(breaker: Breaker, now: float) -> Breaker:
    """A person mended something: the next call tries."""
    return replace(breaker, until=min(breaker.until, now), trying=0.0, tried="")


def own(breaker: Breaker, repo: str, *, effect: bool) -> bool:
    """Whether a failure that comes now would be the repo's own.

    Others were answered since it failed last; or, for an `effect`, nobody else fails at it: before an effect the Hub
    was read, so it is there.
    """
    return repo in breaker.suspects or (effect and not breaker.everywhere and not breaker.failing - {repo})
