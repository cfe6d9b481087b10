"""Two deployers, a promoter and a reader race, each a process of its own: whoever looks finds a whole version."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from adapterd import moving
from adapterd.cli.exits import Exit
from adapterd.core.naming import parse_reference
from adapterd.deploy import Layout, Shelf, bring, resolve
from adapterd.hub.client import HubClient
from adapterd.ports import Transient
from moving.series import SAID, Series

TIMES = int(os.environ.get("RACE_TIMES", "3"))
"""How often each deployer pulls what it was told, and the channel after it."""

PLACES = {Layout.PLAIN: ".", Layout.VLLM: "support"}
"""Where a reader looks."""


@pytest.fixture
def racer(shell: dict[str, str]) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Start a process that waits for its go."""
    with ExitStack() as stack:

        def start(**order: Any) -> "subprocess.Popen[str]":  # noqa: ANN401 - what racing.py reads
            command = [sys.executable, str(Path(__file__).with_name("racing.py")), json.dumps(order)]
            pipe = subprocess.PIPE
            process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=shell)
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield start


def go(process: "subprocess.Popen[str]") -> None:
    """Let it run, or let a reader come to its end."""
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def ready(processes: Sequence["subprocess.Popen[str]"]) -> None:
    """Wait until each of them could begin."""
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"


def found(process: "subprocess.Popen[str]") -> tuple[Mapping[str, Any], str]:
    """What it found, and what it said."""
    said, errors = process.communicate()
    return json.loads(said or "{}"), errors


@pytest.mark.parametrize(("layout", "keep"), [(Layout.PLAIN, 3), (Layout.VLLM, 0)])
def test_whoever_looks_during_a_race_finds_a_whole_version(
    hub: HubClient, racer: Callable[..., "subprocess.Popen[str]"], tmp_path: Path, layout: Layout, keep: int
) -> None:
    """Whatever channel and directory go through, each pull ends well or is to be asked for again, and the last rests.

    Only where no former version is kept may a reader lose the folder that it opened before the switch.
    """
    series = Series(hub, 3, large=False)
    name = series.adapter
    shelf = Shelf(tmp_path / "it", layout)
    more = ["--layout", str(layout), "--keep", str(keep)]
    more += ["--link", PLACES[layout]] if layout is Layout.VLLM else []
    pulls = [
        [["pull", f"{name}@{at}", str(shelf.directory), *more] for _ in range(TIMES) for at in order]
        for order in (("v2", "main"), ("v3", "main"))
    ]
    moves = [["promote", f"{name}@v{1 + turn % 3}", "--to", "main"] for turn in range(TIMES)]
    moves[TIMES // 2] = ["rollback", name, "--to", "v1"]
    moving.promote(hub, name, 1, "main", SAID)
    first = bring(hub, parse_reference(f"{name}@v1"), shelf, lambda _: None, now=1.0).held
    if layout is Layout.VLLM:
        shelf.link(PLACES[layout], first.serving_name)
    typing = [racer(commands=moves), *(racer(commands=each) for each in pulls)]
    reader = racer(place=str(shelf.directory / PLACES[layout]), shelf=str(shelf.directory))
    ready([*typing, reader])
    for process in (reader, *typing):
        go(process)
    for process, allowed in zip(typing, ({Exit.DONE}, *[{Exit.DONE, Exit.WAITING}] * 2), strict=True):
        ends, errors = found(process)
        assert {int(end) for end in ends} <= allowed, errors
        assert "0" in ends, errors
    go(reader)
    read, errors = found(reader)
    assert read["wrong"] == [], errors
    assert {number for number in read["seen"] if number != "0"} <= {"1", "2", "3"}
    assert keep < 3 or "0" not in read["seen"]
    assert not any(held.altered for held in shelf.there().values())


@pytest.mark.parametrize("layout", PLACES)
def test_two_who_take_turns_are_never_told_that_it_was_altered(hub: HubClient, tmp_path: Path, layout: Layout) -> None:
    """What another pull switches, links or tidies away while one looks is no fault of what lies there."""
    series, shelf = Series(hub, 3, large=False), Shelf(tmp_path / "it", layout)
    versions = [resolve(hub, parse_reference(f"{series.adapter}@v{number}")) for number in (1, 2, 3)]
    link = PLACES[layout] if layout is Layout.VLLM else ""
    keep, times = (3, 60) if layout is Layout.PLAIN else (0, 10)
    for version in versions:
        shelf.put(hub, version, lambda _: None)
    wrong: list[Exception] = []

    def run(step: int) -> None:
        for turn in range(times):
            version = versions[turn * step % 3]
            try:
                shelf.put(hub, version, lambda _: None, link=link)
                shelf.tidy(keep, but=[version.serving_name])
            except Transient:
                continue  # the other downloads the same
            except Exception as error:  # noqa: BLE001 - whatever it is
                wrong.append(error)

    threads = [Thread(target=run, args=(step,)) for step in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert not any(held.altered for held in shelf.there().values())
