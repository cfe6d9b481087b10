"""What wakes the loop: file events (watchdog) and calendar triggers (APScheduler). Hints, never the truth.

Handlers carry no data and do no work: they mark a root and set an event. watchdog fails silently in many ways, so
whatever makes it doubtful only changes what `status` says; the scan finds everything without it.
"""

import logging
import os
import stat
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

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

from adapterd.log import get_logger

if TYPE_CHECKING:
    from watchdog.observers.api import BaseObserver

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

NETWORK = (
    *(
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "lustre",
        "gpfs",
        "9p",
        "ceph",
        "glusterfs",
        "beegfs",
        "afs",
        "virtiofs",
        "wekafs",
    ),
    *("orangefs", "vboxsf", "fuse"),
)
"""File systems that give no events for what other hosts write (and every ``fuse.*``)."""

MOUNTINFO = Path("/proc/self/mountinfo")

LOOK_AGAIN, SOON = 600.0, 1.0
"""Seconds between two counts of the watches, or two tries where some fail; and until a lack is counted again."""

MOST_TOLD = 100
"""Overflows that are remembered."""

RAISE = (
    "nothing is lost, the scan finds it; for events raise fs.inotify.max_user_watches or max_user_instances (sysctl)"
)


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

    def __init__(
        self, wake: Wake, monotonic: Callable[[], float] = time.monotonic, mountinfo: Path = MOUNTINFO
    ) -> None:
        """Wake `wake` on events and on any doubt; `mountinfo` tells what is mounted where."""
        self._wake = wake
        self._monotonic = monotonic
        self._mountinfo = mountinfo
        self._observer: BaseObserver | None = None
        self._watched: dict[str, object] = {}
        self._failed: dict[str, str] = {}
        self._due = 0.0
        self._suspected = False
        self._blind = ""
        self._overflows: list[float] = []
        self._doubts = _Doubt(self._doubted)

    def watch(self, paths: Iterable[Path]) -> None:
        """Watch these roots from now on, as far as they exist; call it again when one appears or may have changed."""
        mounts = _mounts(self._mountinfo)
        wanted = {str(path): _stands(path, mounts) for path in paths}
        alive = self._alive()
        if not alive:
            log.warning("events_restarted", message="a thread that passes file events on has died")
        if wanted != self._watched or not alive:
            self._begin(wanted)
        elif self._monotonic() >= self._due:
            # Where something fails there may be room by now; else only what was made since is counted.
            self._begin(wanted) if self._failed or self._blind else self._count()

    def _begin(self, wanted: Mapping[str, object]) -> None:
        """Watch anew: costs a walk over every root, so what fails is not asked again before `LOOK_AGAIN`."""
        self.close()
        self._watched, self._failed, self._suspected, self._blind = dict(wanted), {}, bool(self._blind), ""
        self._due = self._monotonic() + LOOK_AGAIN
        able = [name for name, at in wanted.items() if not isinstance(at, str)]
        if not able:
            return
        logging.getLogger("watchdog.observers").addHandler(self._doubts)
        try:
            observer = Observer()
            observer.start()
        except (OSError, RuntimeError) as error:
            self._failed = dict.fromkeys(able, str(error))
        else:
            self._observer = observer
            for name in able:
                try:
                    observer.schedule(_Handler(self._wake), name, recursive=True, event_filter=EVENTS)
                except (OSError, RuntimeError) as error:
                    self._failed[name] = str(error)
            self._count()
        for name, why in self._failed.items():
            log.warning("events_failed", root=name, message=why, hint=RAISE)

    def _count(self) -> None:
        """Compare the kernel's watches with the folders that are there: watchdog says nothing of those that it lacks.

        A folder that was just made has no watch for a moment, so that a lack counts when it is found twice.
        """
        there = sum(_folders(name) for name, at in self._watched.items() if self._gives_events(name, at))
        try:
            lacking = there - watches()
        except OSError:  # without /proc nobody can tell
            return
        again, self._suspected = self._suspected, lacking > 0
        if lacking > 0 and not again:
            self._due = self._monotonic() + SOON
            return
        self._due = self._monotonic() + LOOK_AGAIN
        self._blind = f"{lacking} of {there} folders give no events: the scan finds them" if lacking > 0 else ""
        if self._blind:
            log.warning("events_incomplete", message=self._blind, hint=RAISE)

    def _gives_events(self, name: str, at: object) -> bool:
        return not isinstance(at, str) and name not in self._failed

    def _alive(self) -> bool:
        """Whether every thread between the kernel and our handlers lives, where there is an observer."""
        if self._observer is None:
            return True
        reader = getattr(self._observer, "_inotify_fd", None)
        threads = [self._observer, *self._observer.emitters, *([reader] if reader is not None else [])]
        return all(thread.is_alive() for thread in threads)

    def _doubted(self, message: str) -> None:
        if "overflow" in message:
            now = self._monotonic()
            if not self._overflows or now - self._overflows[-1] > SOON:
                log.warning("events_lost", message=message)
                self._overflows.append(now)
            del self._overflows[:-MOST_TOLD]
        self._wake.set()

    def state(self, path: str) -> str:
        """Whether events of a root arrive, in words: ``on``, or why not, or what speaks against relying on them."""
        at = self._watched.get(path, "not watched")
        if isinstance(at, str):
            return at
        if path in self._failed:
            return f"no events, {self._failed[path]}: scan only"
        if not self._alive():
            return "the observer died: scan only"
        lately = sum(self._monotonic() - at < LOOK_AGAIN for at in self._overflows)
        lost = f"on; the kernel's queue overflowed {lately} times lately, and the scan found what was lost"
        return self._blind or (lost if lately else "on")

    def close(self) -> None:
        """Stop the observer."""
        logging.getLogger("watchdog.observers").removeHandler(self._doubts)
        if self._observer is not None and self._observer.is_alive():
            self._observer.stop()
            self._observer.join(5)
        self._observer = None
        self._watched = {}


