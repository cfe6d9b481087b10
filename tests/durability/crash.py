"""Kill the real daemon, its worker and the real Hub while adapters are written, then audit everything: `make crash`.

`python -m durability.crash N [--seed SEED]`. Exit 1 unless nothing is lost, duplicated or wrong.
"""

import argparse
import random
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

from durability import wares
from durability.ground import Ground
from durability.killing import KINDS, Killer

USUAL = 200


def main(arguments: Sequence[str]) -> int:
    """Run, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kills", nargs="?", type=int, default=USUAL)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="work in this folder, and leave it for a look")
    given = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that nothing is left running
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="adapterd-crash-") as made:
        home = given.keep or Path(made)
        home.mkdir(parents=True, exist_ok=True)
        wares.make_base(home / "base")
        with Ground(home, given.seed) as ground:
            ground.begin()
            killer = Killer(ground, random.Random(given.seed))  # noqa: S311 - test data
            for number in range(1, given.kills + 1):
                killer.kill()
                if number % 20 == 0:
                    sys.stderr.write(f"{number} kills, {ground.progress()}, {time.monotonic() - began:.0f} s\n")
            refused = ground.second_daemon()
            ground.drain()
            found = ground.audit()
    rows: list[tuple[str, object]] = [(f"killed: {kind}", killer.kills[kind]) for kind in KINDS]
    rows += [(f"  at {moment}", count) for moment, count in sorted(killer.moments.items())]
    rows += [
        ("directories written", found.written),
        ("of these broken on purpose", found.broken),
        ("versions on the Hub", found.books.versions),
        ("set going by a person after two dead workers", ground.retried),
        ("a second daemon was refused", "yes" if refused else "no"),
        ("lost", len(found.books.lost)),
        ("duplicated", len(found.books.duplicated)),
        ("wrong bytes", len(found.books.wrong)),
        ("registry, index, channels, spool, logs that differ", len(found.differences)),
        ("stalled or ended without cause", len(ground.complaints)),
        ("seconds", round(time.monotonic() - began)),
    ]
    for name, value in rows:
        sys.stdout.write(f"{name:<52}{value:>8}\n")
    said = [*found.books.lost, *found.books.duplicated, *found.books.wrong, *found.differences, *ground.complaints]
    for line in said:
        sys.stdout.write(f"! {line}\n")
    return 0 if refused and not said else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
