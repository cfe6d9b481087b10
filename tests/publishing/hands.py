"""Hands: threads that work one at a time and stop at every side effect, so that a test decides who goes on.

A schedule is then plain data: which hand goes how far, and where it dies. Real steps on real ports follow it exactly,
every time.
"""

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from adapterd.spool import Spool
from publishing.crashing import Crash

PATIENCE = 60.0
"""Seconds after which a hand that neither stops nor ends is given up."""

REGISTRY_EFFECTS = (
    *("claim", "plan", "extend", "advance", "adopt", "wait", "stall", "release", "retree", "retry"),
    *("baseline", "bind", "intake", "observe", "note", "restore", "save_repo", "save_channel"),
)


class Stops:
    """The places of `crashing.Mortal`, at which a hand stops; whoever is no hand passes by."""

    def pass_by(self, place: str) -> None:
        """Be at one more place."""
        thread = threading.current_thread()
        if isinstance(thread, Hand):
            thread.stop_at(place)


class StoppingSpool(Spool):
    """A spool that stops before and after each of its renames."""

    stops = Stops()

    def _put(self, aside: Path, final: Path, adapter: str, tree: str) -> None:
        self.stops.pass_by("before rename")
        super()._put(aside, final, adapter, tree)
        self.stops.pass_by("after rename")

    def write_sidecar(self, adapter: str, tree: str, sidecar: Mapping[str, Any]) -> None:
        """Stop, write, stop."""
        self.stops.pass_by("before sidecar")
        super().write_sidecar(adapter, tree, sidecar)
        self.stops.pass_by("after sidecar")


class Hand(threading.Thread):
    """One piece of work, as far as it was told to go."""

    def __init__(self, work: Callable[[], object]) -> None:
        """Stand at the beginning."""
        super().__init__(daemon=True)
        self._work = work
        self._go = threading.Semaphore(0)
        self._rest = threading.Semaphore(0)
        self._fate: BaseException | None = None
        self._error: BaseException | None = None
        self.place = "begin"
        self.done = False
        self.start()

    def run(self) -> None:
        """Work until the end, or until told to die."""
        try:
            self.stop_at("begin", resting=False)
            self._work()
        except Crash:
            pass
        except BaseException as error:  # noqa: BLE001 - it is raised again where the schedule is
            self._error = error
        self.done, self.place = True, "end"
        self._rest.release()

    def stop_at(self, place: str, *, resting: bool = True) -> None:
        """Say where it is, and wait to be told."""
        self.place = place
        if resting:
            self._rest.release()
        self._go.acquire()
        fate, self._fate = self._fate, None
        if fate is not None:
            raise fate

    def go(self, fate: BaseException | None = None) -> str:
        """Go on to the next place, or meet a fate here; where it stands then."""
        if self.done:
            return self.place
        self._fate = fate
        self._go.release()
        assert self._rest.acquire(timeout=PATIENCE), f"a hand hangs behind {self.place}"
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        return self.place

    def go_to(self, place: str) -> bool:
        """Go on until this place; False where the work ended before."""
        while not self.done:
            if self.go() == place:
                return True
        return False

    def finish(self) -> None:
        """Go on to the end."""
        while not self.done:
            self.go()

    def die(self) -> None:
        """Be gone, here and now."""
        while not self.done:
            self.go(Crash(self.place))
