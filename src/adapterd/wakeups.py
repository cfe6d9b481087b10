"""What wakes the loop: file events (watchdog) and calendar triggers (APScheduler). Hints, never the truth.

Handlers carry no data and do no work: they mark a root and set an event. watchdog fails silently in many ways, so
whatever makes it doubtful only changes what `status` says; the scan finds everything without it.
"""

import logging
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger
from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

from adapterd.log import get_logger

log = get_logger(__name__)

# With the default mask watchdog livelocks above about 4,096 directories: its own walk makes open and close events.
EVENTS: list[type[FileSystemEvent]] = [
    FileCreatedEvent,
    FileMovedEvent,
    FileClosedEvent,
    DirCreatedEvent,
    DirMovedEvent,
    DirDeletedEvent,
]

NETWORK = ("nfs", "nfs4", "cifs", "smb3", "lustre", "gpfs", "9p", "ceph", "glusterfs", "beegfs")
"""File systems that give no events for what other hosts write (and every ``fuse.*``)."""


class Wake:
    """A flag that a lane sleeps on; setting it twice wakes once."""

    def __init__(self) -> None:
        """Start unset."""
        self._event = threading.Event()

    def set(self) -> None:
        """Wake the lane, or keep it from falling asleep."""
        self._event.set()

    def wait(self, seconds: float | None) -> bool:
        """Sleep until woken or the time is over; whether it was woken."""
        woken = self._event.wait(seconds)
        self._event.clear()
        return woken


class _Handler(FileSystemEventHandler):
    """O(1): set the flag, nothing else; an exception here would kill the observer's thread."""

    def __init__(self, wake: Wake) -> None:
        self._wake = wake

    def on_any_event(self, event: FileSystemEvent) -> None:  # noqa: ARG002 - the event carries nothing we trust
        self._wake.set()


class _Doubt(logging.Handler):
    """watchdog's log records are the only sign of an overflow or of watches that it could not set."""

    def __init__(self, doubt: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._doubt = doubt

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(Exception):
            self._doubt(record.getMessage()[:200])


class Watcher:
    """File events of the roots, as wake-ups."""

    def __init__(self, wake: Wake) -> None:
        """Wake `wake` on events and on any doubt."""
        self._wake = wake
        self._observer: BaseObserver | None = None
        self._state: dict[str, str] = {}
        self._asked: set[str] = set()
        self._watched: set[str] = set()
        self._doubts = _Doubt(self._doubted)

    def watch(self, paths: Iterable[Path]) -> None:
        """Watch these roots from now on, as far as they exist; call it again when one appears or may have changed."""
        wanted = {str(path): path for path in paths}
        # What can give no events now is not asked again and again: each time costs a walk over every root.
        able = {name for name, path in wanted.items() if path.is_dir() and not is_network(path)}
        if (set(wanted), able) == (self._asked, self._watched) and self._alive():
            return
        self.close()
        self._state = {}
        logging.getLogger("watchdog.observers").addHandler(self._doubts)
        observer = Observer()
        for name, path in wanted.items():
            self._state[name] = self._schedule(observer, path)
        with suppress(OSError, RuntimeError):
            observer.start()
        self._observer = observer
        self._asked, self._watched = set(wanted), able

    def _schedule(self, observer: BaseObserver, path: Path) -> str:
        if is_network(path):
            return "network file system: scan only"
        if not path.is_dir():
            return "root is not there"
        try:
            observer.schedule(_Handler(self._wake), str(path), recursive=True, event_filter=EVENTS)
        except OSError as error:
            return f"no events: {error.strerror}"
        return "on"

    def _alive(self) -> bool:
        return self._observer is not None and self._observer.is_alive()

    def _doubted(self, message: str) -> None:
        log.debug("events_doubtful", message=message)
        self._wake.set()

    def state(self, path: str) -> str:
        """Whether events of a root arrive, in words: ``on``, or why not."""
        if self._state.get(path) == "on" and not self._alive():
            return "the observer died: scan only"
        return self._state.get(path, "not watched")

    def forget(self, path: str) -> None:
        """The root behind this path was replaced or went away: watch it anew at the next `watch`."""
        self._watched.discard(path)

    def close(self) -> None:
        """Stop the observer."""
        logging.getLogger("watchdog.observers").removeHandler(self._doubts)
        if self._observer is not None and self._observer.is_alive():
            self._observer.stop()
            self._observer.join(5)
        self._observer = None
        self._watched = set()


def is_network(path: Path, mountinfo: Path = Path("/proc/self/mountinfo")) -> bool:
    """Whether a path lies on a network or FUSE file system, by the longest mount point above it (proc(5))."""
    best, kind = -1, ""
    try:
        lines = mountinfo.read_text(errors="replace").splitlines()
    except OSError:
        return False
    wanted = str(path)
    for line in lines:
        left, _, right = line.partition(" - ")
        fields, fs = left.split(), right.split()
        if len(fields) > 4 and fs:  # noqa: PLR2004 - the mount point is the fifth field
            point = fields[4].encode().decode("unicode_escape")
            inside = wanted == point or wanted.startswith(point.rstrip("/") + "/")
            if inside and len(point) > best:
                best, kind = len(point), fs[0]
    return kind in NETWORK or kind.startswith("fuse.")


class Calendar:
    """Calendar triggers, as wake-ups: a job only sets a flag."""

    def __init__(self) -> None:
        """Nothing is scheduled yet; missed triggers are made up once."""
        self._scheduler = BackgroundScheduler(
            timezone="UTC", job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
        )

    def start(self) -> None:
        """Start the scheduler's thread."""
        self._scheduler.start()

    def at(self, crontab: str, wake: Callable[[], None], name: str) -> None:
        """Call `wake` at every match of a five-field crontab; the same name replaces its trigger."""
        trigger = CronTrigger.from_crontab(crontab, timezone="UTC")
        self._scheduler.add_job(wake, trigger, id=name, replace_existing=True)

    def jobs(self) -> list[Any]:
        """The triggers that are set."""
        return list(self._scheduler.get_jobs())

    def close(self) -> None:
        """Stop; without waiting, since waiting deadlocks when a job adds a job."""
        with suppress(Exception):
            self._scheduler.shutdown(wait=False)
