"""An erased version is gone from the Hub and from this host, stays gone, and takes nothing else with it."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest
from typer.testing import CliRunner

from adapterd import deploy, moving, operate, tidy
from adapterd.cli.app import app
from adapterd.core import publication as pub
from adapterd.core.erasing import Erased, Target
from adapterd.core.naming import parse_reference
from adapterd.core.standing import Said, erasures
from adapterd.core.version import AdapterVersion, Stage
from adapterd.ports import AddBytes, Conflict, NotFound
from adapterd.steps import export, promote
from adapterd.steps.erase import erase, target_of
from adapterd.steps.rebuild import rebuild
from helpers.adapters import weights
from helpers.hosts import TOKEN, World
from publishing.conftest import stage
from publishing.crashing import HUB_EFFECTS, REGISTRY_EFFECTS, Crash, Fuse, Mortal
from publishing.lines import drive

SAID = Said("alice", "asked for by the data's owner", 5.0)


def _erase(world: World, *versions: AdapterVersion) -> Erased:
    known = [world.registry.version(version.id) or version for version in versions]
    return erase(world.host, known[0].adapter, [target_of(world.host, version) for version in known], SAID)


def _publish(world: World, adapter: str, *seeds: int) -> list[AdapterVersion]:
    versions = []
    for seed in seeds:
        staged = stage(world, adapter, seed)
        drive(world)
        version = world.registry.version(staged.id)
        assert version is not None
        versions.append(version)
    return versions


def _main(world: World, adapter: str) -> int | None:
    return next(c.number for c in world.registry.channels(adapter) if c.channel == "main")


def _demand_gone(world: World, gone: AdapterVersion, others: Sequence[AdapterVersion]) -> None:
    """Nothing of it is left that can be taken, on the Hub or here, and the others are whole."""
    hub, adapter = world.client, gone.adapter
    refs = hub.refs(adapter)
    assert gone.tag not in refs.tags
    with pytest.raises(NotFound):
        hub.read(adapter, gone.commit or "", "adapter_model.safetensors")
    for branch in refs.branches.values():
        for path, file in hub.tree(adapter, branch).items():
            assert file.sha256 is None or hub.read(adapter, branch, path), "a branch names bytes that are gone"
    with pytest.raises(deploy.ErasedError, match="owner"):
        deploy.resolve(hub, parse_reference(f"{adapter}@{gone.tag}"))
    assert not world.host.spool.holds(adapter, gone.tree)
    for version in others:
        found = deploy.resolve(hub, parse_reference(f"{adapter}@{version.tag}"))
        assert found.identity == version.identity
        assert hub.read(adapter, found.commit, "adapter_model.safetensors")


def test_the_newest_version_goes_and_its_channel_goes_back(world: World, adapter: str) -> None:
    """Tag, bytes and snapshot are gone; `main` holds the version before; the row stays, and numbers go on above it."""
    one, two = _publish(world, adapter, 1, 2)
    done = _erase(world, two)
    assert (done.names, done.tags, dict(done.moved)) == (("v2",), ("v2",), {"main": "v1", "versions": "v1"})
    assert (len(done.objects), dict(done.shared)) == (1, {})
    assert done.snapshots == 1
    _demand_gone(world, two, [one])
    assert _main(world, adapter) == 1
    found = world.registry.version(two.id)
    assert found is not None
    assert (found.stage, found.number) == (Stage.PUBLISHED, 2)
    drive(world)
    (three,) = _publish(world, adapter, 3)
    assert three.number == 3
    assert _main(world, adapter) == 3
    _demand_gone(world, two, [one, three])


def test_the_only_version_leaves_empty_branches(world: World, adapter: str) -> None:
    """`main` and `versions` hold nothing; the next version is published and promoted as ever, with the next number."""
    (one,) = _publish(world, adapter, 1)
    done = _erase(world, one)
    assert dict(done.moved) == {"main": "", "versions": ""}
    _demand_gone(world, one, [])
    assert _main(world, adapter) is None
    assert promote.due(world.host, all_=True) == []
    (two,) = _publish(world, adapter, 2)
    assert (two.stage, two.number) == (Stage.PUBLISHED, 2)
    assert _main(world, adapter) == 2
    _demand_gone(world, one, [two])


def test_a_channels_history_says_who_erased_and_why(world: World, adapter: str) -> None:
    """It went back, or was emptied, by the hand that erased: no rule did it, and no person rolled it back."""
    one, two = _publish(world, adapter, 1, 2)
    for gone, number in ((two, 1), (one, None)):
        _erase(world, gone)
        (main,) = moving.standings(world.client, adapter)
        last = main.moves[0]
        assert (last.number, last.actor, last.reason, last.publisher) == (number, SAID.actor, SAID.reason, "")
        assert (last.erased, last.rollback, last.by_hand) == (gone.tag, False, True)
    shell = {"HOME": str(world.tmp), "HF_ENDPOINT": world.endpoint, "HF_TOKEN": TOKEN}
    done = CliRunner().invoke(app, ["channels", adapter, "--all"], env=shell)
    emptied, back = (line.split() for line in done.stdout.splitlines()[1:3])
    assert (emptied[1], *emptied[3:6]) == ("none", "alice", "v1", "erased")
    assert (back[1], *back[3:6]) == ("v1", "alice", "v2", "erased")


def test_a_held_channel_that_an_erasure_moved_can_be_rolled_back(world: World, adapter: str) -> None:
    """What the erasure did is not taken for the rollback that was asked for."""
    *_, three = _publish(world, adapter, 1, 2, 3)
    moving.hold(world.client, adapter, "main", SAID)
    _erase(world, three)
    assert _main(world, adapter) == 2
    assert moving.rollback(world.client, adapter, "main", None, SAID).number == 1


def test_the_index_for_deployers_says_it_at_once(world: World, adapter: str) -> None:
    """Without waiting for the daemon's next look; followers are never sent to what is gone."""
    world.extra["hub"] = f"{{endpoint: '{world.endpoint}', namespace: acme, index_repo: adapterd-index}}"
    world.reopen()
    one, two = _publish(world, adapter, 1, 2)
    export.export_to_hub(world.host, export.entries(world.registry, world.publisher))
    tidy.erase(world.host, [f"{adapter}@{two.tag}"], "alice", "asked for")
    part = json.loads(world.client.read("acme/adapterd-index", "main", f"adapters/{adapter.split('/')[1]}.json"))
    assert part["channels"] == {"main": one.tag}
    assert part["versions"][two.tag]["erased"] is True


