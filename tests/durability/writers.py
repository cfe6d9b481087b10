"""`make writers N=1000`: random writers of every kind against the real discover, settle, validate and publish.

Spool, registry, files and Hub are real; the clocks are injected, and the validator is quick: it looks for pages that
were never written, as the real one does, and has no base model. Exit code 1 unless nothing is partial, missed or
duplicated and the Hub holds exactly what the writers wrote.
"""

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from adapterd import log as logs
from adapterd.config import parse
from adapterd.core.reasons import reason
from adapterd.core.version import Stage as At
from adapterd.hub.server import Account, RunningHub, start
from adapterd.ports import ProbeRequest, ProbeResult
from adapterd.worker import values
from adapterd.worker.files import read_weights
from durability import books, live_writers
from durability.movers import ALL
from durability.pens import PATIENCE, QUIET, SCAN
from durability.stage import Stage
from durability.states import Known, partial
from helpers.hosts import NAMESPACE, TOKEN, Clock, GivenValidator, World, config_text
from publishing.lines import drive

TOGETHER = 25
"""Writers that share a root."""


class PagesValidator(GivenValidator):
    """Passes everything but weights with pages that were never written."""

    def probe(self, request: ProbeRequest) -> ProbeResult:
        """Look at the pages of the weights."""
        holes = values.zeroed_pages(read_weights(Path(request.snapshot)))
        findings = (reason("zeroed_pages", f"{len(holes)} runs of empty pages"),) if holes else ()
        return replace(self.result, findings=findings)


@dataclass
class Tally:
    """What became of the writers of one kind."""

    writers: int = 0
    counts: Counter[str] = field(default_factory=Counter)


@dataclass
class Outcome:
    """What became of all of them; `faults` name each thing that is not as promised."""

    kinds: dict[str, Tally] = field(default_factory=lambda: {kind.name: Tally() for kind in ALL})
    faults: list[str] = field(default_factory=list)
    published: int = 0
    refused: int = 0
    acted: int = 0
    restarts: int = 0
    live: str = ""


def play(count: int, seed: int, folder: Path, hub: RunningHub) -> Outcome:
    """Let some writers write, take in what they wrote, publish it, and hold everything against what lay there."""
    rng, outcome = random.Random(seed), Outcome()  # noqa: S311 - a schedule, no secret
    world = World(folder, hub.endpoint, validator=PagesValidator())
    kinds = [ALL[n % len(ALL)] for n in range(count)]
    rng.shuffle(kinds)
    try:
        stages = []
        for n, first in enumerate(range(0, count, TOGETHER)):
            stage = _stage(world, folder / "train" / f"cohort-{n:03}", rng, n)
            for number, kind in enumerate(kinds[first : first + TOGETHER], first):
                outcome.kinds[kind.name].writers += 1
                stage.add(number, kind)
            stage.play()
            stages.append(stage)
            sys.stderr.write(f"{min(first + TOGETHER, count)} of {count} have written\n")
        sys.stderr.write("what they wrote is published and read again\n")
        _publish(world, stages)
        _count(world, stages, outcome)
        return outcome
    finally:
        world.close()


def _stage(world: World, root: Path, rng: random.Random, number: int) -> Stage:
    """A root of its own; of four, two give no events, and on two the host's clock jumps."""
    now = Clock(0.0)
    text = config_text(
        world.tmp,
        world.endpoint,
        roots=f"[{{path: {root}, checkpoints: all, adapter: '{{root}}', named: '{{root}}'}}]",
        settle=f"{{quiet: {QUIET:.0f}s, patience: {PATIENCE:.0f}s}}",
        schedule=f"{{scan: {SCAN:.0f}s}}",
        channels="{kept: {rule: manual}}",
    )
    world.host = replace(world.host, config=parse(text, "writers.yaml"), monotonic=now)
    return Stage(root, world.host, world.registry, rng, world.clock, now, events=number % 2 == 0, jumps=number % 4 > 1)


def _publish(world: World, stages: Sequence[Stage]) -> None:
    """Work the line to its end, under a configuration that has every root."""
    roots = ", ".join(f"{{path: {s.root}, checkpoints: all, adapter: '{{root}}', named: '{{root}}'}}" for s in stages)
    text = config_text(world.tmp, world.endpoint, roots=f"[{roots}]", channels="{kept: {rule: manual}}")
    world.host = replace(world.host, config=parse(text, "writers.yaml"), monotonic=world.clock)
    drive(world)


