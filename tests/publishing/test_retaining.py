"""What nobody needs any more goes from spool and registry; what is still on its way never does."""

import json
import shutil

import pytest

from adapterd import operate, tidy
from adapterd.core.version import Stage
from adapterd.ports import ProbeResult
from adapterd.steps import export, retain
from adapterd.steps.rebuild import rebuild
from helpers.hosts import World
from publishing.conftest import stage
from publishing.crashing import Crash, Fuse, Mortal
from publishing.lines import audit, drive

DAY = 86400.0


def _lie(world: World, adapter: str) -> frozenset[str]:
    return world.host.spool.trees(adapter)


def test_published_snapshots_go_after_their_time_but_for_the_newest(world: World, adapter: str) -> None:
    """What is staged and what is stalled stays, however old; the dry run says the same and changes nothing."""
    one, two = stage(world, adapter, 1), stage(world, adapter, 2)
    drive(world)
    three = stage(world, adapter, 3)
    assert retain.retain(world.host).snapshots == 0
    world.clock.now += 30 * DAY
    planned = tidy.plan_here(world.host)
    assert {s["version"]: s["stays"] for s in planned["snapshots"]} == {
        f"{adapter}@v1": False,
        f"{adapter}@v2": True,
        three.label: True,
    }
    assert _lie(world, adapter) == {one.tree, two.tree, three.tree}
    done = retain.retain(world.host)
    assert (done.snapshots, done.bytes) == (1, sum(s["bytes"] for s in planned["snapshots"] if not s["stays"]))
    assert _lie(world, adapter) == {two.tree, three.tree}
    drive(world)
    assert audit([world], adapter, [one, two, three]) == [1, 2, 3]


def test_what_went_is_not_staged_again_after_a_rebuild(world: World, adapter: str) -> None:
    """Published versions come back from the Hub; a rejected one whose snapshot went stays away."""
    one = stage(world, adapter, 1)
    drive(world)
    two = _rejected(world, adapter, 2)
    world.clock.now += 15 * DAY
    world.extra["retention"] = "{snapshots: 0}"
    world.reopen()
    assert retain.retain(world.host).snapshots == 2
    assert _lie(world, adapter) == frozenset()
    world.lose_registry()
    assert rebuild(world.host, [adapter], lambda _: None) == (1, 0)
    assert [v.identity for v in world.registry.versions(adapter)] == [one.identity]
    assert two != one.identity


def _rejected(world: World, adapter: str, seed: int) -> str:
    """Stage a version that the probes refuse; its identity."""
    good = world.validator.result
    world.validator.result = ProbeResult((), {**good.measurements, "effect": 0.0}, "cpu", "float32", {}, "f" * 64)
    staged = stage(world, adapter, seed)
    drive(world)
    world.validator.result = good
    found = world.registry.version(staged.id)
    assert found is not None
    assert found.stage is Stage.REJECTED
    return found.identity


def test_a_rejected_snapshot_stays_for_a_while_and_retry_says_when_it_is_gone(world: World, adapter: str) -> None:
    """Until then `retry` needs nothing; after it, `sync` of its directory takes it in anew, and it goes on."""
    identity = _rejected(world, adapter, 1)
    reference = f"{adapter}@id:{identity[:12]}"
    world.clock.now += 13 * DAY
    assert retain.retain(world.host).snapshots == 0
    world.clock.now += 2 * DAY
    assert retain.retain(world.host).snapshots == 1
    with pytest.raises(operate.SnapshotGoneError) as gone:
        operate.retry(world.host, reference, "alice", "")
    assert gone.value.hint == f"adapterd sync {world.tmp / 'train' / 'run-1'}"
    with pytest.raises(operate.SnapshotGoneError):
        operate.waive(world.host, "no_effect", reference, "alice", "meant so")
    assert operate.retry(world.host, "--all", "alice", "") == []
    again = stage(world, adapter, 1, keep=True)
    assert (again.identity, again.stage) == (identity, Stage.STAGED)
    drive(world)
    found = world.registry.version(again.id)
    assert found is not None
    assert (found.stage, found.number) == (Stage.PUBLISHED, 1)


