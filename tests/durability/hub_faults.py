"""Every fault of the Hub, one after the other: ``python -m durability.hub_faults [WORD]``.

Real publishers with the real client publish versions through each fault of the embedded Hub, and deployers take one.
Waiting passes on an injected clock; what hangs, hangs in real seconds. It ends with 1 unless every version was
published by itself or, where a person must act, stalled with its hint and was published after that: once, and with the
right bytes.
"""

import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from adapterd import log
from durability.hub_cases import CASES, TAKING
from durability.hub_runs import Bench, Run, Taken, bench, publish, take, version_to_take


def main(words: Sequence[str]) -> int:
    """Run the cases with a word in their name, or all; print both tables."""
    began = time.monotonic()
    log.configure("critical")
    with tempfile.TemporaryDirectory() as folder, bench(Path(folder)) as here:
        runs = [_said(publish(here, case)) for case in CASES if _wanted(case.name, words)]
        taken = _taken(here, words)
    versions = sum(run.versions for run in runs)
    by_themselves = sum(run.published for run in runs)
    counts = {
        "lost": sum(len(run.lost) for run in runs),
        "duplicated": sum(len(run.duplicated) for run in runs),
        "wrong": sum(len(run.wrong) for run in runs) + sum(len(each.wrong) for each in taken),
        "tokens to other hosts": sum(run.leaked for run in runs),
    }
    bad: list[Run | Taken] = [run for run in runs if not run.good]
    bad += [each for each in taken if not each.good]
    ended = ", ".join(f"{name} {count}" for name, count in counts.items())
    _say(
        f"\n{len(runs)} faults, {versions} versions: {by_themselves} published by themselves,"
        f" {versions - by_themselves} after a person acted; {ended}; {len(taken)} faults of taking,"
        f" {sum(each.taken for each in taken)} taken; {time.monotonic() - began:.0f} s"
    )
    for each in bad:
        _say(f"NOT AS IT MUST BE: {each}")
    return 1 if bad else 0


def _taken(here: Bench, words: Sequence[str]) -> list[Taken]:
    cases = [case for case in TAKING if _wanted(case.name, words)]
    if not cases:
        return []
    adapter = version_to_take(here)
    _say(f"\n{'fault of a download':42} {'struck':>6} {'tries':>5} {'taken':>5} {'wrong':>5}")
    found = []
    for case in cases:
        each = take(here, case, adapter)
        found.append(each)
        _say(f"{case.name:42} {each.struck:6} {each.tries:5} {'yes' if each.taken else 'NO':>5} {len(each.wrong):5}")
    return found


def _said(run: Run) -> Run:
    if not _said_head:
        _said_head.append(True)
        _say(
            f"{'fault of the Hub':42} {'struck':>6} {'tries':>5} {'published':>9} {'stalled':>27}"
            f" {'twice':>5} {'wrong':>5} {'lasted':>8} {'recovered':>9}"
        )
    stalled = f"{len(run.stalled)} {run.stalled[0]}, then out" if run.stalled else "0"
    _say(
        f"{run.case.name:42} {run.struck:6} {run.tries:5} {run.published:5} of {run.versions} {stalled:>27}"
        f" {len(run.duplicated):5} {len(run.wrong):5} {run.lasted:6.0f} s {run.recovered:7.0f} s"
    )
    return run


_said_head: list[bool] = []


def _wanted(name: str, words: Sequence[str]) -> bool:
    return all(word in name for word in words)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
