"""What is killed, and when: one thing after the other, each at a moment of its own."""

import json
import os
import random
import signal
import time
from collections import Counter
from contextlib import suppress
from typing import Any

from durability.ground import Ground
from durability.processes import worker_of

KINDS = ("daemon", "worker", "hub", "daemon and hub")
WEIGHTS = (40, 25, 25, 10)
MOMENTS = {"version_staged": 0.3, "version_moved": 0.5, "version_published": 0.4}
"""Lines of the daemon's log that a kill follows, with the most seconds until it comes."""


class Killer:
    """Kills one after the other, each at a moment of its own."""

    def __init__(self, ground: Ground, dice: random.Random) -> None:
        """The dice decide what dies, and when."""
        self.ground = ground
        self.dice = dice
        self.kills: Counter[str] = Counter()
        self.moments: Counter[str] = Counter()

    def kill(self, kind: str = "") -> None:
        """Kill one thing at one moment, and start it again."""
        kind = kind or self.dice.choices(KINDS, WEIGHTS)[0]
        ground = self.ground
        ground.ask()
        if kind == "worker":
            self._worker()
            return
        self.moments[self._wait()] += 1
        if kind != "daemon":
            ground.hub.end()
        if kind != "hub":
            ground.workers |= {pid for pid in [worker_of(ground.daemon.process.pid)] if pid is not None}
            ground.daemon.stop(signal.SIGKILL)
        self.kills[kind] += 1
        if kind != "daemon":
            self._pause(self.dice.choice((0.0, 0.0, 1.0)))  # at times the Hub is away for a while
            ground.hub.start()
        if kind != "hub":
            ground.restart()

    def _worker(self) -> None:
        """Kill the worker while it loads, or later; a daemon that has none gets something to do."""
        deadline = time.monotonic() + 4 * self.ground.pace
        while (pid := worker_of(self.ground.daemon.process.pid)) is None and time.monotonic() < deadline:
            self.ground.ask()
            self._pause(0.1)
        self._pause(self.dice.uniform(0.0, 2 * self.ground.pace / 3))
        pid = worker_of(self.ground.daemon.process.pid) or pid
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                self.kills["worker"] += 1
                self.moments["the worker, loading or probing"] += 1

    def _wait(self) -> str:
        """Wait for a moment to come, and give its name."""
        moment = self.dice.choice(["start", "any", *MOMENTS, *MOMENTS])
        if moment == "start":
            self._pause(self.dice.uniform(0.0, 1.5))
            return "a random moment soon after the last"
        if moment == "any":
            self._pause(self.dice.uniform(0.0, self.ground.pace / 2))
            return "a random moment"
        log, deadline = self.ground.daemon.log, time.monotonic() + self.ground.pace
        with log.open() as tail:
            tail.seek(0, os.SEEK_END)
            while time.monotonic() < deadline:
                if any(_event(line) == moment for line in tail.readlines()):
                    self._pause(self.dice.uniform(0.0, MOMENTS[moment]))
                    return f"just after {moment}"
                self._pause(0.01)
        return "a random moment"

    def _pause(self, seconds: float) -> None:
        signal.sigtimedwait([], seconds)


def _event(line: str) -> Any:  # noqa: ANN401 - of a line of JSON
    try:
        return json.loads(line)["event"]
    except (ValueError, KeyError, TypeError):
        return ""
