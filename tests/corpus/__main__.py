"""Print how every variant of the corpus fares: `make faults`. Exit 1 if any is not as it should be."""

import argparse
import sys
import tempfile
import warnings
from pathlib import Path

from corpus.catalogue import FAULTS, GOODS, base_of
from corpus.faults import Grounds
from corpus.judge import judging
from corpus.table import Outcome, Table
from corpus.workshop import Workshop


def main() -> int:
    """Judge everything, or what has a word in its name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("word", nargs="?", default="", help="only variants with this in their class or name")
    word = parser.parse_args().word
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory(prefix="adapterd-corpus-") as home, judging() as judge:
        grounds = Grounds(Workshop.at(Path(home)), judge, GOODS)
        outcomes = [
            Outcome(good, grounds.verdict_on_good(good))
            for good in sorted(GOODS.values(), key=lambda good: good.base)
            if word in f"good {good.name}"
        ]
        outcomes += [
            Outcome(fault, grounds.verdict_on(fault))
            for fault in sorted(FAULTS, key=base_of)
            if word in f"{fault.group} {fault.name}"
        ]
    table = Table.of(outcomes)
    sys.stdout.write(table.text() + "\n")
    return 1 if table.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