def test_an_older_version_goes_without_moving_anything(world: World, adapter: str) -> None:
    """Neither `main` nor `versions` hold it; what it shares with others stays."""
    one, two = _publish(world, adapter, 1, 2)
    done = _erase(world, one)
    assert (dict(done.moved), done.tags, len(done.objects)) == ({}, ("v1",), 1)
    _demand_gone(world, one, [two])
    assert any("git history" in line for line in done.not_recalled)
    assert any("run-1" in line for line in done.not_recalled)


def test_erased_again_there_is_nothing_left_to_do(world: World, adapter: str) -> None:
    """The same again changes nothing on the Hub, and the first word stands."""
    one, _ = _publish(world, adapter, 1, 2)
    _erase(world, one)
    before = world.client.refs(adapter)
    again = _erase(world, one)
    assert (dict(again.moved), again.tags, dict(again.objects), again.snapshots) == ({}, (), {}, 0)
    assert world.client.refs(adapter) == before
    assert [e.kind for e in world.registry.events(one.id)].count("erased") == 1


def test_bytes_that_somebodys_own_branch_names_stay_and_are_named(world: World, adapter: str) -> None:
    """A branch that is no channel of ours is not touched; who erases is told who still has the bytes."""
    one, _ = _publish(world, adapter, 1, 2)
    world.client.create_branch(adapter, "bobs", one.commit or "")
    done = _erase(world, one)
    assert (dict(done.moved), dict(done.objects), set(done.shared.values())) == ({}, {}, {"bobs"})
    assert world.client.read(adapter, "bobs", "adapter_model.safetensors")


def test_bytes_of_another_version_stay(world: World, adapter: str) -> None:
    """The same weights stand under another tag, that somebody set by hand on a commit of their own."""
    one, _ = _publish(world, adapter, 1, 2)
    hub = world.client
    main = hub.refs(adapter).branches["main"]
    theirs = hub.commit(adapter, "main", main, [AddBytes("copy.safetensors", weights(1))], "by hand")
    hub.create_tag(adapter, "keep-this", theirs)
    done = _erase(world, one)
    assert dict(done.objects) == {}
    assert hub.read(adapter, "keep-this", "copy.safetensors") == weights(1)


def test_several_go_together(world: World, adapter: str) -> None:
    """One commit puts up all tombstones; `main` goes back over both to the one that is left."""
    one, two, three = _publish(world, adapter, 1, 2, 3)
    done = _erase(world, two, three)
    assert (done.tags, len(done.objects)) == (("v2", "v3"), 2)
    assert dict(done.moved) == {"main": "v1", "versions": "v1"}
    _demand_gone(world, two, [one])
    _demand_gone(world, three, [one])


def test_what_is_not_published_is_erased_too_and_never_published(world: World, adapter: str) -> None:
    """It leaves the line, its snapshot goes; retry refuses, and the same content seen again changes nothing."""
    _publish(world, adapter, 1)
    staged = stage(world, adapter, 2)
    done = _erase(world, staged)
    assert (done.names, done.tags) == ((f"id:{staged.identity[:12]}",), ())
    found = world.registry.version(staged.id)
    assert found is not None
    assert (found.stage, found.reason, found.stalled) == (Stage.REJECTED, "erased", False)
    drive(world)
    with pytest.raises(operate.ErasedError):
        operate.retry(world.host, f"{adapter}@id:{staged.identity[:12]}", "bob", "")
    again = stage(world, adapter, 2, keep=True)
    assert (again.id, again.stage) == (staged.id, Stage.REJECTED)
    assert not world.host.spool.holds(adapter, again.tree)
    assert operate.retry(world.host, "--all", "bob", "") == []
    assert set(world.client.refs(adapter).tags) == {"v1"}


