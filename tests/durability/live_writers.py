"""Writers in real time: a real daemon with file events watches, and each writer is a thread with a clock that runs.

The daemon has no base model, so that versions stay staged: what it took is read from its registry and spool.
"""

import random
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from adapterd.control import call
from adapterd.hub.server import RunningHub
from adapterd.registry import open_reader
from adapterd.spool import Spool
from durability.kinds import Kind
from durability.pens import QUIET, Pen
from durability.states import Known, States, partial
from helpers.hosts import NAMESPACE
from helpers.sites import Daemon, Site, until

FASTER = 10.0
"""A second of a writer is a tenth of one here."""

LATE = 5.0
"""Seconds that a busy machine may take longer than it must."""

LONGEST = 300.0


def play(kinds: Sequence[Kind], seed: int, folder: Path, hub: RunningHub) -> tuple[dict[str, Known], list[str]]:
    """Let these writers write while a daemon watches; what lay there, and what is wrong beside it."""
    site = Site(folder, hub)
    root = folder / "train" / "live"
    root.mkdir()
    site.configure(
        roots=f"[{{path: {root}, checkpoints: all, adapter: '{{root}}', named: '{{root}}'}}]",
        settle="{quiet: 500ms, patience: 3s}",
        schedule="{scan: 1s}",
        base_models="[]",
    )
    daemon = Daemon(site).ready()
    try:
        control = folder / "run" / "control.sock"
        until(lambda: call(control, "status", {})["scans_done"], "the empty root was looked at")
        states, lock, rng = States(), threading.Lock(), random.Random(seed)  # noqa: S311 - a schedule, no secret
        threads = [
            threading.Thread(target=_write, args=(kind, root / f"run-{n:03}", rng.getrandbits(64), states, lock))
            for n, kind in enumerate(kinds)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LONGEST)
        stuck = sum(thread.is_alive() for thread in threads)
        until(lambda: "waiting" not in site.states().values(), "everything came to rest", LONGEST)
        with lock:
            states.end(_now())
        return states.known, _faults(site, states, daemon, stuck=stuck)
    finally:
        daemon.stop()


def _now() -> float:
    """The writers' clock."""
    return time.monotonic() * FASTER


def _write(kind: Kind, run: Path, seed: int, states: States, lock: threading.Lock) -> None:
    """Be one writer, with its pauses."""

    def see(folder: Path) -> None:
        states.look(folder, kind.name, _now(), protected=kind.protected, held=folder in pen.holds)

    def done(folder: Path, needs: float) -> None:
        see(folder)
        states.done(folder, _now(), needs + LATE * FASTER)

    pen = Pen(run, random.Random(seed), time.time, done)  # noqa: S311 - a schedule, no secret
    run.mkdir()
    pause: float | None = pen.rng.uniform(0, 30)
    steps = kind.write(pen)
    while pause is not None:
        time.sleep(pause / FASTER)
        with lock:
            pause = next(steps, None)
            for folder in pen.folders:
                see(folder)


def _faults(site: Site, states: States, daemon: Daemon, *, stuck: int) -> list[str]:
    """Hold what the daemon took against what lay there: each is a content of the ledger, byte for byte."""
    faults = [f"{stuck} writers did not end"] if stuck else []
    faults += [line for line in daemon.said().splitlines() if "Traceback" in line or "lane_crashed" in line]
    spool = Spool(site.tmp / "state" / "spool")
    with open_reader(site.registry) as reader:
        for version in reader.versions(f"{NAMESPACE}/live"):
            known = states.known.get(version.identity)
            if known is None:
                faults.append(f"live: version {version.identity[:12]} is torn")
                continue
            # How long it had lain is not known to the moment: what rested for the quiet time is a version too.
            known.taken = known.rested
            weights, _ = spool.snapshot(version.adapter, version.tree).files["adapter_model.safetensors"]
            faults += [] if weights == known.weights else [f"live: {version.label} has other weights than its identity"]
    faults += [f"live {k.kind}: {one[:12]} is partial" for one, k in states.known.items() if partial(k, QUIET)]
    faults += [f"live {k.kind}: {one[:12]} is missed" for one, k in states.known.items() if k.owed and k.taken is None]
    return faults
