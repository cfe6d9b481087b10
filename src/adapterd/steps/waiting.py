"""One rule for what has to wait: how long, for what reason, and whether it counts as a failed attempt."""

from dataclasses import dataclass

from adapterd.config import Schedule
from adapterd.core.reasons import reason
from adapterd.core.version import Reason, backoff
from adapterd.ports import Transient

LONGEST_WAIT = 3600.0
"""No wait is longer, unless `schedule.backoff_max` is, however long the Hub asks for: a due time much further away
tells of a clock that jumped."""


@dataclass(frozen=True, slots=True)
class Later:
    """Try again at `until` (epoch seconds); `counts` says whether it was one more failed attempt."""

    until: float
    reason: Reason
    counts: bool


def after(error: Transient, attempts: int, schedule: Schedule, now: float, jitter: float) -> Later:
    """What follows from a transient failure after so many failed attempts before it.

    What does not count waits as long as all that wait for the same, without a jitter of its own: so the order holds.
    """
    why = reason(error.code, error.message, error.hint if error.counts else "")
    if not error.counts:
        return Later(now + min(error.retry_after or schedule.backoff_max, longest(schedule)), why, counts=False)
    pause = backoff(attempts + 1, schedule.backoff, schedule.backoff_max, jitter)
    return Later(now + min(max(error.retry_after or 0.0, pause), longest(schedule)), why, counts=True)


def longest(schedule: Schedule) -> float:
    """The longest time that anything is ever put off, in seconds."""
    return max(schedule.backoff_max, LONGEST_WAIT)
