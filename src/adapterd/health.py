"""What the daemon says of itself: read by the status page and the control socket, written by the lanes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

COPY_SECONDS = 3600.0
"""How long the copy of one directory may take before the intake lane counts as dead."""


@dataclass(slots=True)
class LaneHealth:
    """One lane: when its loop last turned (monotonic seconds), how often, and what it works on now."""

    last_turn: float = 0.0
    turns: int = 0
    failures: int = 0
    busy_with: str = ""
    busy_since: float = 0.0


@dataclass(slots=True)
class RootHealth:
    """One root: directories known, problem code and text, whether events arrive, and the length of the last scan."""

    path: str
    known: int = 0
    problem: str = ""
    message: str = ""
    hint: str = ""
    events: str = "on"
    scan_seconds: float = 0.0


@dataclass(slots=True)
class Health:
    """The whole daemon. Single writer per part; readers take what they see.

    Attributes:
        started_at: seconds since the epoch.
        monotonic: the clock of `LaneHealth.last_turn`.
        stale_after: seconds after which an intake lane that has not turned counts as dead.
        scans_begun, scans_done: how many times all roots were looked at.
        problems: what the operator should know, by code: (message, hint).
        hub: what the Hub still allows and what is paused, as `Pace.document` has it.
    """

    version: str
    publisher: str
    started_at: float
    monotonic: Callable[[], float]
    stale_after: float = 120.0
    ready: bool = False
    scans_begun: int = 0
    scans_done: int = 0
    lanes: dict[str, LaneHealth] = field(default_factory=dict)
    roots: dict[str, RootHealth] = field(default_factory=dict)
    problems: dict[str, tuple[str, str]] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)
    hub: Callable[[], Mapping[str, Any]] = dict

    def count(self, name: str, by: int = 1) -> None:
        """Add to a counter of things that happened since the start."""
        self.counters[name] = self.counters.get(name, 0) + by

    def alive(self) -> bool:
        """Whether the intake lane's loop still turns; every other lane may be busy for its deadline.

        A large directory on a slow disk takes its time to copy, and to be killed for that would begin it anew.
        """
        intake = self.lanes.get("intake")
        if intake is None:
            return False
        now = self.monotonic()
        copying = bool(intake.busy_with) and now - intake.busy_since < COPY_SECONDS
        return copying or now - intake.last_turn < self.stale_after

    def document(self) -> Mapping[str, object]:
        """As plain JSON."""
        now = self.monotonic()
        return {
            "version": self.version,
            "publisher": self.publisher,
            "started_at": self.started_at,
            "ready": self.ready,
            "alive": self.alive(),
            "lanes": {
                name: {
                    "idle_seconds": round(now - lane.last_turn, 1),
                    "turns": lane.turns,
                    "failures": lane.failures,
                    "busy_with": lane.busy_with,
                }
                for name, lane in list(self.lanes.items())
            },
            "roots": [
                {
                    "path": root.path,
                    "known": root.known,
                    "problem": root.problem,
                    "message": root.message,
                    "hint": root.hint,
                    "events": root.events,
                    "scan_seconds": root.scan_seconds,
                }
                for root in list(self.roots.values())
            ],
            "problems": {code: {"message": m, "hint": h} for code, (m, h) in list(self.problems.items())},
            "counters": dict(self.counters),
            "hub": dict(self.hub()),
        }
