"""Figure: time from the wake-up of a finished directory to the tag on the Hub, against the same work by hand."""

import os
import re
import statistics
import tempfile
import time
import warnings
from collections.abc import Iterable
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import torch
from huggingface_hub import HfApi
from transformers import utils

import figures
from by_hand import ByHand
from host import NAMESPACE, TOKEN, Daemon, Host, daemon, hub, until
from material import Trainer, finish, make_base

ROUNDS = 7
LIMIT = 1.3
REALISTIC, SMALL = (768, 12), (256, 6)
"""Width and layers of two bases: one of about 130 million parameters, and one whose passes hide nothing."""
RUN = "support-bench"
PAUSE = 0.7
"""Seconds for which a trainer writes its optimizer, between the adapter and the state file."""
PARTS = {"settle": "version_staged", "validate": "version_moved", "publish": "version_published"}
Parts = dict[str, float]


def main() -> None:
    """Measure with both bases; the goal is about the first."""
    torch.set_num_threads(1)
    utils.logging.disable_progress_bar()
    warnings.simplefilter("ignore")  # of the libraries' own, about themselves
    small, _, _ = measure(*SMALL)
    pairs, cold, memory = measure(*REALISTIC, nicely=True)
    found = _figures(pairs, cold)
    found.append(
        figures.Figure(f"resident memory of the daemon that published these {ROUNDS + 1} versions", f"{memory:.1f} MiB")
    )
    ratio, ours, bare = _medians(small)
    text = f"{ratio:.2f} times ({ours['all']:.2f} s against {bare['all']:.2f} s)"
    found.append(figures.Figure("the same with a base whose passes take next to no time", text))
    figures.hand_over(found)


def measure(hidden: int, layers: int, *, nicely: bool = False) -> tuple[list[tuple[Parts, Parts]], Parts, float]:
    """One cold version of each, then pairs in turn; the daemon's memory in MiB at the end.

    `nicely` gives what is done by hand the worker's low priority, for good.
    """
    with tempfile.TemporaryDirectory(prefix="adapterd-bench-") as folder, hub(Path(folder) / "hub") as endpoint:
        home = Path(folder)
        host = Host(home / "host", endpoint)
        make_base(host.base, hidden=hidden, layers=layers)
        trainer = Trainer(host.base)
        first, api = trainer.write(home / "first", 0), HfApi(endpoint=endpoint, token=TOKEN)
        hand = ByHand(host.base, first, api, f"{NAMESPACE}/by-hand", home)
        with daemon(host) as running:
            until(lambda: _known_root(host), "the root has its baseline", running.process)
            if nicely:
                os.nice(10)  # as the worker does
            cold = _by_adapterd(host, running, trainer, home, 1)
            _by_hand(hand, trainer, home, 1)
            pairs = [
                (_by_hand(hand, trainer, home, number), _by_adapterd(host, running, trainer, home, number))
                for number in range(2, ROUNDS + 2)
            ]
            status = Path(f"/proc/{running.process.pid}/status").read_text()
            memory = int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0]) / 1024
    return pairs, cold, memory


def _medians(pairs: list[tuple[Parts, Parts]]) -> tuple[float, Parts, Parts]:
    """The median of the ratios, and the medians of every part: adapterd's, then those by hand."""
    ratio = statistics.median(ours["all"] / bare["all"] for bare, ours in pairs)
    bare, ours = (
        {part: statistics.median(one[part] for one in column) for part in column[0]}
        for column in zip(*pairs, strict=True)
    )
    return ratio, ours, bare


def _figures(pairs: list[tuple[Parts, Parts]], cold: Parts) -> list[figures.Figure]:
    ratio, ours, bare = _medians(pairs)
    name = "wake-up of a finished directory to its tag, warm, against copy + the same forward passes + commit by hand"
    note = f"{ours['all']:.2f} s against {bare['all']:.2f} s, medians of {len(pairs)} pairs"
    return [
        figures.at_most(name, ratio, LIMIT, "times", note=note),
        figures.Figure("of this, adapterd: settle, validate, publish", _seconds(ours, PARTS)),
        figures.Figure("of this, by hand: copy, passes, publish", _seconds(bare, ("copy", "probe", "publish"))),
        figures.Figure("the first version of all: worker start, base load and hash, new repo", f"{cold['all']:.2f} s"),
    ]


def _seconds(parts: Parts, names: Iterable[str]) -> str:
    return ", ".join(f"{parts[name]:.2f}" for name in names) + " s"


def _known_root(host: Host) -> bool:
    return (host.home / "state" / "registry.db").exists()


def _by_hand(hand: ByHand, trainer: Trainer, home: Path, number: int) -> Parts:
    source = trainer.write(home / f"source-{number}", 1000 + number)
    finish(source, number)
    time.sleep(PAUSE)
    return hand.publish(source, number)


def _by_adapterd(host: Host, running: Daemon, trainer: Trainer, home: Path, number: int) -> Parts:
    """Write a checkpoint into the root; the clock starts when its last file is closed."""
    folder = trainer.write(host.root / RUN / f"checkpoint-{number}", number)
    time.sleep(PAUSE)
    tag = f"repos/*/refs/tags/v{number}"
    finish(folder, number)
    began, wall = time.perf_counter(), time.time()
    until(lambda: any((home / "hub").glob(tag)), f"v{number} is tagged", running.process, pause=0.002)
    whole = time.perf_counter() - began
    until(lambda: len(running.said("version_published")) == number, "it is said", running.process)
    ends = [wall, *(_when(running, event) for event in PARTS.values())]
    return {"all": whole} | {part: end - begin for part, (begin, end) in zip(PARTS, pairwise(ends), strict=True)}


def _when(running: Daemon, event: str) -> float:
    """When the newest line of an event was written."""
    return datetime.fromisoformat(str(running.said(event)[-1]["timestamp"])).timestamp()


if __name__ == "__main__":
    main()