def _count(world: World, stages: Sequence[Stage], outcome: Outcome) -> None:
    """Fill the table, and name what is wrong."""
    for stage in stages:
        outcome.acted, outcome.restarts = outcome.acted + stage.acted, outcome.restarts + stage.restarts
        versions = {v.identity: v for v in world.registry.versions(stage.adapter)}
        outcome.published += sum(v.stage is At.PUBLISHED for v in versions.values())
        outcome.refused += sum(v.stage is At.REJECTED for v in versions.values())
        outcome.faults += [f"{stage.adapter}: version {one[:12]} is torn" for one in sorted(stage.states.torn)]
        for identity, known in stage.states.known.items():
            _judge(identity, known, outcome.kinds[known.kind].counts, outcome.faults)
        hollow = {identity for identity, known in stage.states.known.items() if known.zeros}
        published = {identity for identity, v in versions.items() if v.stage is At.PUBLISHED}
        _audit(world, stage, published, outcome)
        outcome.faults += [
            f"{v.label} is {v.stage}: {v.reason} {v.message}"
            for identity, v in versions.items()
            if v.stage is not At.PUBLISHED and identity not in hollow
        ]


def _judge(identity: str, known: Known, counts: Counter[str], faults: list[str]) -> None:
    counts["versions"] += known.taken is not None
    if partial(known, QUIET):
        counts["partial"] += 1
        faults.append(f"{known.kind}: {identity[:12]} is partial, it had lain so for {known.taken:.2f} s")
    if known.taken is None and known.finished:
        counts["missed" if known.owed else "source_gone"] += 1
        faults += [f"{known.kind}: {identity[:12]} is missed"] if known.owed else []


def _audit(world: World, stage: Stage, published: Iterable[str], outcome: Outcome) -> None:
    """Read the Hub: what was taken lies there once, with the bytes that were written."""
    states = stage.states.known
    wanted = {states[one].weights: f"{states[one].kind} {one[:12]}" for one in published if one in states}
    found = books.audit(world.client, [stage.adapter], wanted)
    outcome.faults += [f"{stage.adapter}: {text}" for text in (*found.lost, *found.wrong)]
    for text in found.duplicated:
        outcome.faults.append(f"{stage.adapter}: {text}")
        outcome.kinds[text.rsplit(" ", 3)[0]].counts["duplicates"] += 1


COLUMNS = ("versions", "partial", "missed", "source_gone", "duplicates")


def table(outcome: Outcome) -> str:
    """The table by kind, with its sum."""
    rows = [(name, tally.writers, tally.counts) for name, tally in outcome.kinds.items() if tally.writers]
    total: Counter[str] = sum((tally.counts for tally in outcome.kinds.values()), Counter())
    rows.append(("all", sum(t.writers for t in outcome.kinds.values()), total))
    lines = [f"{'kind':24}{'writers':>9}" + "".join(f"{column:>13}" for column in COLUMNS)]
    lines += [f"{name:24}{count:>9}" + "".join(f"{counts[c]:>13}" for c in COLUMNS) for name, count, counts in rows]
    return "\n".join(lines)


def main() -> int:
    """Play, print the table and what is wrong; 1 unless it is clean."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", nargs="?", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--no-live", action="store_true", help="leave out the writers beside a real daemon")
    given = parser.parse_args()
    logs.configure("error", "json")
    sys.stdout.write(f"{given.count} writers, seed {given.seed}\n")
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="adapterd-writers-"))
    try:
        with start(folder / "hub", [Account(NAMESPACE, TOKEN)]) as hub:
            outcome = play(given.count, given.seed, folder / "host", hub)
            if not given.no_live:
                known, faults = live_writers.play(ALL, given.seed, folder / "live", hub)
                outcome.faults += faults
                outcome.live = (
                    f"beside a real daemon {len(ALL)} more: {sum(k.taken is not None for k in known.values())}"
                )
                outcome.live += f" versions, {len(faults)} faults\n"
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sys.stdout.write(f"{table(outcome)}\n")
    sys.stdout.write(
        f"{outcome.published} published, {outcome.refused} refused, {outcome.acted} times a writer acted within a look,"
        f" {outcome.restarts} restarts, {time.monotonic() - began:.0f} s\n"
    )
    sys.stdout.write(outcome.live)
    sys.stdout.writelines(f"{fault}\n" for fault in outcome.faults[:50])
    return 1 if outcome.faults else 0


if __name__ == "__main__":
    sys.exit(main())