def _stands(path: Path, mounts: Sequence[tuple[str, str]]) -> object:
    """What stands at a path: the directory and what is mounted within; or, as text, why it can give no events."""
    try:
        found = path.stat()
    except OSError:
        return "root is not there"
    if not stat.S_ISDIR(found.st_mode):
        return "root is not there"
    real = os.path.realpath(path)
    if _is_network(real, mounts):
        return "network file system: scan only"
    return found.st_dev, found.st_ino, tuple(point for point, _ in mounts if point.startswith(f"{real}/"))


def watches() -> int:
    """How many watches the kernel holds for this process (proc(5), fdinfo)."""
    count = 0
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            if str(descriptor.readlink()) == "anon_inode:inotify":
                count += Path(f"/proc/self/fdinfo/{descriptor.name}").read_bytes().count(b"inotify wd:")
    return count


def _folders(root: str) -> int:
    """How many folders lie below a root, itself among them, at any depth: each of them needs a watch."""
    count, stack = 0, [root]
    while stack:
        folder = stack.pop()
        count += 1
        with suppress(OSError), os.scandir(folder) as listing:
            stack += [entry.path for entry in listing if entry.is_dir(follow_symlinks=False)]
    return count


def is_network(path: Path, mountinfo: Path = MOUNTINFO) -> bool:
    """Whether a path lies on a network or FUSE file system, by the longest mount point above it (proc(5))."""
    return _is_network(str(path), _mounts(mountinfo))


def _is_network(path: str, mounts: Sequence[tuple[str, str]]) -> bool:
    # Of two mounts on one point the later one is seen.
    above = [mount for mount in mounts if path == mount[0] or path.startswith(mount[0].rstrip("/") + "/")]
    kind = max(enumerate(above), key=lambda found: (len(found[1][0]), found[0]))[1][1] if above else ""
    return kind in NETWORK or kind.startswith("fuse.")


def _mounts(mountinfo: Path) -> list[tuple[str, str]]:
    """Every mount point, with the kind of its file system."""
    try:
        lines = mountinfo.read_text(errors="replace").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        left, _, right = line.partition(" - ")
        fields, fs = left.split(), right.split()
        if len(fields) > 4 and fs:  # noqa: PLR2004 - the mount point is the fifth field
            found.append((fields[4].encode().decode("unicode_escape"), fs[0]))
    return found


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
