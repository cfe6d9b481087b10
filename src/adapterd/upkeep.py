"""Chores beside the line: retention, backups, audits. A trigger of the calendar asks, a lane does one at a time."""

import threading
from collections.abc import Callable, Mapping
from types import MappingProxyType

from adapterd import keeping
from adapterd.core.errors import AdapterdError
from adapterd.health import Health
from adapterd.log import get_logger
from adapterd.steps.host import Host
from adapterd.steps.retain import retain

log = get_logger(__name__)

Chore = Callable[[Host, Health], None]
"""Does its work once. An AdapterdError is said and tried again at the next trigger; nothing else waits for it."""


def retention(host: Host, health: Health) -> None:
    """Let go of what nobody needs any more."""
    done = retain(host)
    health.count("snapshot_discarded", done.snapshots)


CHORES: Mapping[str, Chore] = MappingProxyType(
    {"retention": retention, "backup": keeping.backup, "audit": keeping.audit}
)
"""Every chore by name, in the order in which they are done."""

TRIGGERS: Mapping[str, str] = MappingProxyType({"backup": "retention"})
"""The key of a chore's trigger under `schedule`, where it is not the chore's own name."""


class Upkeep:
    """The chores that were asked for and are not done yet."""

    def __init__(self, host: Callable[[], Host], health: Health, chores: Mapping[str, Chore] = CHORES) -> None:
        """Nothing is asked for yet."""
        self._host = host
        self._health = health
        self._chores = chores
        self._asked: set[str] = set()
        self._lock = threading.Lock()
        self.stopping = threading.Event()

    def ask(self, name: str) -> None:
        """Have a chore done at the next turn; asked twice it is done once."""
        with self._lock:
            self._asked.add(name)

    def turn(self) -> float:
        """Do what was asked for; seconds until the lane must look again by itself."""
        with self._lock:
            asked, self._asked = self._asked, set()
        for name, chore in self._chores.items():
            if name in asked and not self.stopping.is_set():
                self._do(name, chore)
        return 3600.0

    def _do(self, name: str, chore: Chore) -> None:
        try:
            chore(self._host(), self._health)
        except AdapterdError as error:
            self._health.problems[f"{name}_failed"] = (error.message, error.hint)
            log.warning("chore_failed", chore=name, message=error.message, hint=error.hint)
        else:
            self._health.problems.pop(f"{name}_failed", None)
