"""Figure: what 10,000 known directories cost at rest: one turn of the intake lane, and the whole daemon."""

import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import figures
from adapterd.health import Health
from adapterd.lanes import Intake
from daemon_memory import memory_of, processor_seconds, read
from helpers.adapters import write_adapter
from helpers.hosts import World
from host import BASE, Daemon, Host, daemon, until

RUNS, CHECKPOINTS = 954, 10
LIMIT = 1.5
PAIRS = 21
REST = 120.0
"""Seconds of rest over which the processor time is counted."""
PERIOD = 30.0
"""Seconds between two walks meanwhile: the daemon's own default."""
CALM = 5.0
"""Seconds until what was written last is no news any more."""
BESIDE = ("training_args.bin", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
STATE = ("optimizer.pt", "scheduler.pt", "rng_state.pth")


def main() -> None:
    """Write the directories, measure in one process, then a daemon."""
    with tempfile.TemporaryDirectory(prefix="adapterd-bench-") as folder:
        home = Path(folder)
        host = Host(home, "http://127.0.0.1:9", sections={"roots": f"[{{path: {home / 'train'}}}]"})
        # Half of it is what was there at the first scan, with final saves; the other half is left out by the root's
        # `checkpoints: final`. Nothing is published.
        world = World(home, "http://127.0.0.1:9", extra={"roots": f"[{{path: {host.root}}}]"})
        intake = Intake(lambda: world.host, Health("", "", 0.0, time.monotonic))
        half = RUNS // 2
        known = sum(_write_run(host.root, number, final=True) for number in range(half))
        intake.turn()
        known += sum(_write_run(host.root, number, final=False) for number in range(half, RUNS))
        time.sleep(CALM)
        for _ in range(3):
            intake.turn()
        pairs = [(*_timed(partial(walk, host.root)), *_timed(intake.turn)) for _ in range(PAIRS)]
        world.close()
        walked, walked_busy, turned, turned_busy = (statistics.median(times) for times in zip(*pairs, strict=True))
        with daemon(host) as running:
            page = str(running.said("status_page_on")[0]["url"])
            until(lambda: f'"known":{known}' in read(page + "status.json").replace(" ", ""), "known", running.process)
            busy, scans, spent = _at_rest(page, running, host.root)
            memory = memory_of(running)["VmRSS"]
    ratio = turned / walked
    figures.hand_over(
        [
            figures.at_most(
                f"reconciling {known:,} known directories at rest, against a bare os.scandir walk of the same tree",
                ratio,
                LIMIT,
                "times",
                note=f"{1000 * turned:.0f} ms against {1000 * walked:.0f} ms, medians of {PAIRS} pairs; of this the"
                f" processor's {1000 * turned_busy:.0f} against {1000 * walked_busy:.0f} ms",
            ),
            figures.at_most(
                f"processor time of the whole daemon at rest with them over {REST:.0f} s, against as many bare walks in"
                " that time as it scanned",
                busy / (scans * spent),
                LIMIT,
                "times",
                note=f"{100 * busy / REST:.2f} % of one core, {scans} scans",
            ),
            figures.Figure("resident memory of that daemon", f"{memory:.1f} MiB"),
        ]
    )


def walk(root: Path) -> None:
    """The bare walk: list every folder, ask of each entry whether it is one."""
    stack = [str(root)]
    while stack:
        with os.scandir(stack.pop()) as listing:
            stack += [entry.path for entry in listing if entry.is_dir(follow_symlinks=False)]


def _write_run(root: Path, number: int, *, final: bool) -> int:
    """Write what transformers' Trainer writes of one run; how many directories it is."""
    run = root / f"support-{number:04d}"
    folders = [run / f"checkpoint-{step}00" for step in range(1, CHECKPOINTS + 1)]
    for folder in folders:
        write_adapter(folder, seed=number, base=BASE)
        for name in (*BESIDE, *STATE):
            (folder / name).write_bytes(b"{}")
    if final:
        write_adapter(run, seed=number, base=BASE)
        for name in BESIDE:
            (run / name).write_bytes(b"{}")
    return len(folders) + final


def _at_rest(page: str, running: Daemon, root: Path) -> tuple[float, int, float]:
    """Processor seconds over a time of rest, the scans in it, and the seconds of a bare walk made as seldom."""
    time.sleep(CALM)
    for _ in range(2):  # the first scans after a start judge everything
        before = _turns(page)
        until(partial(_turned, page, before), "it has looked", running.process, pause=1.0)
    scans, busy = _turns(page), processor_seconds(running)
    walks = []
    for _ in range(round(REST / PERIOD)):
        time.sleep(PERIOD)
        walks.append(_timed(partial(walk, root))[1])
    return processor_seconds(running) - busy, _turns(page) - scans, statistics.mean(walks)


def _turns(page: str) -> int:
    """How often the intake lane has turned."""
    return int(json.loads(read(page + "status.json"))["daemon"]["lanes"]["intake"]["turns"])


def _turned(page: str, before: int) -> bool:
    return _turns(page) > before


def _timed(do: Callable[[], object]) -> tuple[float, float]:
    """Seconds on the clock, and of the processor."""
    began, busy = time.perf_counter(), time.process_time()
    do()
    return time.perf_counter() - began, time.process_time() - busy


if __name__ == "__main__":
    main()
