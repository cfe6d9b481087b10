"""What becomes of a version that could not be measured: its worker died, or no device had room.

Neither says anything about the adapter. What happened before is read from the version's history, so that patience and
the count of deaths outlive the daemon.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from adapterd.bases import BaseMissingError
from adapterd.core.reasons import BY_CODE, Severity, reason
from adapterd.core.version import AdapterVersion, Outcome, Stage, Stalled, Waiting, backoff
from adapterd.ports import DeviceBusy, DeviceTooSmall, Event, NoSuchDevice, Transient, WorkerDied
from adapterd.roots import SettleError
from adapterd.steps.host import Host

BUSY = "device_busy"
DIED_ONCE = "worker_restarted"
"""What a version waits for after its first worker died. The second death stalls it."""

FIRST, LONGEST = 30.0, 600.0
"""Seconds of back-off while devices are busy; half of it is spread over the versions that wait."""
_MOVED = frozenset({*Stage, "retried"})
"""Lines of a history behind which everything begins anew."""
_GOLDEN = 0.6180339887498949  # its multiples spread evenly over [0, 1)


def unread(error: SettleError | BaseMissingError) -> Outcome:
    """A snapshot or its base could not be had: a person must look, unless the disk may answer again by itself."""
    entry = BY_CODE[error.code]
    if isinstance(error, SettleError) and entry.severity is Severity.WAIT:
        raise Transient(error.message, entry.hint, code=error.code)
    return Stalled(reason(error.code, error.message, error.hint))


@dataclass(frozen=True, slots=True)
class Past:
    """What happened to a version since it last moved: seconds it waited for a device, how often, and deaths."""

    waited: float = 0.0
    asked: int = 0
    died: bool = False


def since_it_moved(events: Sequence[Event], now: float) -> Past:
    """Read a history, oldest line first. A clock that went back means that nothing was waited yet."""
    waits: list[Event] = []
    for event in events:
        if event.kind in _MOVED:
            waits = []
        elif event.kind == "waiting":
            waits.append(event)
    busy = [event for event in waits if event.detail.get("reason") == BUSY]
    since = min((float(event.detail.get("since", event.at)) for event in busy), default=now)
    return Past(
        waited=max(now - since, 0.0),
        asked=sum(int(event.detail.get("count", 1)) for event in busy),
        died=any(event.detail.get("reason") == DIED_ONCE for event in waits),
    )


def unmeasured(host: Host, version: AdapterVersion, past: Past, error: WorkerDied | DeviceBusy) -> Outcome:
    """The outcome of a measurement that came to no end. A first death is raised as Transient."""
    match error:
        case WorkerDied():
            return _dead(host, version, past, error)
        case NoSuchDevice():
            return Stalled(reason("device_missing", error.message))
        case DeviceTooSmall():
            return Stalled(reason("device_too_small", error.message))
        case _:
            return Waiting(host.clock() + pause(past, version.id, _turn(host)), reason(BUSY, error.message))


def pause(past: Past, version: int, turn: float) -> float:
    """Seconds until the devices are asked again: longer each time, but not beyond the next device's turn.

    `turn` is how long a version waits for each device; it differs by `version`, so that not all ask at once.
    """
    seconds = backoff(past.asked + 1, FIRST, LONGEST, version * _GOLDEN % 1)
    left = turn - past.waited % turn if turn > 0 else seconds
    return min(seconds, max(left, 1.0))


def _turn(host: Host) -> float:
    """How long each device is waited for; endless where there is no other one to come."""
    rules = host.config.validation
    return 0.0 if len(rules.devices) == 1 and rules.devices[0] != "auto" else rules.max_wait


def _dead(host: Host, version: AdapterVersion, past: Past, died: WorkerDied) -> Outcome:
    """Try once more in a fresh worker; the second death stalls, with the cause by name."""
    host.registry.note(version.id, "worker_died", {"cause": died.cause, "log_tail": died.log_tail}, host.clock())
    if not past.died:
        raise Transient(died.message, died.hint, code=DIED_ONCE) from died
    return Stalled(reason(died.cause, died.message, died.hint))
