"""A process may die at any side effect of publishing; nothing is lost, nothing is published twice."""

from collections.abc import Callable
from pathlib import Path

from helpers.hosts import World
from publishing.conftest import stage
from publishing.crashing import HUB_EFFECTS, REGISTRY_EFFECTS, Crash, Fuse, Mortal
from publishing.lines import audit, drive


def _mortal_world(make_world: Callable[..., World], name: str, fuse: Fuse) -> World:
    return make_world(
        name,
        wrap_hub=lambda hub: Mortal(hub, HUB_EFFECTS, fuse),
        wrap_registry=lambda registry: Mortal(registry, REGISTRY_EFFECTS, fuse),
    )


def _one_life(make_world: Callable[..., World], adapter: str, name: str, at: int | None) -> Fuse:
    """Publish two versions, die once at the place `at`, start again, and audit."""
    fuse = Fuse(None)
    world = _mortal_world(make_world, name, fuse)
    good = [stage(world, adapter, 1, step=5), stage(world, adapter, 2)]
    fuse.count, fuse.at = 0, at
    fuse.places.clear()
    try:
        drive(world)
    except Crash:
        world.registry.close()
        fuse.at = None
        world.reopen()
        drive(world)
    assert audit([world], adapter, good) == [1, 2]
    (main,) = [c for c in world.registry.channels(adapter) if c.channel == "main"]
    assert main.number == 2
    return fuse


def test_a_crash_before_or_after_any_side_effect_loses_and_duplicates_nothing(
    make_world: Callable[..., World],
) -> None:
    """Two versions and a promotion survive a crash at every place there is, one place per life."""
    places = _one_life(make_world, "acme/crash-none", "whole", None).places
    assert {p.split()[1] for p in places} >= {"create_repo", "create_branch", "commit", "create_tag", "plan", "advance"}
    for at in range(len(places)):
        _one_life(make_world, f"acme/crash-{at}", f"life-{at}", at)


def test_a_second_publisher_that_knows_nothing_of_the_first_loses_and_duplicates_nothing(
    make_world: Callable[..., World], adapter: str
) -> None:
    """Two registries on one repo, adopted by the second: both publish, numbers grow, nothing is stalled."""
    from adapterd import operate  # noqa: PLC0415

    first, second = make_world("a"), make_world("b")
    one = stage(first, adapter, 1)
    drive(first)
    operate.adopt(second.host, adapter, "tester", "two hosts train it")
    two = stage(second, adapter, 2)
    drive(second)
    three = stage(first, adapter, 3)
    drive(first)
    assert audit([first, second], adapter, [one, two, three]) == [1, 2, 3]


def test_the_same_content_from_two_publishers_is_one_version(make_world: Callable[..., World], adapter: str) -> None:
    """The second publisher finds the identity under its tag and adopts its number."""
    from adapterd import operate  # noqa: PLC0415

    first, second = make_world("a"), make_world("b")
    one = stage(first, adapter, 1)
    drive(first)
    operate.adopt(second.host, adapter, "tester", "")
    same = stage(second, adapter, 1)
    drive(second)
    assert audit([first, second], adapter, [one]) == [1]
    found = second.registry.version(same.id)
    assert found is not None
    assert found.number == 1


def test_a_lost_registry_adopts_what_the_hub_holds(world: World, adapter: str, tmp_path: Path) -> None:
    """With the registry gone, the same content staged again gets its old number, and new content the next."""
    one = stage(world, adapter, 1, step=5)
    drive(world)
    world.lose_registry()
    again = stage(world, adapter, 1, step=5)
    two = stage(world, adapter, 2)
    drive(world)
    assert audit([world], adapter, [one, two]) == [1, 2]
    found = world.registry.version(again.id)
    assert found is not None
    assert (found.number, found.stage) == (1, "published")
    assert tmp_path.exists()
