"""claim -> step -> record. What a step raises becomes an outcome here and nowhere else."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from adapterd.core.reasons import reason
from adapterd.core.version import (
    AdapterVersion,
    Advanced,
    Outcome,
    Refused,
    Stage,
    Stalled,
    Waiting,
)
from adapterd.log import get_logger
from adapterd.ports import Claim, Conflict, Denied, LostLease, NotFound, RegistryError, Transient, WorkerDied
from adapterd.steps import waiting
from adapterd.steps.coalescing import tight
from adapterd.steps.gates import GATE_END
from adapterd.steps.host import Host
from adapterd.steps.publish import publish
from adapterd.steps.validate import validate

log = get_logger(__name__)

CONFLICT_WAIT = 2.0
"""Seconds until a version whose world moved between looking and acting looks again."""


@dataclass(frozen=True, slots=True)
class Arrow:
    """One arrow of the line: the stage it takes versions from, and its step."""

    name: str
    stage: Stage
    step: Callable[[Host, Claim], Outcome]


LINE: tuple[Arrow, ...] = (
    Arrow("validate", Stage.STAGED, validate),
    Arrow("publish", Stage.VALIDATED, publish),
)
"""The line behind settle. Each arrow has a lane of its own."""


MOST_IN_A_ROW = 16
"""Versions of one base model that are taken one after the other while others are due."""


@dataclass(slots=True)
class Grouping:
    """Which base model a lane works on, so that the next version may be one of it and the base is not swapped.

    After `MOST_IN_A_ROW` of them the oldest has its turn, whatever its base: nobody starves.
    """

    base: str = ""
    length: int = 0

    @property
    def preferred(self) -> str:
        """The base model of the next version, if there is one of it; empty for whichever is next."""
        return self.base if self.length < MOST_IN_A_ROW else ""

    def took(self, base: str) -> None:
        """Remember what came."""
        full = self.length >= MOST_IN_A_ROW
        self.length = 1 if full or base != self.base else self.length + 1
        self.base = base


def turn(
    host: Host,
    arrow: Arrow,
    owner: str,
    jitter: Callable[[], float],
    stopping: Callable[[], bool] = lambda: False,
    working: Callable[[str], None] = lambda _: None,
    grouping: Grouping | None = None,
    unrecorded: list[Claim] | None = None,
) -> AdapterVersion | None:
    """Take one due version through one step and record what came of it; the version, or None where none is due.

    While `stopping`, a step that did not come to its end counts for nothing: the version is given back as it was.
    `working` is told which version is in hand. With a `grouping` versions of one base model follow one another.
    Claims whose outcome the registry could not take down are kept in `unrecorded`, and given back at the next turn.
    While the Hub's budget is tight, adapters with a final go to it first.
    """
    _give_back(host, unrecorded)
    base = grouping.preferred if grouping is not None else ""
    finals = arrow.stage is Stage.VALIDATED and tight(host)
    now, horizon = host.clock(), 2 * longest_wait(host)
    claim = host.registry.claim(arrow.stage, owner, now, lease_of(host), horizon, prefer_base=base, prefer_final=finals)
    if claim is None:
        return None
    if grouping is not None:
        grouping.took(claim.version.base)
    working(claim.version.label)
    try:
        outcome = _outcome(host, arrow, claim, jitter())
        if stopping() and not isinstance(outcome, (Advanced, Refused)):
            host.registry.release(claim)
        else:
            try:
                _record(host, claim, outcome)
            except Conflict as error:  # what the step saw of the version is no longer so
                wait = Waiting(host.clock() + CONFLICT_WAIT, reason("conflict", error.message))
                _record(host, claim, wait)
    except LostLease:
        log.warning("lease_lost", adapter=claim.version.adapter, step=arrow.name)
    except (RegistryError, Transient):
        if unrecorded is not None:
            unrecorded.append(claim)
        raise
    return host.registry.version(claim.version.id)


def _give_back(host: Host, claims: list[Claim] | None) -> None:
    """End leases that would otherwise hold up their versions until they run out: the step is taken once more."""
    while claims:
        with suppress(LostLease):
            host.registry.release(claims[-1])
        claims.pop()


def lease_of(host: Host) -> float:
    """Seconds for which a version is claimed: what its step may take at most, and some more."""
    rules = host.config.validation
    gates = sum(gate.timeout + GATE_END for gate in rules.gates)
    return host.config.schedule.lease + rules.deadline + gates + host.config.hub.deadline


def longest_wait(host: Host) -> float:
    """The longest time that anything is ever put off, in seconds."""
    return waiting.longest(host.config.schedule)


@dataclass(frozen=True, slots=True)
class _Failed:
    """A transient failure: wait, and count the attempt."""

    waiting: Waiting


def _outcome(host: Host, arrow: Arrow, claim: Claim, jitter: float) -> Outcome | _Failed:
    version = claim.version
    try:
        return arrow.step(host, claim)
    except LostLease:
        raise
    except Transient as error:
        return _transient(host, version, error, jitter)
    except Conflict as error:
        return Waiting(host.clock() + CONFLICT_WAIT * (1 + jitter), reason("conflict", error.message))
    except NotFound as error:
        return Stalled(reason("repo_vanished", error.message, error.hint))
    except Denied as error:
        return Stalled(reason("denied", error.message, error.hint))
    except WorkerDied as error:
        return Stalled(reason(error.cause, error.message, error.hint))
    except Exception as error:  # a bug of ours: said with its traceback, and only this version stops
        log.exception("step_failed", step=arrow.name, adapter=version.adapter, version=version.label)
        return Stalled(reason("bug", f"{arrow.name} of {version.label} failed with {type(error).__name__}"))


def _transient(host: Host, version: AdapterVersion, error: Transient, jitter: float) -> Outcome | _Failed:
    schedule, attempts = host.config.schedule, version.attempts + 1
    if error.counts and attempts >= schedule.attempts:
        return Stalled(reason("attempts_exhausted", f"failed {attempts} times, the last time: {error.message}"))
    later = waiting.after(error, version.attempts, schedule, host.clock(), jitter)
    waits = Waiting(later.until, later.reason)
    return _Failed(waits) if later.counts else waits


def _record(host: Host, claim: Claim, outcome: Outcome | _Failed) -> None:
    """Write an outcome down under the claim's fence, and say it."""
    registry, now, version = host.registry, host.clock(), claim.version
    said: dict[str, Any] = {"adapter": version.adapter, "version": version.label, "run": version.run}
    match outcome:
        case Advanced(stage, facts):
            moved = registry.advance(claim, stage, now, **facts)
            said["version"] = moved.label
            if stage is Stage.PUBLISHED:
                log.info("version_published", number=moved.number, commit=moved.commit, **said)
            else:
                log.info("version_moved", stage=stage.value, **said)
        case Refused(stage, why, facts):
            registry.advance(claim, stage, now, reason=why, **facts)
            level = log.warning if stage is Stage.REJECTED else log.info
            level("version_refused", stage=stage.value, reason=why.code, message=why.message, hint=why.hint, **said)
        case Waiting(until, why):
            until = min(until, now + longest_wait(host))
            registry.wait(claim, until, why, now, failed=False)
            log.info("version_waits", reason=why.code, message=why.message, seconds=round(until - now, 1), **said)
        case _Failed(Waiting(until, why)):
            until = min(until, now + longest_wait(host))
            registry.wait(claim, until, why, now, failed=True)
            log.info("version_waits", reason=why.code, message=why.message, seconds=round(until - now, 1), **said)
        case Stalled(why):
            registry.stall(claim, why, now)
            log.error("version_stalled", reason=why.code, message=why.message, hint=why.hint, **said)
