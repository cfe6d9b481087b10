"""Kill, or fail, every mutating system call of one start and one publish, one after another: `make sweep`.

`python -m durability.sweep [--each K] [--most N] [--jobs J]`. Each place is a life of its own: begin anew, live with
one call injected, live again without, audit. Exit 1 unless nothing is lost, duplicated or wrong; 2 without strace.
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from durability import injection, lives
from durability.injection import FILES, NETWORK, Spot
from durability.lives import Place
from durability.processes import HubProcess

KINDS = {"killed": "signal=SIGKILL", "ENOSPC": "error=ENOSPC", "EIO": "error=EIO", "full": "error=ENOSPC"}
"""What is injected. The first three come once; a disk that is `full` is so from that call on."""
SCENES: dict[str, Callable[[Place], str]] = {"publish": lives.publish, "start": lives.start}
THINNED = {"full": 5, "start": 4}
"""Unless all are asked for, every so-manieth place only: a full disk covers the places after it, and most of a start is
one transaction of SQLite's."""
GROWING = ("write", "pwrite64", "openat", "mkdir", "mkdirat", "ftruncate", "fallocate", "fsync", "fdatasync", "rename")
"""What a full disk refuses."""


@dataclass(frozen=True, slots=True)
class Case:
    """One place and what is injected there."""

    scene: str
    kind: str
    spot: Spot

    def __str__(self) -> str:
        """As `--only` takes it."""
        return f"{self.scene}/{self.kind}/{self.spot.call}/{self.spot.number}"


@dataclass(frozen=True, slots=True)
class Result:
    """What became of it. `ended` is how the injected life ended, `said` what is not as it should be."""

    case: Case
    ended: str
    reached: bool
    asked: bool
    lost: int
    duplicated: int
    wrong: int
    said: tuple[str, ...]


class Sweeper:
    """One after another, in a folder of its own."""

    def __init__(self, home: Path, endpoint: str) -> None:
        """Make the folder's host."""
        self.home = home
        self.endpoint = endpoint
        self.log = home / "log"
        home.mkdir(parents=True)
        self._count = 0
        place = self._place()
        self._apart(place.prepare)

    def _place(self) -> Place:
        self._count += 1
        return Place(self.home, self.endpoint, f"{self.home.name}-{self._count}")

    def _apart(self, work: Callable[[], object]) -> object:
        return injection.apart(work, self.log).value

    def cases(self, scenes: Sequence[str]) -> list[Case]:
        """Every place there is, by recording each scene once."""
        found: list[Case] = []
        for scene in scenes:
            work = SCENES[scene]
            place = self._place()
            place.renew(used=scene == "publish")
            out = self.home / "record"
            ended = injection.apart(lambda: work(place), self.log, injection.recording(FILES + NETWORK), out)  # noqa: B023 - called at once
            assert ended.value in ("done", "started"), f"{scene} ended with {ended.value}; see {self.log}"
            spots = injection.spots(out)
            for kind in KINDS:
                suited = {"killed": FILES + NETWORK, "full": GROWING}.get(kind, FILES)
                found += [Case(scene, kind, spot) for spot in spots if spot.call in suited]
        return found

    def live(self, case: Case) -> Result:
        """One life with one call injected, another without, and the audit."""
        place, out = self._place(), self.home / "trace"
        place.renew(used=case.scene == "publish")
        what = injection.injecting(case.spot, KINDS[case.kind], onwards=case.kind == "full")
        first = injection.apart(lambda: SCENES[case.scene](place), self.log, what, out)
        ended = "killed" if first.signal else str(first.value or "a traceback")
        second = str(self._apart(lambda: lives.publish(place)))
        asked = second != "done"
        if asked:
            third = str(self._apart(lambda: lives.retry(place)))
        found = self._apart(lambda: lives.audit(place))
        assert isinstance(found, dict), f"no audit of {case}:\n{self.log.read_text()[-3000:]}"
        said = [line for lines in found.values() for line in lines]
        if ended == "a traceback" or ended.startswith("stalled bug"):
            said.append("an error that nobody foresaw")
        if asked and case.kind == "killed":
            said.append(f"a kill left what a person must set going: {second}")
        if asked and third != "done":
            said.append(f"not done after retry: {third}")
        lost, duplicated, wrong = (len(found[name]) for name in ("lost", "duplicated", "wrong"))
        return Result(case, ended, first.injected, asked, lost, duplicated, wrong, tuple(said))


