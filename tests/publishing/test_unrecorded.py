"""The registry cannot take down what came of a step, as its disk is full: nothing waits for a lease to run out."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from adapterd.core.version import Stage
from adapterd.health import Health
from adapterd.lanes import Steps
from adapterd.ports import Registry, Transient
from adapterd.reconcile import LINE
from helpers.hosts import World
from publishing.conftest import stage


@dataclass
class FullDisk:
    """A registry that reads and leases, and takes nothing down while its disk is full."""

    registry: Registry
    full: bool = False

    def __getattr__(self, name: str) -> object:
        """Give what the registry has; what would grow it fails."""
        if self.full and name in ("advance", "wait", "stall", "release"):
            raise Transient("the registry cannot grow: the disk is full")
        return getattr(self.registry, name)


@pytest.mark.parametrize("turns", [1, 3], ids=["for a moment", "for some turns"])
def test_an_outcome_that_was_not_recorded_holds_nothing_up(
    make_world: Callable[..., World], adapter: str, turns: int
) -> None:
    """Once there is room the version goes on at the next turn, at the same time of day, and is validated once more."""
    disks: list[FullDisk] = []

    def wrap(registry: Registry) -> FullDisk:
        disks.append(FullDisk(registry))
        return disks[-1]

    world = make_world(wrap_registry=wrap)
    version = stage(world, adapter, 1)
    lane = Steps(lambda: world.host, Health("", world.publisher, 0.0, world.clock), LINE[0])
    disks[-1].full = True
    for _ in range(turns):
        with pytest.raises(Transient, match="disk is full"):
            lane.turn()
    disks[-1].full = False
    lane.turn()
    found = world.registry.version(version.id)
    assert found is not None
    assert found.stage is Stage.VALIDATED
    assert len(world.validator.asked) == 2
