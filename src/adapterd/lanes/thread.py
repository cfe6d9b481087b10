"""A lane: a thread that turns, and what a turn is."""

import threading
from collections.abc import Callable
from typing import Protocol

from adapterd.core.errors import AdapterdError
from adapterd.health import Health, LaneHealth
from adapterd.log import get_logger
from adapterd.wakeups import Wake

log = get_logger(__name__)

SOONEST = 0.2
"""Seconds until a lane looks again at the soonest."""


class Turn(Protocol):
    """One turn of a lane: do what can be done now; seconds until it must look again."""

    def __call__(self) -> float:
        """Turn once."""
        ...


class Lane(threading.Thread):
    """A thread that turns, sleeps until it is woken or due, and turns again. An exception never ends it."""

    def __init__(
        self, name: str, turn: Turn, wake: Wake, health: Health, rest: Callable[[], float] = lambda: 0.0
    ) -> None:
        """It begins with a turn as soon as it is started. After each it rests so many seconds, whatever wakes it."""
        super().__init__(name=name, daemon=True)
        self._turn = turn
        self._wake = wake
        self._health = health
        self._rest = rest
        self._lane = health.lanes.setdefault(name, LaneHealth())
        self._halt = threading.Event()  # `_stop` is a method of threading.Thread

    def run(self) -> None:
        """Turn until `stop`."""
        self._lane.last_turn = self._health.monotonic()
        while not self._halt.is_set():
            pause = 5.0
            try:
                pause = self._turn()
            except AdapterdError as error:
                self._lane.failures += 1
                self._health.problems[f"lane_{self.name}"] = (error.message, error.hint)
                log.error("lane_failed", lane=self.name, message=error.message, hint=error.hint)  # noqa: TRY400 - known, no traceback
            except Exception:  # a bug of ours: said with its traceback, and the lane goes on
                self._lane.failures += 1
                log.exception("lane_crashed", lane=self.name)
            else:
                self._health.problems.pop(f"lane_{self.name}", None)
            self._lane.turns += 1
            self._lane.last_turn = self._health.monotonic()
            self._lane.busy_with = ""
            rest = self._rest()
            if not self._halt.wait(rest):
                self._wake.wait(max(0.0, pause - rest))

    def stop(self) -> None:
        """End after the turn in hand."""
        self._halt.set()
        self._wake.set()