def _shared(home: Path, endpoint: str, cases: Sequence[Case], jobs: int, tell: Callable[[int], None]) -> list[Result]:
    """Sweep in several processes; each writes its results to a file."""
    pids = []
    for job in range(jobs):
        if (pid := os.fork()) == 0:
            code = 1
            try:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                sweeper = Sweeper(home / f"job{job}", endpoint)
                with (home / f"results{job}").open("w") as out:
                    for number, case in enumerate(cases[job::jobs], start=1):
                        out.write(json.dumps(asdict(sweeper.live(case))) + "\n")
                        out.flush()
                        if job == 0:
                            tell(number * jobs)
                code = 0
            except BaseException:  # noqa: BLE001 - shown, and counted by the parent
                sys.excepthook(*sys.exc_info())
            finally:
                os._exit(code)
        pids.append(pid)
    try:
        ends = [os.waitpid(pid, 0)[1] for pid in pids]
    except SystemExit:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        raise
    assert not any(ends), "a sweeping process ended early"
    return [_result(line) for job in range(jobs) for line in (home / f"results{job}").read_text().splitlines()]


def _result(line: str) -> Result:
    found = json.loads(line)
    case = found["case"]
    made = Case(case["scene"], case["kind"], Spot(**case["spot"]))
    return Result(**{**found, "case": made, "said": tuple(found["said"])})


def _thinned(cases: Sequence[Case], each: int, most: int, *, all_: bool) -> list[Case]:
    """Every `each`-th place of every kind, and of those at most so many, evenly spread; the same ones each time."""
    kept: list[Case] = []
    for scene in SCENES:
        for kind in KINDS:
            suited = [case for case in cases if (case.scene, case.kind) == (scene, kind)]
            suited = suited[:: each * (1 if all_ else THINNED.get(kind, 1) * THINNED.get(scene, 1))]
            stride = max(1, -(-len(suited) // most)) if most else 1
            kept += suited[::stride]
    return kept


def main(arguments: Sequence[str]) -> int:
    """Sweep, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=1, help="only every K-th place")
    parser.add_argument("--most", type=int, default=0, help="at most so many places of each kind and scene")
    parser.add_argument("--scene", choices=SCENES, action="append", help="only this scene")
    parser.add_argument("--only", nargs="*", help="these places: SCENE/KIND/CALL/NUMBER")
    parser.add_argument(
        "--all", action="store_true", help="every place of the start, and a full disk from every place on, too"
    )
    parser.add_argument("--jobs", type=int, default=2, help="how many at a time")
    parser.add_argument("--keep", type=Path, help="work in this folder, and leave it for a look")
    given = parser.parse_args(arguments)
    if why := injection.missing():
        sys.stderr.write(f"system calls cannot be injected: {why}\n")
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that nothing is left running
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"  # compiling is no part of a start, and happens only once
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="adapterd-sweep-") as made:
        home = given.keep or Path(made)
        home.mkdir(parents=True, exist_ok=True)
        hub = HubProcess(home / "hub")
        try:
            hub.start()
            every = Sweeper(home / "record", hub.endpoint).cases(given.scene or list(SCENES))
            cases = _thinned(every, given.each, given.most, all_=given.all)
            if given.only:
                cases = [case for case in every if str(case) in given.only]
            random.Random(1).shuffle(cases)  # noqa: S311 - so that a sweep that is cut short saw something of everything

            def tell(number: int) -> None:
                if number % 100 == 0:
                    sys.stderr.write(f"{number} of {len(cases)} places, {time.monotonic() - began:.0f} s\n")

            results = _shared(home, hub.endpoint, cases, given.jobs, tell)
        finally:
            hub.end()
        sys.stdout.write(_table(every, results))
        sys.stdout.write(f"{round(time.monotonic() - began)} seconds\n")
        if given.keep:
            (home / "results.json").write_text(json.dumps([asdict(r) for r in results], indent=1))
    return 1 if any(r.said for r in results) else 0


def _table(every: Sequence[Case], results: Sequence[Result]) -> str:
    """A row for each kind in each scene, then one for each call, then what is not as it should be."""
    row = "{:<10}{:<18}{:>8}{:>8}{:>10}{:>10}{:>7}{:>12}{:>7}\n".format
    lines = [row("scene", "injected", "places", "swept", "by itself", "by retry", "lost", "duplicated", "wrong")]
    groups = [(scene, kind, "") for scene in SCENES for kind in KINDS if any(c.scene == scene for c in every)]
    groups += sorted({(r.case.scene, r.case.kind, r.case.spot.call) for r in results})
    for scene, kind, call in groups:
        there = [c for c in every if (c.scene, c.kind) == (scene, kind) and call in ("", c.spot.call)]
        mine = [r for r in results if (r.case.scene, r.case.kind) == (scene, kind) and call in ("", r.case.spot.call)]
        whole = [r for r in mine if not r.said]
        asked = sum(r.asked for r in whole)
        counts = [sum(getattr(r, name) for r in mine) for name in ("lost", "duplicated", "wrong")]
        lines.append(row(scene, f"{kind} {call}", len(there), len(mine), len(whole) - asked, asked, *counts))
    missed = Counter(r.case.kind for r in results if not r.reached)
    lines += [f"{count} lives ended before their place: {kind}\n" for kind, count in missed.items()]
    lines += [f"! {r.case} ({r.ended[:160]}): {line}\n" for r in results for line in r.said]
    return "".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
