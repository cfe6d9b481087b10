"""Devices that are taken, missing or too small: who waits, for how long, and who needs a person."""

from collections.abc import Callable

import pytest

from adapterd import operate
from adapterd.core.version import AdapterVersion, Stage
from adapterd.ports import DeviceBusy, DeviceTooSmall, NoSuchDevice, WorkerDied
from helpers.hosts import World
from publishing.conftest import stage
from publishing.lines import drive
from publishing.test_refusals import drive_only_validation


def now(world: World, version: AdapterVersion) -> AdapterVersion:
    """The version as it is now."""
    found = world.registry.version(version.id)
    assert found is not None
    return found


def waited(world: World) -> list[float]:
    """How long the version had waited, each time that it was asked about."""
    return [round(request.waited) for request in world.validator.asked]


def test_a_version_tells_the_worker_how_long_it_has_waited(world: World, adapter: str) -> None:
    """Since the device was busy first, also over a restart: so its turn on the next device comes."""
    world.validator.raises = DeviceBusy("no device has room: cuda:0: 7.00 GiB are missing")
    version = stage(world, adapter, 1)
    drive_only_validation(world)
    found = now(world, version)
    assert (found.reason, found.attempts, found.stalled) == ("device_busy", 0, False)
    assert "7.00 GiB are missing" in found.message
    assert 15 <= found.due_at - world.clock.now <= 30
    world.clock.now += 100
    world.reopen()
    drive_only_validation(world)
    assert now(world, version).due_at - world.clock.now > 30
    world.clock.now += 600
    drive_only_validation(world)
    assert waited(world) == [0, 100, 700]
    assert {request.max_wait for request in world.validator.asked} == {900.0}
    assert now(world, version).due_at - world.clock.now <= 200  # the next device's turn is not slept through
    world.validator.raises = None
    drive(world)
    assert now(world, version).stage is Stage.PUBLISHED


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NoSuchDevice("cuda:7: this host has no CUDA device"), "device_missing"),
        (DeviceTooSmall("no device can hold the base model: cpu has 8.00 GiB in all"), "device_too_small"),
    ],
)
def test_what_no_waiting_can_change_stalls_until_retry(error: Exception, code: str, world: World, adapter: str) -> None:
    """A person lists another device; the message says what was found, and patience begins anew."""
    world.validator.raises = error
    version = stage(world, adapter, 1)
    drive(world)
    found = now(world, version)
    assert (found.stage, found.stalled, found.reason) == (Stage.STAGED, True, code)
    assert "adapterd retry" in found.hint
    assert len(world.validator.asked) == 1
    world.validator.raises = None
    operate.retry(world.host, version.label, "tester", "")
    drive(world)
    assert now(world, version).stage is Stage.PUBLISHED
    assert waited(world)[-1] == 0


def test_waiting_for_a_device_does_not_forgive_a_death(make_world: Callable[..., World], adapter: str) -> None:
    """A worker that dies, a busy device, another death: that is the second one, and it stalls."""
    world = make_world()
    dead = WorkerDied("the worker died of SIGSEGV", cause="worker_crashed", log_tail="boom")
    version = stage(world, adapter, 1)
    for error in (dead, DeviceBusy("busy"), dead):
        world.validator.raises = error
        drive_only_validation(world)
        world.clock.now += 900
    found = now(world, version)
    assert (found.stalled, found.reason) == (True, "worker_crashed")
    notes = [event.detail for event in world.registry.events(version.id) if event.kind == "worker_died"]
    assert [note["log_tail"] for note in notes] == ["boom", "boom"]


def test_one_busy_device_does_not_hold_up_what_needs_none(world: World, adapter: str) -> None:
    """The lane goes on with the next version at once."""
    world.validator.raises = DeviceBusy("busy")
    first, second = stage(world, adapter, 1), stage(world, f"{adapter}-b", 2)
    drive_only_validation(world)
    assert {now(world, version).reason for version in (first, second)} == {"device_busy"}
    assert now(world, first).due_at != now(world, second).due_at
