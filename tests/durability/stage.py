"""Writers and adapterd's intake on one root, in turns that a seed decides: files are real, time is not.

A writer may act between any two looks of adapterd, also in the middle of one: Python tells of each file that is opened
and each folder that is listed, and a writer is let go there. While large weights are copied it runs beside the copy.
"""

import fcntl
import random
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from adapterd.core.adapter import WEIGHTS
from adapterd.health import Health
from adapterd.lanes import Intake
from adapterd.ports import Registry
from adapterd.steps.host import Host
from durability.kinds import Kind, Steps
from durability.pens import PATIENCE, QUIET, SCAN, Pen
from durability.states import States
from helpers.hosts import Clock

SOONEST = 0.2
"""Seconds between two scans, however many events come."""

_SEAMS = ("open", "os.scandir", "os.listdir", "os.mkdir", "fcntl.fcntl")
_hooked: list[Callable[[str, tuple[object, ...]], None]] = []


def _hook(event: str, args: tuple[object, ...]) -> None:
    if _hooked and event in _SEAMS:
        _hooked[-1](event, args)


_once = threading.Lock()
_installed: list[bool] = []


def listen(to: Callable[[str, tuple[object, ...]], None]) -> None:
    """Be told of what Python does to files from now on. Such a hook stays for the life of the process."""
    with _once:
        if not _installed:
            sys.addaudithook(_hook)
            _installed.append(True)
    _hooked.append(to)


@dataclass
class Writer:
    """One that writes: its kind, what is left for it to do, and when it goes on."""

    kind: Kind
    pen: Pen
    steps: Steps
    due: float
    over: bool = False


@dataclass
class Stage:
    """One root with its writers, and the intake lane over it."""

    root: Path
    host: Host
    registry: Registry
    rng: random.Random
    wall: Clock
    now: Clock
    events: bool
    jumps: bool
    states: States = field(default_factory=States)
    writers: list[Writer] = field(default_factory=list)
    acted: int = 0
    restarts: int = 0

    def __post_init__(self) -> None:
        """Let adapterd see the empty root, so that all that comes is new."""
        self.root.mkdir(parents=True)
        self.health = Health("0", self.host.publisher, self.wall(), self.now)
        self.intake = Intake(lambda: self.host, self.health)
        self._looking = self._acting = False
        self._beside: threading.Thread | None = None
        self._failed: list[BaseException] = []
        self._staged = 0
        self._read = ""
        self._turn = 0.0
        self.look()

    def add(self, number: int, kind: Kind) -> None:
        """Bring in a writer, who begins within the next minute."""
        made: list[Writer] = []
        pen = Pen(
            self.root / f"run-{number:04}",
            random.Random(self.rng.getrandbits(64)),  # noqa: S311 - a schedule, no secret
            self.wall,
            lambda folder, needs: self._done(made[0], folder, needs),
        )
        made.append(Writer(kind, pen, kind.write(pen), self.now() + self.rng.uniform(0, 60)))
        self.writers += made

    def play(self) -> None:
        """Go on until every writer has ended and adapterd had its time."""
        listen(self._seam)
        try:
            while busy := [w for w in self.writers if not w.over]:
                writer = min(busy, key=lambda w: w.due)
                if self._turn <= writer.due:
                    self._pass(self._turn)
                    self.look()
                    continue
                self._pass(writer.due)
                self._step(writer)
                if self.events and self.rng.random() < 0.5:
                    self._turn = min(self._turn, self.now() + SOONEST)
            end = self.now() + PATIENCE + QUIET + 3 * SCAN
            while self.now() < end:
                self._pass(self._turn)
                self.look()
        finally:
            _hooked.pop()
        self.states.end(self.now())

    def look(self) -> None:
        """One turn of the intake lane; now and then it is that of a daemon that was just started."""
        if self.rng.random() < 0.03:
            self.intake = Intake(lambda: self.host, self.health)
            self.states.again(self.now())
            self.restarts += 1
        self._looking = True
        try:
            pause = self.intake.turn()
        finally:
            self._looking = False
            self._join()
        if self._failed:
            raise self._failed[0]
        self._turn = self.now() + max(SOONEST, pause)
        if (staged := self.health.counters.get("version_staged", 0)) != self._staged:
            self._staged = staged
            for version in self.registry.versions(self.adapter):
                self.states.take(version.identity, self.now())

    @property
    def adapter(self) -> str:
        """The one adapter that everything below this root belongs to."""
        return f"{self.host.config.hub.namespace}/{self.root.name}"

    def _pass(self, until: float) -> None:
        """Let time pass; the wall clock goes its own way where it is set."""
        seconds = max(0.0, until - self.now())
        self.now.now += seconds
        self.wall.now += seconds
        if self.jumps and self.rng.random() < 0.02:
            self.wall.now += self.rng.choice((-3600.0, 3600.0))

    def _step(self, writer: Writer) -> None:
        """Let a writer do one thing, and note what lies there then."""
        self._acting = True
        try:
            writer.pen.run.mkdir(exist_ok=True)
            writer.due = self.now() + next(writer.steps)
        except StopIteration:
            writer.over = True
        except BaseException as error:  # noqa: BLE001 - said at the end of the turn, not in the middle of adapterd's
            writer.over = True
            self._failed.append(error)
        finally:
            for folder in writer.pen.folders:
                self._see(writer, folder)
            self._acting = False

    def _see(self, writer: Writer, folder: Path) -> None:
        held = folder in writer.pen.holds
        self.states.look(folder, writer.kind.name, self.now(), protected=writer.kind.protected, held=held)

    def _done(self, writer: Writer, folder: Path, needs: float) -> None:
        self._see(writer, folder)
        self.states.done(folder, self.now(), needs)

    def _seam(self, event: str, args: tuple[object, ...]) -> None:
        """Python is about to do something to a file in the middle of a turn: a writer may be quicker."""
        if not self._looking or self._acting or threading.current_thread() is self._beside:
            return
        if event == "fcntl.fcntl" and args[2] == fcntl.F_UNLCK:
            return  # with the lease still held, a writer in this very thread would wait for itself
        self._join()
        path = str(args[0])
        copying = event == "open" and ".incoming" in path and path.endswith(WEIGHTS)
        if path.startswith(f"{self.root}/"):
            self._read = path
        near = [w for w in self.writers if not w.over and self._read.startswith(f"{w.pen.run}/")]
        late = [w for w in self.writers if not w.over and w.due <= self.now() + QUIET]
        among = near or late
        if not among or self.rng.random() > (0.5 if copying else 0.02):
            return
        self.acted += 1
        writer = self.rng.choice(among)
        if copying and self.rng.random() < 0.5:  # while it is read
            self._beside = threading.Thread(target=self._steps, args=(writer, self.rng.randint(1, 3)))
            self._beside.start()
        else:  # just before
            self._steps(writer, self.rng.randint(1, 3) if copying else 1)

    def _steps(self, writer: Writer, count: int) -> None:
        for _ in range(count):
            if not writer.over:
                self._step(writer)

    def _join(self) -> None:
        if self._beside is not None and threading.current_thread() is not self._beside:
            self._beside.join()
            self._beside = None
