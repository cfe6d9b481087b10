"""sync: work the line until nothing moves by itself any more, here or by asking the daemon."""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from adapterd.compose import SetupError, host_of, opened
from adapterd.config import Config, Places, load, places
from adapterd.control import NoDaemonError, call
from adapterd.core.version import Stage
from adapterd.health import Health
from adapterd.lanes import Exports, Intake, Steps, unfinished
from adapterd.operate import stage_again
from adapterd.reconcile import LINE
from adapterd.registry import open_reader
from adapterd.steps.host import Host

DRAIN_STEP = 0.5
"""Seconds between two looks at whether the line has drained."""

REJECTED, STALLED, WAITING = 3, 4, 75
"""The exit codes of the contract."""


def sync(config_path: Path, directories: Sequence[Path], max_wait: float | None, say: Callable[[str], None]) -> int:
    """Work until everything seen is published, rejected, superseded, stalled, baseline or unwanted.

    A running daemon is asked and watched; without one the line is worked here, under the writer's lock. The exit
    code: 0 done, 3 where something asked for was rejected, 4 stalled, 75 where it waits longer than `max_wait`
    seconds (default: the quiet time and a minute).
    """
    config = load(config_path)
    at = places(config, os.environ, Path.home())
    wanted = [str(path.absolute()) for path in directories]
    outside = [w for w in wanted if not any(Path(w).is_relative_to(root.path) for root in config.roots)]
    if outside:
        raise SetupError(f"{outside[0]} lies in no configured root", "`adapterd config check` lists the roots")
    patience = max_wait if max_wait is not None else config.settle.quiet + 60.0
    try:
        asked = call(at.socket, "sync", {"directories": wanted})
    except NoDaemonError:
        with opened(config) as host:
            return _sync_here(host, wanted, patience, say)
    scan = int(asked.get("scan", 0))
    return _sync_there(config, at, wanted, patience, say, lambda: _scanned(at) >= scan)


def _scanned(at: Places) -> int:
    """How many times the daemon has looked at all roots."""
    return int(call(at.socket, "status", {}).get("scans_done", 0))


def _sync_here(host: Host, wanted: list[str], patience: float, say: Callable[[str], None]) -> int:
    """Turn every lane in this thread until the line has drained."""
    stage_again(host)
    health = Health("", host.publisher, time.time(), time.monotonic)
    intake = Intake(lambda: host, health)
    intake.want(wanted)
    steps = [Steps(lambda: host, health, arrow) for arrow in LINE]
    exports = Exports(lambda: host, health)
    began, said, moved = time.monotonic(), frozenset[str](), time.monotonic()
    while True:
        pauses = [intake.turn(), *(step.turn() for step in steps), exports.turn()]
        left = unfinished(host)
        if not left:
            return _code(host, wanted, began)
        if frozenset(left) != said:
            said, moved = frozenset(left), time.monotonic()
            say(f"{len(left)} on the way: {', '.join(left[:3])}")
        if time.monotonic() - moved > patience:
            return WAITING
        time.sleep(min([DRAIN_STEP, *pauses]))


def _sync_there(
    config: Config,
    at: Places,
    wanted: list[str],
    patience: float,
    say: Callable[[str], None],
    scanned: Callable[[], bool],
) -> int:
    """Watch the daemon's registry until the line has drained; `scanned` tells when it has looked at all roots."""
    reader = open_reader(at.registry)
    host = host_of(config, at, reader, "")  # type: ignore[arg-type]  # `unfinished` and `_code` only read
    began = moved = time.monotonic()
    said = frozenset[str]()
    while True:
        if scanned():
            left = unfinished(host)
            if not left:
                return _code(host, wanted, began)
            if frozenset(left) != said:
                said, moved = frozenset(left), time.monotonic()
                say(f"{len(left)} on the way: {', '.join(left[:3])}")
        if time.monotonic() - moved > patience:
            return WAITING
        time.sleep(DRAIN_STEP)


def _code(host: Host, wanted: list[str], began: float) -> int:
    """The exit code that what was asked for deserves; where nothing was asked for, what moved since `began`."""
    since = host.clock() - (time.monotonic() - began)
    observed = [
        o
        for o in host.registry.observations()
        if (str(Path(o.root) / o.path) in wanted if wanted else o.changed_at >= since)
    ]
    versions = [v for o in observed if o.version and (v := host.registry.version(o.version))]
    if any(v.stalled for v in versions) or any(o.state == "stalled" for o in observed):
        return STALLED
    rejected = any(v.stage is Stage.REJECTED for v in versions) or any(o.state == "refused" for o in observed)
    return REJECTED if rejected else 0