def test_a_version_that_is_set_going_meanwhile_keeps_its_snapshot(world: World, adapter: str) -> None:
    """Between the look and the act a person asked for it again: what was decided no longer holds."""
    identity = _rejected(world, adapter, 1)
    world.clock.now += 15 * DAY
    plan = retain.plan(world.host)
    assert [fate.stays for fate in plan.fates] == [False]
    operate.retry(world.host, f"{adapter}@id:{identity[:12]}", "alice", "")
    assert retain.discard(world.host, plan.fates[0]) is False
    assert len(_lie(world, adapter)) == 1


def test_a_crash_while_a_snapshot_goes_leaves_it_whole_or_gone(world: World, adapter: str) -> None:
    """It is moved aside first; the next start clears what is left of it."""
    stage(world, adapter, 1)
    drive(world)
    world.clock.now += 30 * DAY
    world.extra["retention"] = "{snapshots: 0}"
    fuse = Fuse(0)
    world.wrap_registry = lambda registry: Mortal(registry, ("compact",), fuse)
    world.reopen()
    with pytest.raises(Crash):
        retain.retain(world.host)
    world.registry.close()
    world.wrap_registry = lambda registry: registry
    world.reopen()
    assert _lie(world, adapter) == frozenset()
    assert retain.retain(world.host).snapshots == 0


def test_histories_and_reports_are_cut_and_what_is_published_needs_neither(world: World, adapter: str) -> None:
    """Moves and people's words stay; the index says the same; a version after it is compared and published as ever."""
    one = stage(world, adapter, 1)
    drive(world)
    world.registry.note(one.id, "worker_died", {"cause": "x", "log_tail": "y" * 1000}, world.clock.now)
    before = export.entries(world.registry, world.publisher)
    world.clock.now += 91 * DAY
    done = retain.retain(world.host)
    assert done.histories == 1
    assert retain.retain(world.host).histories == 0
    kinds = [event.kind for event in world.registry.events(one.id) if event.kind != "asked"]
    assert kinds == ["staged", "validated", "planned", "published", "channel_entered"]
    (report,) = world.registry.validations(one.id)
    assert (report.verdict, report.report["cut"], report.tree) == ("passed", True, one.tree)
    assert export.entries(world.registry, world.publisher) == before
    two = stage(world, adapter, 2)
    drive(world)
    assert audit([world], adapter, [one, two]) == [1, 2]
    manifest = json.loads(world.client.read(adapter, "v1", "adapterd.json"))
    assert "cut" not in manifest["report"]


def test_what_was_rendered_goes_with_publication(world: World, adapter: str) -> None:
    """The Hub holds those bytes then; nothing asks for them again."""
    one = stage(world, adapter, 1)
    drive(world)
    assert world.registry.intent(one.id) is None


def test_directories_that_are_gone_are_forgotten_unless_their_root_is(world: World, adapter: str) -> None:
    """A root that is not mounted has lost nothing; a directory whose root is there, and which is not, is forgotten."""
    stage(world, adapter, 1)
    stage(world, adapter, 2)
    drive(world)
    train = world.tmp / "train"
    shutil.rmtree(train / "run-1")
    world.clock.now += 31 * DAY
    train.rename(world.tmp / "elsewhere")
    assert retain.retain(world.host).observations == 0
    (world.tmp / "elsewhere").rename(train)
    assert retain.retain(world.host).observations == 1
    assert [seen.path for seen in world.registry.observations()] == ["run-2"]


def test_prune_hub_takes_what_the_policy_names_and_no_more(world: World, adapter: str) -> None:
    """The plan names versions and bytes; applied, the same versions are erased, and a channel's stays."""
    versions = [stage(world, adapter, seed, step=5) for seed in (1, 2, 3)]
    versions.append(stage(world, adapter, 4))
    drive(world)
    world.extra["retention"] = "{hub: {keep: 2, keep_for: 1d}}"
    world.reopen()
    world.clock.now += 2 * DAY
    (plan,) = tidy.plan_hub(world.host)["adapters"]
    assert [v["tag"] for v in plan["versions"] if not v["stays"]] == ["v1", "v2"]
    done = tidy.prune_hub(world.host, "alice", "")
    (erased,) = done["erased"]
    assert (erased["names"], sum(erased["objects"].values())) == (["v1", "v2"], plan["bytes"])
    assert plan["bytes"] > 0
    assert set(world.client.refs(adapter).tags) == {"v3", "v4"}
    assert tidy.prune_hub(world.host, "alice", "") == {"erased": []}
