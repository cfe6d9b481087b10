"""The lanes of the line, one for each arrow."""

import random
import threading
from collections.abc import Callable

from adapterd import reconcile
from adapterd.core.version import Stage
from adapterd.health import Health, LaneHealth
from adapterd.lanes.thread import SOONEST
from adapterd.reconcile import Arrow, Grouping
from adapterd.steps.host import Host
from adapterd.wakeups import Wake

_random = random.SystemRandom()


class Steps:
    """One arrow of the line."""

    def __init__(
        self,
        host: Callable[[], Host],
        health: Health,
        arrow: Arrow,
        then: Wake | None = None,
        spare: Callable[[Host], bool] = lambda _: False,
    ) -> None:
        """`then` is woken after each step, since the next lane may have work.

        `spare` is done while no version is due, piece by piece, as long as it says that there is more.
        """
        self._spare = spare
        self._host = host
        self._health = health
        self._arrow = arrow
        self._then = then
        self._grouping = Grouping() if arrow.stage is Stage.STAGED else None
        self._failed = False
        self.stopping = threading.Event()

    def turn(self) -> float:
        """Take every due version through the step, one after the other."""
        if self._failed:
            # What was in hand when the registry failed shall not wait until its lease runs out.
            host = self._host()
            host.registry.reclaim(host.publisher, self._arrow.stage)
        self._failed = True
        while not self.stopping.is_set():
            host = self._host()
            moved = reconcile.turn(
                host,
                self._arrow,
                host.publisher,
                _random.random,
                self.stopping.is_set,
                self._working,
                self._grouping,
            )
            if moved is None:
                if self._spare(host):
                    continue
                break
            self._health.count(f"{self._arrow.name}_{moved.stage}")
            if self._then is not None:
                self._then.set()
        host = self._host()
        if self._arrow.stage is Stage.STAGED:
            host.validator.tick()
        now = host.clock()
        due = host.registry.next_due(self._arrow.stage, now)
        self._failed = False
        return min(max(due - now, SOONEST), host.config.schedule.scan) if due is not None else host.config.schedule.scan

    def _working(self, label: str) -> None:
        lane = self._health.lanes.setdefault(self._arrow.name, LaneHealth())
        lane.busy_with, lane.busy_since = label, self._health.monotonic()
