"""Daemon, worker and Hub are killed while adapters are written; nothing is lost, nothing is published twice."""

import random
from pathlib import Path

from durability import wares
from durability.ground import Ground
from durability.killing import Killer


def test_whatever_is_killed_every_version_is_published_once_and_whole(tmp_path: Path) -> None:
    """Hub, worker and daemon die, then everything is held against what was written; a second daemon is refused."""
    wares.make_base(tmp_path / "base")
    with Ground(tmp_path, seed=3, backlog=3, pace=3.0) as ground:
        ground.begin()
        killer = Killer(ground, random.Random(3))  # noqa: S311 - test data
        for kind in ("hub", "worker", "daemon"):
            killer.kill(kind)
        assert ground.second_daemon()
        ground.drain()
        found = ground.audit()
    assert dict(killer.kills) == {"hub": 1, "worker": 1, "daemon": 1}
    assert found.books.clean, found.books
    assert found.books.versions > 0
    assert (found.differences, ground.complaints) == ((), [])
