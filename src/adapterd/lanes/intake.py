"""The intake lane: discover and settle, over all roots."""

import threading
from collections.abc import Callable
from itertools import takewhile
from pathlib import Path

from adapterd.core.reasons import reason
from adapterd.core.version import AdapterVersion, Reason
from adapterd.health import Health, LaneHealth, RootHealth, SpoolHealth
from adapterd.lanes.thread import SOONEST
from adapterd.log import get_logger
from adapterd.ports import RegistryError
from adapterd.steps import discover, rescan
from adapterd.steps.again import stage_again
from adapterd.steps.host import Host
from adapterd.steps.known import Known
from adapterd.steps.settle import Later, Rests, Settled, failed, settle
from adapterd.wakeups import Watcher, is_network

log = get_logger(__name__)


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
