"""Channels that ask for more than their rule: a metric, time elsewhere, nobody's hold."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from adapterd import ruling
from adapterd.core import messages, standing
from adapterd.core import publication as pub
from adapterd.core.standing import Said
from adapterd.core.version import AdapterVersion
from adapterd.health import Health
from adapterd.lanes import Exports
from adapterd.ports import AddBytes, ChannelRecord
from adapterd.steps import promote
from adapterd.steps import standing as documents
from helpers.hosts import World
from publishing.conftest import stage
from publishing.lines import drive

HOUR = 3600.0


@pytest.fixture
def ruled(make_world: Callable[..., World]) -> Callable[[str], World]:
    """Make a publisher with these channels."""
    return lambda channels: make_world(extra={"channels": channels})


def publish(world: World, adapter: str, seed: int, loss: float) -> AdapterVersion:
    """Publish a final save of which this loss is measured."""
    numbers = {**world.validator.result.measurements, "loss_adapter": loss}
    world.validator.result = replace(world.validator.result, measurements=numbers)
    version = stage(world, adapter, seed)
    drive(world)
    return world.registry.version(version.id) or version


def holds(world: World, adapter: str) -> dict[str, int | None]:
    """What each channel holds."""
    return {record.channel: record.number for record in world.registry.channels(adapter)}


def backs(world: World) -> list[tuple[str, int | None, str]]:
    """What is held back from which channel, and why."""
    found = ruling.wanting(world.registry, world.host.config, world.clock())
    return [(w.record.channel, back.version.number, back.reason.code) for w in found for back in w.back]


def test_a_version_with_a_worse_loss_is_published_and_goes_nowhere(ruled: Callable[[str], World], adapter: str) -> None:
    """It has its tag; the channel stays until a version is not worse, and nothing counts as an attempt."""
    world = ruled("{main: {rule: finals, metric: loss_adapter, tolerance: 0.05}, all: {rule: finals}}")
    publish(world, adapter, 1, 2.0)
    worse = publish(world, adapter, 2, 2.1)
    assert holds(world, adapter) == {"all": 2, "main": 1}
    assert backs(world) == [("main", 2, "channel_gated")]
    assert world.client.refs(adapter).tags["v2"] == worse.commit
    assert all(not record.reason and not record.attempts for record in world.registry.channels(adapter))
    publish(world, adapter, 3, 2.04)
    assert holds(world, adapter) == {"all": 3, "main": 3}
    assert backs(world) == []


def test_a_channel_that_was_moved_by_hand_is_compared_anew(ruled: Callable[[str], World], adapter: str) -> None:
    """Somebody put a better version there on the Hub: what was compared with the former one does not replace it."""
    world = ruled("{main: {rule: finals, metric: loss_adapter}}")
    publish(world, adapter, 1, 2.0)
    two = publish(world, adapter, 2, 2.5)
    held = world.registry.channels(adapter)[0]
    publish(world, adapter, 3, 3.0)
    client = world.client
    said = messages.Trailers(two.identity, 2, "somebody", "main")
    message = messages.with_trailers("main -> v2", "By hand.", said)
    moved = client.commit(
        adapter,
        "main",
        held.commit,
        [
            AddBytes(p, client.read(adapter, two.commit or "", p))
            for p in client.tree(adapter, two.commit or "")
            if p != ".gitattributes"
        ],
        message,
    )
    version = world.registry.find(adapter, number=3)
    assert version is not None
    done = promote.promote(world.host, held, version, 0.5)
    assert (done.number, done.commit, done.reason) == (2, moved, "")
    assert client.refs(adapter).branches["main"] == moved


def test_a_version_soaks_in_another_channel_and_is_promoted_when_its_time_is_over(
    ruled: Callable[[str], World], adapter: str
) -> None:
    """The clock alone moves it on, also over a restart; the lane knows when to look."""
    world = ruled("{canary: {rule: finals}, main: {rule: finals, soak_in: canary, soak_for: 24h}}")
    publish(world, adapter, 1, 2.0)
    assert holds(world, adapter) == {"canary": 1}
    assert backs(world) == [("main", 1, "channel_soaking")]
    ((_, back),) = promote.held_back(world.host)
    until = back.until or 0.0
    world.clock.now += 23 * HOUR
    world.registry.close()
    world.reopen()
    drive(world)
    assert holds(world, adapter) == {"canary": 1}
    health = Health("1", "p", 0.0, world.clock)
    exports = Exports(lambda: world.host, health)
    exports.turn()
    assert 0.0 < exports.turn() <= until - world.clock()
    world.clock.now = until
    exports.turn()
    assert holds(world, adapter) == {"canary": 1, "main": 1}
    assert promote.held_back(world.host) == []


def test_a_version_that_is_replaced_before_its_time_never_arrives(ruled: Callable[[str], World], adapter: str) -> None:
    """The newer one begins anew; the older one was not there for long enough, and stays behind."""
    world = ruled("{canary: {rule: finals}, main: {rule: finals, soak_in: canary, soak_for: 24h}}")
    publish(world, adapter, 1, 2.0)
    world.clock.now += 20 * HOUR
    publish(world, adapter, 2, 2.0)
    world.clock.now += 20 * HOUR
    drive(world)
    assert holds(world, adapter) == {"canary": 2}
    assert backs(world) == [("main", 2, "channel_soaking"), ("main", 1, "channel_soaking")]
    world.clock.now += 5 * HOUR
    drive(world)
    assert holds(world, adapter) == {"canary": 2, "main": 2}


def test_a_registry_that_never_noted_when_a_channel_was_moved_begins_to_count(
    ruled: Callable[[str], World], adapter: str
) -> None:
    """What another channel held before histories told it has soaked since it was seen to, not since ever."""
    world = ruled("{canary: {rule: manual}, main: {rule: finals, soak_in: canary, soak_for: 24h}}")
    version = publish(world, adapter, 1, 2.0)
    record = ChannelRecord(adapter, "canary", None, version.commit or "", 1)
    world.registry.save_channel(record)
    with world.registry._write() as conn:  # noqa: SLF001 - as a registry of before has it
        conn.exec_driver_sql("UPDATE channels SET number = 1 WHERE channel = 'canary'")
    world.clock.now += 100 * HOUR
    drive(world)
    assert backs(world) == [("main", 1, "channel_soaking")]
    world.clock.now += 24 * HOUR
    drive(world)
    assert holds(world, adapter)["main"] == 1


def test_a_held_channel_says_what_it_would_take(ruled: Callable[[str], World], adapter: str) -> None:
    """A hold on the Hub is seen at the next publish; release lets the same version go there."""
    world = ruled("{main: {rule: finals}}")
    publish(world, adapter, 1, 2.0)
    said = Said("ana", "a customer complains", 1.0)
    documents.change(world.host, adapter, lambda d: standing.with_hold(d, "main", said), "hold main")
    publish(world, adapter, 2, 2.0)
    assert holds(world, adapter) == {"main": 1}
    assert backs(world) == [("main", 2, "channel_held")]
    documents.change(world.host, adapter, lambda d: standing.without_hold(d, "main"), "release main")
    drive(world)
    assert holds(world, adapter) == {"main": 2}


def test_without_terms_channels_are_as_they_were(world: World, adapter: str) -> None:
    """The default channels take each final, whatever was measured."""
    publish(world, adapter, 1, 2.0)
    publish(world, adapter, 2, 5.0)
    assert holds(world, adapter) == {"main": 2}
    assert json.loads(world.client.read(adapter, "main", pub.MANIFEST))["number"] == 2


def test_the_last_checkpoint_of_a_run_without_a_final_save(ruled: Callable[[str], World], adapter: str) -> None:
    """A channel of candidates takes it once its run is known to have ended, and no other checkpoint."""
    world = ruled("{main: {rule: candidates}}")
    last = [stage(world, adapter, seed, step=10) for seed in (1, 2)][-1]
    drive(world)
    assert list(ruling.wanting(world.registry, world.host.config, world.clock())) == []
    (seen,) = [o for o in world.registry.observations() if o.version == last.id]
    world.registry.observe([replace(seen, state="unfinished", reason="unfinished")])
    drive(world)
    assert holds(world, adapter) == {"main": 2}
    assert list(ruling.wanting(world.registry, world.host.config, world.clock(), adapter)) == []