def test_what_never_had_a_repo_is_erased_here_alone(world: World, adapter: str) -> None:
    """There is nothing on the Hub to erase, and no repo is made for a tombstone."""
    staged = stage(world, adapter, 1)
    done = _erase(world, staged)
    assert done.snapshots == 1
    with pytest.raises(NotFound):
        world.client.refs(adapter)


def test_a_version_in_hand_is_not_pulled_from_under_its_step(world: World, adapter: str) -> None:
    """The tombstone stands, so it is not published later; the rest waits until the step has ended."""
    _publish(world, adapter, 1)
    staged = stage(world, adapter, 2)
    assert world.registry.claim(Stage.STAGED, "lane", world.clock.now, 600.0, 86400.0)
    with pytest.raises(Conflict, match="in hand"):
        _erase(world, staged)
    record = world.registry.repo(adapter)
    assert record is not None
    assert erasures(record.standing) == {staged.identity}
    world.clock.now += 601
    assert _erase(world, staged).snapshots == 1


def test_erased_stays_erased_after_the_registry_is_lost(world: World, adapter: str) -> None:
    """A rebuild restores what is left; the same content, staged again, stalls; a number is not used twice."""
    one, two = _publish(world, adapter, 1, 2)
    _erase(world, two)
    world.lose_registry()
    assert rebuild(world.host, [adapter], lambda _: None) == (1, 0)
    assert _main(world, adapter) == 1
    again = stage(world, adapter, 2, keep=True)
    drive(world)
    found = world.registry.version(again.id)
    assert found is not None
    assert (found.stalled, found.reason) == (True, "erased")
    (three,) = _publish(world, adapter, 3)
    assert three.number == 3
    done = _erase(world, found)
    assert done.snapshots == 1
    _demand_gone(world, two, [one, three])


def test_only_the_tombstone_is_left_to_name_it(world: World, adapter: str) -> None:
    """Registry and tag are gone in the middle: the tombstone has number and commit, and the same again completes it."""
    one, two = _publish(world, adapter, 1, 2)
    fuse = Fuse(None)
    world.wrap_hub = lambda hub: Mortal(hub, ("delete_lfs",), fuse)
    fuse.at = 0
    with pytest.raises(Crash):
        _erase(world, two)
    fuse.at = None
    world.lose_registry()
    rebuild(world.host, [adapter], lambda _: None)
    (stone,) = operate.targets(world.host, f"{adapter}@v2")
    assert (stone.number, stone.commit, stone.row) == (2, two.commit, None)
    assert len(erase(world.host, adapter, [stone], SAID).objects) == 1
    _demand_gone(world, two, [one])


@dataclass
class Often(Fuse):
    """Dies so many times after each kind of side effect: every commit that an erasure makes is another one."""

    left: Counter[str] = field(default_factory=Counter)

    def pass_by(self, place: str) -> None:
        """Be at one more place."""
        if self.left[place] > 0:
            self.left[place] -= 1
            raise Crash(place)


def test_a_crash_after_any_side_effect_is_completed_by_the_same_again(
    make_world: Callable[..., World], adapter: str
) -> None:
    """It dies after every side effect, one after the other, and is begun again each time."""
    fuse = Often()
    world = make_world(
        wrap_hub=lambda hub: Mortal(hub, (*HUB_EFFECTS, "delete_tag", "delete_lfs"), fuse),
        wrap_registry=lambda registry: Mortal(registry, (*REGISTRY_EFFECTS, "erase"), fuse),
    )
    one, two = _publish(world, adapter, 1, 2)
    once = ("create_branch", "save_repo", "erase", "save_channel", "delete_tag", "delete_lfs")
    fuse.left.update({"after commit": 3, **{f"after {effect}": 1 for effect in once}})
    while True:
        try:
            _erase(world, two)
            break
        except Crash:
            world.registry.close()
            world.reopen()
    assert fuse.left.total() == 0
    drive(world)
    _demand_gone(world, two, [one])
    assert _main(world, adapter) == 1
    assert [e.kind for e in world.registry.events(two.id)].count("erased") == 1


def test_targets_are_named_one_by_one(world: World, adapter: str) -> None:
    """A channel, or an adapter as a whole, names no version to erase."""
    (one,) = _publish(world, adapter, 1)
    assert [t.identity for t in operate.targets(world.host, f"{adapter}@v1")] == [one.identity]
    assert [t.identity for t in operate.targets(world.host, f"{adapter}@id:{one.identity[:8]}")] == [one.identity]
    assert isinstance(operate.targets(world.host, f"{adapter}@v1")[0], Target)
    for reference in (adapter, f"{adapter}@main", f"{adapter}@v9"):
        with pytest.raises(operate.UnknownVersionError):
            operate.targets(world.host, reference)
    assert pub.STANDING_BRANCH not in world.client.refs(adapter).branches
