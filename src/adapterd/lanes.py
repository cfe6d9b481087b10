"""The lanes: each takes one kind of step. Threads call `turn`; so do `sync` and the tests, without threads."""

import random
import threading
from collections.abc import Callable, Mapping
from itertools import takewhile
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from adapterd import reconcile
from adapterd.core import budget
from adapterd.core.errors import AdapterdError
from adapterd.core.reasons import reason
from adapterd.core.version import AdapterVersion, Reason, Stage
from adapterd.health import Health, LaneHealth, RootHealth, SpoolHealth
from adapterd.log import get_logger
from adapterd.ports import Observation, RegistryError, Transient
from adapterd.reconcile import LINE, Arrow, Grouping
from adapterd.steps import discover, export, promote, rescan, waiting
from adapterd.steps.again import stage_again
from adapterd.steps.host import Host
from adapterd.steps.known import Known
from adapterd.steps.look import REQUESTS, look
from adapterd.steps.settle import Later, Rests, Settled, failed, settle
from adapterd.wakeups import Wake, Watcher, is_network

log = get_logger(__name__)

SOONEST = 0.2
"""Seconds that a scan waits after one before, however many events come."""

NOTHING: Mapping[str, Observation] = MappingProxyType({})

_random = random.SystemRandom()


class Turn(Protocol):
    """One turn of a lane: do what can be done now; seconds until it must look again."""

    def __call__(self) -> float:
        """Turn once."""
        ...


