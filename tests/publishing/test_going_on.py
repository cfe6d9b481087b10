"""One thing that goes wrong holds up nothing else, and nothing waits or asks without end."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from adapterd import reconcile
from adapterd.core import messages
from adapterd.core import publication as pub
from adapterd.core.errors import AdapterdError
from adapterd.core.reasons import reason
from adapterd.core.version import AdapterVersion, Stage
from adapterd.health import Health
from adapterd.lanes import Exports
from adapterd.ports import AddBytes, ChannelRecord, Conflict, Denied, Transient, WorkerDied
from adapterd.reconcile import LINE
from adapterd.steps import export, promote
from helpers.hosts import World
from publishing.conftest import stage
from publishing.lines import drive


class Refusing:
    """A Hub that raises an error for one call about one repo, and is the real one otherwise."""

    def __init__(self, hub: object, call: str, repo: str, error: Callable[[], Exception]) -> None:
        """Stand in for `hub`."""
        self._hub, self._call, self._repo, self._error = hub, call, repo, error

    def __getattr__(self, name: str) -> object:
        """Give the Hub's attribute; the refused call raises."""
        attribute = getattr(self._hub, name)
        if name != self._call:
            return attribute

        def call(repo: str, *args: object, **kwargs: object) -> object:
            if repo == self._repo:
                raise self._error()
            return attribute(repo, *args, **kwargs)

        return call


def _now(world: World, version: AdapterVersion) -> AdapterVersion:
    found = world.registry.version(version.id)
    assert found is not None
    return found


def _publish_only(world: World) -> None:
    for arrow in LINE:
        while reconcile.turn(world.host, arrow, world.publisher, lambda: 0.5):
            pass


@pytest.mark.parametrize(
    ("error", "code"),
    [(lambda: Denied("the branch is protected"), "denied"), (lambda: KeyError("main"), "bug")],
    ids=["denied", "a bug"],
)
def test_a_channel_that_the_hub_refuses_holds_up_no_other_channel_and_no_index(
    world: World, adapter: str, error: Callable[[], Exception], code: str
) -> None:
    """Only that channel stalls, with its reason; the next adapter's channel moves, and the index is written."""
    other = f"{adapter}-z"
    stage(world, adapter, 1)
    stage(world, other, 2)
    _publish_only(world)
    world.wrap_hub = lambda hub: Refusing(hub, "tree", adapter, error)  # type: ignore[assignment,return-value]  # stands in
    health = Health("", "", 0.0, world.clock)
    Exports(lambda: world.host, health).turn()
    channels = {c.adapter: c for c in world.registry.channels()}
    assert (channels[adapter].stalled, channels[adapter].reason) == (True, code)
    assert channels[adapter].hint
    assert channels[other].number == 1
    assert export.written_generation(world.host) == world.registry.generation()


def test_a_long_rate_limit_is_waited_for_without_asking_all_the_time(
    make_world: Callable[..., World], adapter: str
) -> None:
    """However long the Hub asks for, the version is not due again at once."""
    world = make_world(
        wrap_hub=lambda hub: Refusing(
            hub, "refs", adapter, lambda: Transient("too many commits", retry_after=86_400.0, throttled=True)
        ),
    )
    world.extra["schedule"] = "{backoff: 1s, backoff_max: 10s}"
    world.reopen()
    version = stage(world, adapter, 1)
    _publish_only_bounded(world)
    found = _now(world, version)
    assert (found.reason, found.stalled) == ("rate_limited", False)
    assert found.due_at >= world.clock.now + 1800


def _publish_only_bounded(world: World) -> None:
    for arrow in LINE:
        turns = 0
        while reconcile.turn(world.host, arrow, world.publisher, lambda: 0.5):
            turns += 1
            assert turns < 5, "it is asked again and again"


def test_a_clock_that_jumped_back_does_not_hold_a_channel_for_years(world: World, adapter: str) -> None:
    """A due time further away than any that is ever set counts as past."""
    stage(world, adapter, 1)
    _publish_only(world)
    why = reason("hub_unreachable", "")
    late = ChannelRecord(adapter, "main", due_at=world.clock.now + 10 * 365 * 86_400, reason=why.code)
    world.registry.save_channel(late)
    assert [record.channel for record, _ in promote.due(world.host)] == ["main"]
    world.registry.save_channel(replace(late, due_at=world.clock.now + 60))
    assert promote.due(world.host) == []


def test_a_commit_whose_publisher_never_tags_it_is_said_in_the_end(
    make_world: Callable[..., World], adapter: str
) -> None:
    """The other publisher is gone for good: the version waits with growing pauses, then stalls and names it."""
    first = make_world()
    first.extra["schedule"] = "{attempts: 3}"
    first.reopen()
    stage(first, adapter, 1)
    drive(first)
    version = stage(first, adapter, 2)
    head = first.client.refs(adapter).branches[pub.BRANCH]
    message = messages.with_trailers("v2", "", messages.Trailers(version.identity, 2, "publisher-of-old"))
    first.client.commit(adapter, pub.BRANCH, head, [AddBytes("README.md", b"x")], message)
    drive(first)
    found = _now(first, version)
    assert (found.stalled, found.reason) == (True, "attempts_exhausted")
    assert "publisher-of-old" in found.message


def test_what_failed_before_is_no_death_of_a_worker(world: World, adapter: str) -> None:
    """A version that had to wait for the Hub once still gets its second worker."""
    version = stage(world, adapter, 1)
    claim = world.registry.claim(Stage.STAGED, world.publisher, world.clock.now, 60.0, 3600.0)
    assert claim is not None
    world.registry.wait(claim, world.clock.now, reason("hub_unreachable", "no base"), world.clock.now, failed=True)
    world.validator.raises = WorkerDied("killed", cause="worker_crashed")
    reconcile.turn(world.host, LINE[0], world.publisher, lambda: 0.5)
    assert (_now(world, version).stalled, _now(world, version).reason) == (False, "worker_restarted")
    world.clock.now += 3600
    reconcile.turn(world.host, LINE[0], world.publisher, lambda: 0.5)
    assert (_now(world, version).stalled, _now(world, version).reason) == (True, "worker_crashed")


def test_a_checkpoint_that_turns_out_to_be_the_final_save_is_not_coalesced_away(
    make_world: Callable[..., World], adapter: str
) -> None:
    """The run's best checkpoint is saved again as its final while the line is about to supersede it: it stays."""
    world = make_world()
    world.extra["roots"] = f"[{{path: {world.tmp}/train, checkpoints: latest}}]"
    world.reopen()
    best = stage(world, adapter, 1, step=5)
    claim = world.registry.claim(Stage.STAGED, world.publisher, world.clock.now, 60.0, 3600.0)
    assert claim is not None
    again = stage(world, adapter, 1)
    assert (again.id, again.final) == (best.id, True)
    with pytest.raises(Conflict):
        world.registry.advance(claim, Stage.SUPERSEDED, world.clock.now, reason=reason("superseded", ""))
    assert _now(world, best).stage is Stage.STAGED
    assert issubclass(Conflict, AdapterdError)
