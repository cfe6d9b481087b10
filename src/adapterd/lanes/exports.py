"""The exports lane: channels and index follow the registry, beside the line."""

import random
import threading
from collections.abc import Callable
from pathlib import Path

from adapterd.core import budget
from adapterd.core.errors import AdapterdError
from adapterd.health import Health
from adapterd.lanes.thread import SOONEST
from adapterd.log import get_logger
from adapterd.ports import RegistryError, Transient
from adapterd.steps import export, promote, waiting
from adapterd.steps.host import Host
from adapterd.steps.look import REQUESTS, look

log = get_logger(__name__)

_random = random.SystemRandom()


class Exports:
    """promote and export: what follows the registry, beside the line."""

    def __init__(self, host: Callable[[], Host], health: Health) -> None:
        """The index repo is tried again with growing pauses."""
        self._host = host
        self._health = health
        self._failures = 0
        self._hub_due = 0.0
        self._hub_generation = -1
        self._parts = export.Parts()
        self._written: tuple[object, int] = (None, -1)
        self._rested: object = None
        self._waits: list[float] = []
        self._told: frozenset[tuple[str, str, str, str]] = frozenset()
        self._looks: dict[str, None] = {}
        self._look_due = 0.0
        self._lock = threading.Lock()
        self.afresh = threading.Event()
        self.afresh.set()
        self.stopping = threading.Event()

    def look(self, *adapters: str) -> None:
        """Have these repos looked at, since others may have moved their channels; without a name all of them."""
        names = adapters or tuple(record.name for record in self._host().registry.adapters())
        with self._lock:
            self._looks.update(dict.fromkeys(names))
            self._look_due = 0.0

    def turn(self) -> float:
        """See what others moved, move the channels that want another version, then bring the index up to date."""
        host = self._host()
        self._look(host)
        fresh = self.afresh.is_set()
        self.afresh.clear()
        before = self._standing(host)
        if fresh or self._waits or before is None or before != self._rested:
            self._rested = None
            if self._move_channels(host):
                return 0.0
            # Afresh means by its bytes: after a rebuild, or by hand, the same generation may say other things.
            if fresh or host.registry.generation() != self._shown(host):
                self._to_disk(host)
            self._waits = [c.due_at for c in host.registry.channels() if c.reason and not c.stalled]
            self._waits += self._held_back(host)
            self._rested = before if before == self._standing(host) else None
        self._to_hub(host, fresh=fresh)
        waits = [*self._waits, self._look_due] if self._looks else self._waits
        return max(SOONEST, min([host.config.schedule.scan, *(due - host.clock() for due in waits)]))

    def _look(self, host: Host) -> None:
        """Look at the repos that wait for it, as far as the budget goes; the others stay."""
        while host.clock() >= self._look_due and not self.stopping.is_set():
            with self._lock:
                adapter = next(iter(self._looks), "")
            if not adapter:
                return
            if (pause := host.pace.pause("refs", adapter, REQUESTS)) is not None:
                self._look_due = pause.until
                return
            with self._lock:
                self._looks.pop(adapter, None)
            try:
                look(host, adapter)
            except RegistryError:
                raise
            except Transient as error:
                self.look(adapter)
                self._look_due = waiting.after(error, 0, host.config.schedule, host.clock(), _random.random()).until
                log.info("look_waits", adapter=adapter, message=error.message, hint=error.hint)
                return
            except AdapterdError as error:
                log.warning("look_failed", adapter=adapter, message=error.message, hint=error.hint)

    def _standing(self, host: Host) -> object:
        """What channels and index document follow from: while it stays, so do they. None where there is no document."""
        seen = stamp(host.index)
        return None if seen is None else (host.registry.changes(), host.config, seen)

    def _shown(self, host: Host) -> int:
        """The generation that the document on disk shows; it is read where it is not the one that was written here."""
        seen, generation = self._written
        return generation if seen is not None and seen == stamp(host.index) else export.written_generation(host)

    def _move_channels(self, host: Host) -> bool:
        """Move the channels that want another version; whether it was stopped before all of them were moved."""
        for record, version in promote.due(host):
            if self.stopping.is_set():
                return True
            done = promote.promote(host, record, version, _random.random())
            said = {"adapter": record.adapter, "channel": record.channel, "number": version.number}
            if done.stalled:
                log.error("channel_stalled", reason=done.reason, message=done.message, hint=done.hint, **said)
            elif done.number == version.number:
                self._health.count("channel_moved")
                log.info("channel_moved", commit=done.commit, **said)
            elif not done.reason:
                log.info("channel_is_ahead", holds=done.number, commit=done.commit, **said)
            else:
                log.info("channel_waits", reason=done.reason, message=done.message, **said)
        return False

    def _held_back(self, host: Host) -> list[float]:
        """Say what channels do not take and why, each once; when any of it ends by itself."""
        found = promote.held_back(host)
        keys = {(r.adapter, r.channel, b.version.tag, b.reason.code): (r, b) for r, b in found}
        for key in sorted(keys.keys() - self._told):
            record, back = keys[key]
            log.info(
                "version_held_back",
                adapter=record.adapter,
                channel=record.channel,
                number=back.version.number,
                reason=back.reason.code,
                message=back.reason.message,
            )
        self._told = frozenset(keys)
        return [back.until for _, back in found if back.until is not None]

    def _to_disk(self, host: Host) -> None:
        try:
            generation = export.export(host, self._parts)
            self._written = (stamp(host.index), generation)
        except OSError as error:
            message = f"{host.index} cannot be written: {error.strerror or error}"
            if "index_unwritable" not in self._health.problems:
                log.warning("index_unwritable", message=message)
            self._health.problems["index_unwritable"] = (message, "let the user of adapterd write there")
        else:
            self._health.problems.pop("index_unwritable", None)

    def _to_hub(self, host: Host, *, fresh: bool) -> None:
        generation, now = host.registry.generation(), host.monotonic()
        if host.config.hub.index_repo is None or now < self._hub_due:
            return
        if generation == self._hub_generation and not fresh:
            return
        pause = host.pace.pause("commit", export.repo_of(host), budget.INDEX)
        if pause is not None:
            self._hub_due = now + pause.until - host.clock()
            log.info("index_waits", reason=pause.code, message=pause.message)
            return
        try:
            if export.export_to_hub(host, self._parts(host.registry, host.publisher)):
                log.info("index_published", generation=generation)
            self._hub_generation, self._failures = generation, 0
            self._health.problems.pop("index_behind", None)
        except AdapterdError as error:
            failure = error if isinstance(error, Transient) else Transient(error.message, error.hint)
            later = waiting.after(failure, self._failures, host.config.schedule, 0.0, _random.random())
            self._failures += later.counts
            self._hub_due = now + later.until
            self._health.problems["index_behind"] = (error.message, error.hint)
            log.warning("index_waits", message=error.message, hint=error.hint)


def stamp(path: Path) -> tuple[int, int, int] | None:
    """What tells that a file was changed; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
