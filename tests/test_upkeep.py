"""Chores are done when they are asked for, one after the other, and none of them holds up another."""

import time
from collections.abc import Callable
from pathlib import Path

from adapterd.core.errors import AdapterdError
from adapterd.health import Health
from adapterd.steps.host import Host
from adapterd.upkeep import Upkeep
from helpers.hosts import World


def _upkeep(world: World, **chores: Callable[[Host, Health], None]) -> tuple[Upkeep, Health]:
    health = Health("1", "publisher", 0.0, time.monotonic)
    return Upkeep(lambda: world.host, health, chores), health


def test_a_chore_is_done_once_however_often_it_was_asked_for(tmp_path: Path) -> None:
    """What nobody asked for stays undone, and a second turn does nothing again."""
    done: list[str] = []
    world = World(tmp_path, "http://127.0.0.1:9")
    upkeep, _ = _upkeep(world, sweep=lambda _host, _health: done.append("sweep"), dust=lambda *_: done.append("dust"))
    upkeep.ask("sweep")
    upkeep.ask("sweep")
    upkeep.turn()
    upkeep.turn()
    world.close()
    assert done == ["sweep"]


def test_a_chore_that_fails_is_a_problem_until_it_succeeds_and_the_next_one_is_done(tmp_path: Path) -> None:
    """The operator sees what happened to what, and the other chores go on."""
    faults = [AdapterdError("the broom broke", "buy another")]
    done: list[str] = []

    def sweep(_host: Host, _health: Health) -> None:
        if faults:
            raise faults.pop()

    world = World(tmp_path, "http://127.0.0.1:9")
    upkeep, health = _upkeep(world, sweep=sweep, dust=lambda *_: done.append("dust"))
    upkeep.ask("sweep")
    upkeep.ask("dust")
    upkeep.turn()
    assert health.problems == {"sweep_failed": ("the broom broke", "buy another")}
    assert done == ["dust"]
    upkeep.ask("sweep")
    upkeep.turn()
    world.close()
    assert health.problems == {}
