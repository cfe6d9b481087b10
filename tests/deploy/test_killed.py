"""A pull that is killed anywhere leaves whole versions behind it, and the next one ends what it began."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from adapterd.core.naming import parse_reference
from adapterd.deploy import Layout, Shelf, bring, verify

if TYPE_CHECKING:
    from deploy.conftest import Repo

STEP = int(os.environ.get("KILL_STEP", "31"))
"""Every so many touches of the file system a pull is killed, beginning with another for each case; 1 is each."""

Run = Callable[..., int]


@pytest.fixture(scope="module")
def pulled(published: "Repo") -> Iterator[Run]:
    """Pull in a process that kills itself; how it ended."""
    command = [sys.executable, str(Path(__file__).with_name("killed.py"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        orders, ends = process.stdin, process.stdout

        def run(shelf: Shelf, at: str, touches: int, keep: int) -> int:
            order = {
                "endpoint": published.hub.endpoint,
                "token": "hf_" + "a" * 34,
                "adapter": f"{published.adapter}{at}",
                "directory": str(shelf.directory),
                "layout": str(shelf.layout),
                "touches": touches,
                "keep": keep,
            }
            orders.write(json.dumps(order) + "\n")
            orders.flush()
            return int(ends.readline())

        yield run
        orders.close()


@pytest.mark.parametrize("keep", [0, 1])
@pytest.mark.parametrize("layout", list(Layout))
def test_a_pull_that_is_killed_anywhere_is_ended_by_the_next(
    published: "Repo", pulled: Run, tmp_path: Path, layout: Layout, keep: int
) -> None:
    """While v2 comes beside v1, or in its place, all that is seen is whole; then v2 comes, and nothing is left."""
    ended, touches = -9, 1 + (list(Layout).index(layout) * 10 + keep * 5) % STEP
    while ended == -9:
        shelf = Shelf(tmp_path / str(touches) / "it", layout)
        bring(published.hub, parse_reference(f"{published.adapter}@v1"), shelf, lambda _: None, now=1.0)
        ended = pulled(shelf, "@v2", touches, keep)
        assert ended in (-9, 0), touches
        found = verify(None, shelf.directory)
        assert not [problem for each in found for problem in each.problems], touches
        assert pulled(shelf, "@v2", 0, keep) == 0
        assert {held.number for held in shelf.there().values()} == ({1, 2} if keep else {2}), touches
        assert not any(held.altered for held in shelf.there().values())
        left = {path.name.partition("-")[0] for path in shelf.room.path.iterdir()}
        assert left <= {"lock", "record.json", "manifests", "acme"}, touches
        touches += STEP
    assert touches > 40
