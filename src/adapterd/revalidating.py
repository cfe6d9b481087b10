"""Re-validation in the validate lane: one version at a time, and only where no new one is due. New ones go first.

There is one worker, which one lane asks. So this is no chore of the upkeep lane: beside the line it would wait for a
worker that is in use, or have a base model swapped out under a version that came in.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping

from adapterd import ruling
from adapterd.core.version import AdapterVersion
from adapterd.health import Health, LaneHealth
from adapterd.log import get_logger
from adapterd.ports import Validation
from adapterd.steps import revalidate
from adapterd.steps.host import Host

log = get_logger(__name__)


class Revalidation:
    """The versions that are to be looked at again, and what became of them."""

    def __init__(
        self,
        health: Health,
        then: Callable[[], object] = lambda: None,
        libraries: Callable[[], Mapping[str, str]] = revalidate.installed,
    ) -> None:
        """`then` is called after each new report, since channels may go elsewhere."""
        self._health = health
        self._then = then
        self._libraries = libraries
        self._lock = threading.Lock()
        self._all = False
        self._named: deque[int] = deque()
        self._queue: deque[int] = deque()
        self._undone = ""
        self._begun = False

    def ask(self) -> None:
        """Look at everything that channels hold; asked twice it is done once."""
        with self._lock:
            self._all = True

    def ask_for(self, versions: Iterable[AdapterVersion]) -> None:
        """Validate these again, whether anything changed or not."""
        with self._lock:
            self._named.extend(v.id for v in versions if v.id not in self._named)

    def turn(self, host: Host) -> bool:
        """Look at one version; whether there was any."""
        if not self._begun:
            self._begun = True
            self._say_failing(host)
        version, anyway = self._next(host)
        if version is None:
            return False
        lane = self._health.lanes.setdefault("validate", LaneHealth())
        lane.busy_with, lane.busy_since = f"{version.label} again", self._health.monotonic()
        done = revalidate.again(host, version, self._libraries(), anyway=anyway)
        lane.busy_with = ""
        match done:
            case revalidate.Undone(why):
                self._undone = f"{version.label}: {why.message}"
                self._health.count("revalidation_undone")
                self._health.problems["revalidation_undone"] = (
                    f"{self._undone}; it is tried again at the next time",
                    why.hint,
                )
                log.warning("revalidation_undone", version=version.label, reason=why.code, message=why.message)
            case Validation():
                self._done(host, version, done)
            case _:
                pass
        if not self._queue and not self._undone:
            self._health.problems.pop("revalidation_undone", None)
        return True

    def _next(self, host: Host) -> tuple[AdapterVersion | None, bool]:
        with self._lock:
            named = self._named.popleft() if self._named else None
            everything, self._all = self._all and named is None, self._all and named is not None
        if named is not None:
            return host.registry.version(named), True
        if everything:
            self._queue, self._undone = deque(v.id for v in revalidate.held(host)), ""
            log.info("revalidation_begun", versions=len(self._queue))
        while self._queue:
            if (version := host.registry.version(self._queue.popleft())) is not None:
                return version, False
        return None, False

    def _done(self, host: Host, version: AdapterVersion, row: Validation) -> None:
        said = {"adapter": version.adapter, "version": version.label, "policy": row.policy}
        if row.verdict == "passed":
            self._health.count("revalidation_passed")
            log.info("revalidation_passed", **said)
        else:
            self._health.count("revalidation_failed")
            codes = [str(each["code"]) for each in row.report["reasons"]]
            log.error("revalidation_failed", reasons=codes, hint=f"adapterd show {version.label}", **said)
        self._say_failing(host)
        self._then()

    def _say_failing(self, host: Host) -> None:
        """Have a problem as long as any version fails."""
        failing = ruling.failing(host.registry)
        if not failing:
            self._health.problems.pop("revalidation_failed", None)
            return
        first = failing[0]
        more = f" (and {len(failing) - 1} more: `adapterd status`)" if len(failing) > 1 else ""
        held = f", which {', '.join(first.channels)} holds" if first.channels else ""
        text = f"{first.version.label}{held}: {first.reason.message}{more}"
        self._health.problems["revalidation_failed"] = (text, first.reason.hint)