class Intake:
    """discover and settle, over all roots."""

    def __init__(self, host: Callable[[], Host], health: Health, watcher: Watcher | None = None) -> None:
        """`watcher` is told which roots there are; without one only the scan finds things."""
        self._host = host
        self._health = health
        self._watcher = watcher
        self._rests = Rests()
        self._known: dict[str, Known] = {}
        self._wanted: set[str] = set()
        self._unreadable: dict[str, frozenset[str]] = {}
        self._lock = threading.Lock()
        self._failed = False
        self.stopping = threading.Event()

    def want(self, directories: list[str]) -> None:
        """A person asked for these directories, whatever filter or baseline holds them."""
        with self._lock:
            self._wanted |= set(directories)

    @property
    def rest(self) -> float:
        """Seconds to rest after a turn, however many events come: scanning takes half of the time at most."""
        roots = list(self._health.roots.values())
        return max(SOONEST, sum(root.scan_seconds for root in roots))

    def turn(self) -> float:
        """Scan every root and settle what has come to rest."""
        host = self._host()
        if self._failed:
            stage_again(host)  # a snapshot may have got no row, and its directory may be gone since
        self._failed = True
        self._health.scans_begun += 1
        host.spool.next_round()
        if self._watcher is not None:
            self._watcher.watch(Path(root.path) for root in host.config.roots)
        with self._lock:
            wanted = frozenset(self._wanted)
        for path in self._known.keys() - {str(root.path) for root in host.config.roots}:
            del self._known[path]
        soonest = host.config.schedule.scan
        for root in host.config.roots:
            path = str(root.path)
            try:
                soonest = min(soonest, self._root(host, path, wanted))
            except RegistryError:
                raise
            except Exception as error:  # a bug of ours: said with its traceback, and the other roots go on
                log.exception("root_failed", root=path)
                why = reason("bug", f"scanning root {path} failed with {type(error).__name__}")
                health = self._health.roots.setdefault(path, RootHealth(path))
                health.problem, health.message, health.hint = why.code, why.message, why.hint
        self._health.scans_done = self._health.scans_begun
        self._health.spool = SpoolHealth(host.spool.used(), host.config.spool.max_size, host.spool.free())
        self._failed = False
        return max(soonest, SOONEST)

    def _root(self, host: Host, path: str, wanted: frozenset[str]) -> float:
        root = host.root(path)
        if root is None:
            return host.config.schedule.scan
        began = host.monotonic()
        seen = rescan.scan(host, root, self._known.setdefault(path, Known()), wanted)
        health = self._health.roots.setdefault(path, RootHealth(path))
        if seen.problem is not None and health.problem != seen.problem.code:
            log.warning("root_unavailable", root=path, reason=seen.problem.code, message=seen.problem.message)
        health.problem, health.message, health.hint = (
            (seen.problem.code, seen.problem.message, seen.problem.hint) if seen.problem else ("", "", "")
        )
        health.known = seen.known
        self._say_unreadable(path, seen.unreadable)
        lost = reason("source_gone", "it was deleted before its snapshot was taken")
        for missed in seen.missed:
            self._rests.forget(f"{path}/{missed}")
            log.warning("directory_missed", directory=f"{path}/{missed}", reason=lost.code, hint=lost.hint)
        health.scan_seconds = round(host.monotonic() - began, 4)
        if self._watcher is not None:
            health.events = self._watcher.state(path)
        network = root.network if isinstance(root.network, bool) else is_network(Path(path))
        soonest = host.config.schedule.scan
        for found in takewhile(lambda _: not self.stopping.is_set(), seen.pending):
            directory = str(found.directory)
            match self._settle(host, found, network=network, now=directory in wanted):
                case Settled(version, new):
                    self._settled(version, directory, new=new)
                case Later(seconds, news):
                    soonest = min(soonest, seconds)
                    if news is not None:
                        _say(directory, *news)
        done = self._done(host, wanted)
        with self._lock:
            self._wanted -= done
        return soonest

    def _say_unreadable(self, root: str, folders: tuple[str, ...]) -> None:
        """Say which folders cannot be entered, and so whose adapters would be missed: each one once."""
        known = self._unreadable.get(root, frozenset())
        self._unreadable[root] = frozenset(folders)
        if fresh := sorted(self._unreadable[root] - known):
            message = f"{len(fresh)} folders below {root} cannot be read, {fresh[0]} first"
            log.warning("folders_unreadable", root=root, message=message, hint=reason("source_unreadable", "").hint)

    def _settle(self, host: Host, found: discover.Found, *, network: bool, now: bool) -> Settled | Later:
        lane = self._health.lanes.setdefault("intake", LaneHealth())
        lane.busy_with, lane.busy_since = str(found.directory), self._health.monotonic()
        try:
            return settle(host, found, self._rests, network=network, now=now)
        except RegistryError:
            raise
        except Exception as error:  # a bug of ours: said with its traceback, and the other directories go on
            later = failed(host, found, self._rests, error)
            if later.news is not None:
                log.exception("settle_failed", directory=str(found.directory))
            return later
        finally:
            lane.busy_with, lane.last_turn = "", self._health.monotonic()

    def _settled(self, version: AdapterVersion, directory: str, *, new: bool) -> None:
        said = {"adapter": version.adapter, "version": version.label, "directory": directory}
        if new:
            self._health.count("version_staged")
            log.info("version_staged", **said)
        else:
            self._health.count("version_sighted")
            log.info("version_sighted", **said)

    def _done(self, host: Host, wanted: frozenset[str]) -> set[str]:
        """Those of the wanted directories that need no further asking."""
        seen = host.registry.observations() if wanted else ()
        done = {str(Path(o.root) / o.path) for o in seen if o.state not in ("waiting", "baseline", "unwanted")}
        return done & wanted


def _say(directory: str, state: str, why: Reason) -> None:
    """Say what became of a directory that has no version yet; mere waiting is no news."""
    said = {"directory": directory, "reason": why.code, "message": why.message, "hint": why.hint}
    if state == "stalled":
        log.error("directory_stalled", **said)
    elif state in ("refused", "source_gone"):
        log.warning("directory_refused", state=state, **said)


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


def coming(host: Host) -> dict[str, Observation]:
    """The directories that may still come to rest, by absolute path: not those of a root that is not there."""
    there = {str(root.path) for root in host.config.roots if Path(root.path).is_dir()}
    waiting = (o for o in host.registry.observations(states=("waiting",)) if o.root in there)
    return {str(Path(o.root) / o.path): o for o in waiting}


def unfinished(host: Host, untouched: Mapping[str, Observation] = NOTHING) -> list[str]:
    """What still moves by itself: versions on the line that are not stalled, directories that come to rest.

    The `untouched` directories do not count while they are as they were then.
    """
    names = [v.label for arrow in LINE for v in host.registry.versions(stage=arrow.stage) if not v.stalled]
    was = {path: seen.fingerprint for path, seen in untouched.items()}
    names += [path for path, seen in coming(host).items() if was.get(path) != seen.fingerprint]
    names += [f"{record.adapter}@{record.channel}" for record, _ in promote.due(host, all_=True)]
    return names
