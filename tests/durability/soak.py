"""A month of a busy host on an injected clock: `make soak`. Exit 1 if a version is lost, doubled or wrong.

Real roots, registry, spool and lanes; a Hub in a process of its own, so that its memory does not count; a Validator
that is told what to say. Each version is a directory that a trainer writes and later rotates away.
"""

import argparse
import contextlib
import gc
import hashlib
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from adapterd.health import Health
from adapterd.lanes import Exports, Intake, Steps, Turn
from adapterd.log import configure
from adapterd.reconcile import LINE
from adapterd.upkeep import CHORES, Upkeep
from durability.books import Books, audit
from durability.processes import HubProcess
from helpers.adapters import weights, write_adapter
from helpers.hosts import NAMESPACE, Clock, World

DAY = 86400.0
MONTH = 30 * DAY
HOUR = 3600.0
SERIES = 50
"""Adapters that are trained side by side."""
OF_A_RUN = 20
"""Checkpoints of a run, the last of which is its final save."""
AUDITED = 10
"""Every so many series are audited."""
KEPT = 3
"""Directories of a run that the trainer leaves; older ones it deletes."""
MIB = 2**20


@dataclass(frozen=True, slots=True)
class Sample:
    """What the process and its files take after so many versions."""

    versions: int
    resident: int
    handles: int
    database: int
    spool: int
    scan: float


@dataclass
class Soak:
    """One host over its month."""

    world: World
    versions: int
    health: Health = field(init=False)
    written: dict[str, dict[str, str]] = field(default_factory=dict)
    """By adapter: sha256 of the weights to a name for people; of the series that are audited."""

    def __post_init__(self) -> None:
        """Build the lanes; the first scan is the baseline of an empty root."""
        host = self.world.host
        self.health = Health("", self.world.publisher, 0.0, self.world.clock)
        self.intake = Intake(lambda: host, self.health)
        steps = [Steps(lambda: host, self.health, arrow).turn for arrow in LINE]
        self.turns: list[Turn] = [*steps, Exports(lambda: host, self.health).turn]
        self.upkeep = Upkeep(lambda: host, self.health)
        self.intake.turn()

    def run(self) -> Iterator[Sample]:
        """Live through the month; ten samples."""
        step, hour, day = MONTH / self.versions, self.world.clock.now, self.world.clock.now
        for number in range(self.versions):
            self._write(number)
            self.intake.turn()
            self.world.clock.now += min(10.0, step / 2)
            self.intake.turn()
            for turn in self.turns:
                turn()
            self.world.validator.asked.clear()  # the test's own memory is not the daemon's
            self.world.clock.now += step - min(10.0, step / 2)
            if self.world.clock.now - hour >= HOUR:
                hour = self.world.clock.now
                self.upkeep.ask("retention")
            if self.world.clock.now - day >= DAY:
                day = self.world.clock.now
                for chore in CHORES:
                    self.upkeep.ask(chore)
            self.upkeep.turn()
            if (number + 1) % max(1, self.versions // 10) == 0:
                yield self._sample(number + 1)

    def _write(self, number: int) -> None:
        """Have the trainer of one series save once more, and rotate."""
        series, save = number % SERIES, number // SERIES
        run, step = save // OF_A_RUN, save % OF_A_RUN
        adapter = f"series-{series}"
        folder = self.world.tmp / "train" / f"{adapter}-run-{run}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "adapterd.yaml").write_text(f"adapter: {adapter}\n")
        final = step == OF_A_RUN - 1
        write_adapter(folder if final else folder / f"checkpoint-{step + 1}", seed=number)
        digest = hashlib.sha256(weights(number)).hexdigest()
        if series % AUDITED == 0:
            self.written.setdefault(f"{NAMESPACE}/{adapter}", {})[digest] = f"{folder.name} save {step + 1}"
        old = folder / f"checkpoint-{step + 1 - KEPT}"
        if old.is_dir():
            shutil.rmtree(old)
        if final and run:
            shutil.rmtree(folder.with_name(f"{adapter}-run-{run - 1}"), ignore_errors=True)

    def _sample(self, versions: int) -> Sample:
        gc.collect()
        process = psutil.Process()
        began = time.perf_counter()
        self.intake.turn()
        scan = time.perf_counter() - began
        database = sum(path.stat().st_size for path in self.world.path.parent.glob("registry.db*"))
        spool = sum(path.stat().st_size for path in (self.world.tmp / "state" / "spool").rglob("*") if path.is_file())
        return Sample(versions, process.memory_info().rss, process.num_fds(), database, spool, scan)

    def books(self) -> Books:
        """Audit every tenth series, every byte of it; the others by what the registry says."""
        wanted = {digest: name for written in self.written.values() for digest, name in written.items()}
        return audit(self.world.client, sorted(self.written), wanted)


@contextlib.contextmanager
def soaking(home: Path, versions: int) -> Iterator[Soak]:
    """A host on a Hub of its own."""
    hub = HubProcess(home / "hub")
    hub.start()
    try:
        world = World(home / "host", hub.endpoint, clock=Clock(1_700_000_000.0))
        yield Soak(world, versions)
        world.close()
    finally:
        hub.end(signal.SIGTERM)


def main() -> int:
    """Soak, and print how the process and its files grew."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("versions", nargs="?", type=int, default=10_000, help="how many (default: 10000)")
    versions = parser.parse_args().versions
    configure("error", "console")
    began, samples = time.monotonic(), []
    sys.stdout.write(
        f"{'versions':>9} {'RSS MiB':>9} {'handles':>8} {'registry MiB':>13} {'spool MiB':>10} {'scan ms':>8}\n"
    )
    with tempfile.TemporaryDirectory(prefix="adapterd-soak-") as home, soaking(Path(home), versions) as soak:
        for sample in soak.run():
            samples.append(sample)
            sys.stdout.write(
                f"{sample.versions:9} {sample.resident / MIB:9.1f} {sample.handles:8} {sample.database / MIB:13.1f}"
                f" {sample.spool / MIB:10.1f} {sample.scan * 1000:8.1f}\n"
            )
            sys.stdout.flush()
        counts = soak.world.registry.counts()
        books = soak.books()
    published = counts["published"]
    sys.stdout.write(
        f"\n{published} of {versions} published, {counts['stalled']} stalled; of every tenth series {books.versions}"
        f" versions read whole: lost {len(books.lost)}, duplicated {len(books.duplicated)}, wrong {len(books.wrong)}\n"
        f"a month in {(time.monotonic() - began) / 60:.0f} minutes\n"
    )
    return int(published != versions or not books.clean)


if __name__ == "__main__":
    sys.exit(main())
