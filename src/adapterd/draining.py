"""The end of `watch -- CMD`: whether what the command wrote has come through, and what is still waited for."""

from collections.abc import Callable, Mapping

from adapterd.health import Health
from adapterd.lanes import unfinished
from adapterd.log import get_logger
from adapterd.ports import Observation
from adapterd.steps.host import Host

log = get_logger(__name__)

SAY_EVERY = 30.0
"""Seconds between two words on what is still waited for."""

NAMED = 10
"""How many of them are named."""


class Draining:
    """Asked again and again once the command has ended; True when nothing moves by itself any more."""

    def __init__(
        self, host: Callable[[], Host], health: Health, wake: Callable[[], None], untouched: Mapping[str, Observation]
    ) -> None:
        """`untouched` are the directories that waited before the command began: as they are, they hold nothing up."""
        self._host = host
        self._health = health
        self._wake = wake
        self._untouched = untouched
        self._from: int | None = None
        self._said: float | None = None

    def done(self) -> bool:
        """Whether nothing moves any more, after at least one scan since the first time of asking."""
        health = self._health
        if self._from is None:
            # One scan may be under way; the one after it is sure to see what the command wrote last.
            self._from = health.scans_begun + 1
            self._wake()
        if health.scans_done < self._from:
            return False
        left = unfinished(self._host(), self._untouched)
        if left:
            self._say(left)
        return not left and all(lane.turns > 0 for lane in health.lanes.values())

    def _say(self, left: list[str]) -> None:
        now = self._health.monotonic()
        if self._said is None or now - self._said >= SAY_EVERY:
            self._said = now
            log.info("draining", left=len(left), waits_for=left[:NAMED])
