"""sync: work the line until nothing moves by itself any more, here or by asking the daemon."""

import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from adapterd import asked
from adapterd.asked import DONE, REJECTED, STALLED, WAITING, Became
from adapterd.compose import host_of, opened
from adapterd.config import Config, Places, load, places
from adapterd.control import NoDaemonError, call
from adapterd.health import Health
from adapterd.lanes import Exports, Intake, Steps
from adapterd.log import configure
from adapterd.mirroring import Mirror
from adapterd.ports import RegistryError
from adapterd.reconcile import LINE
from adapterd.registry import SqlReader, open_reader
from adapterd.steps.again import stage_again
from adapterd.steps.host import Host

DRAIN_STEP = 0.5
"""Seconds between two looks at whether the line has drained."""

NAMED = 3
"""How many of those on their way are named."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it went: the exit code, and a line with its hint for each directory, or one for everything."""

    code: int
    lines: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class _Asking:
    """What one `sync` is about; `wanted` are those of the asked directories that there is something to wait for."""

    paths: tuple[str, ...]
    hopeless: dict[str, Became]
    was: asked.Before
    patience: float
    say: Callable[[str], None]

    @property
    def wanted(self) -> list[str]:
        return [path for path in self.paths if path not in self.hopeless]


def sync(config_path: Path, directories: Sequence[Path], max_wait: float | None, say: Callable[[str], None]) -> Outcome:
    """Work until everything asked for, or everything seen, is published, rejected, superseded, stalled or unwanted.

    A running daemon is asked and watched; without one the line is worked here, under the writer's lock. The exit
    code: 0 done, 3 where something asked for was rejected, 4 stalled, 75 where it waits longer than `max_wait`
    seconds (default: the quiet time and a minute).
    """
    config = load(config_path)
    configure(config.log.level, config.log.format)
    at = places(config, os.environ, Path.home())
    paths = asked.named(config, directories)
    with ExitStack() as stack:
        reader = _reader(at)
        if reader is not None:
            stack.enter_context(reader)
        none = {path: why for path in paths if (why := asked.hopeless(config, reader, path)) is not None}
        was = asked.before(reader)
    patience = max_wait if max_wait is not None else config.settle.quiet + 60.0
    asking = _Asking(paths, none, was, patience, say)
    if paths and not asking.wanted:
        return _of_each(none)
    try:
        answer = call(at.socket, "sync", {"directories": asking.wanted})
    except NoDaemonError:
        with opened(config) as host:
            return _sync_here(host, asking)
    scan = int(answer.get("scan", 0))
    return _sync_there(config, at, asking, lambda: _scanned(at) >= scan)


def _reader(at: Places) -> SqlReader | None:
    """The registry as it is before anything is asked; None where there is none that can be read."""
    try:
        return open_reader(at.registry)
    except RegistryError:
        return None


def _scanned(at: Places) -> int:
    """How many times the daemon has looked at all roots."""
    return int(call(at.socket, "status", {}).get("scans_done", 0))


def _sync_here(host: Host, asking: _Asking) -> Outcome:
    """Turn every lane in this thread until what is waited for has come through."""
    stage_again(host)
    health = Health("", host.publisher, time.time(), time.monotonic)
    intake = Intake(lambda: host, health)
    intake.want(asking.wanted)
    steps = [Steps(lambda: host, health, arrow) for arrow in LINE]
    exports, mirror = Exports(lambda: host, health), Mirror(lambda: host, health)

    def turn() -> float:
        return min([intake.turn(), *(step.turn() for step in steps), exports.turn(), mirror.turn()])

    return _wait(host, asking, turn)


def _sync_there(config: Config, at: Places, asking: _Asking, scanned: Callable[[], bool]) -> Outcome:
    """Watch the daemon's registry; `scanned` tells when it has looked at all roots."""
    with open_reader(at.registry) as reader:
        host = host_of(config, at, reader, "")  # type: ignore[arg-type]  # whatever is asked of it only reads
        return _wait(host, asking, lambda: DRAIN_STEP, scanned)


def _wait(host: Host, asking: _Asking, turn: Callable[[], float], looked: Callable[[], bool] = lambda: True) -> Outcome:
    """Turn until nothing of what is asked for is left, or nothing of it has moved for the patience."""
    said, moved = frozenset[str](), time.monotonic()
    while True:
        pause = turn()
        left: list[str] | None = None
        if looked():
            left = asked.left(host, asking.wanted)
            if not left:
                return _outcome(host, asking, 0)
            if frozenset(left) != said:
                said, moved = frozenset(left), time.monotonic()
                more = ", …" if len(left) > NAMED else ""
                asking.say(f"{len(left)} on the way: {', '.join(left[:NAMED])}{more}")
        if time.monotonic() - moved > asking.patience:
            return _outcome(host, asking, len(left) if left is not None else 1)
        time.sleep(min(DRAIN_STEP, pause))


def _outcome(host: Host, asking: _Asking, waiting: int) -> Outcome:
    """How it went; `waiting` is how many are still on their way."""
    if not asking.paths:
        all_ = asked.summary(host, asking.was, waiting)
        return Outcome(all_.code, ((all_.said, all_.hint),))
    each = {path: asking.hopeless.get(path) or asked.became(host, path) for path in asking.paths}
    done = _of_each(each)
    return Outcome(WAITING, done.lines) if waiting else done


def _of_each(each: dict[str, Became]) -> Outcome:
    """A line for each directory; the exit code is the worst of theirs."""
    codes = {what.code for what in each.values()}
    code = next((code for code in (WAITING, STALLED, REJECTED) if code in codes), DONE)
    return Outcome(code, tuple((f"{path}: {what.said}", what.hint) for path, what in each.items()))
