"""A lost registry is made anew from Hub and spool; an older copy put back does no harm: nothing is published twice."""

import json
import shutil
from collections.abc import Callable
from contextlib import suppress

import pytest

from adapterd.core import publication as pub
from adapterd.core.index import render
from adapterd.core.version import Stage
from adapterd.ports import AddBytes, Hub, Transient
from adapterd.registry import backup, restore
from adapterd.steps import discover, promote
from adapterd.steps.again import stage_again
from adapterd.steps.rebuild import Terms, rebuild
from adapterd.steps.rebuild import restore as read_again
from adapterd.steps.settle import Rests, Settled, settle
from helpers.adapters import write_adapter
from helpers.hosts import BASE, NAMESPACE, World
from publishing.conftest import stage
from publishing.lines import audit, drive

Make = Callable[..., World]


def _quiet(_: str) -> None:
    """Say nothing."""


def _backlog(world: World, backlog: str) -> None:
    """Configure what of a first scan is published."""
    world.extra["roots"] = f"[{{path: {world.tmp}/train, checkpoints: all, backlog: {backlog}}}]"
    world.registry.close()
    world.reopen()


def _scan(world: World) -> list[str]:
    """Look at the root until all that moves has come to rest; what became versions."""
    rests, taken = Rests(), []
    for _ in range(3):
        for found in discover.scan(world.host, world.host.config.roots[0]).pending:
            done = settle(world.host, found, rests)
            taken += [found.folder.path] if isinstance(done, Settled) else []
        world.clock.now += 10
    return taken


def _stand(world: World, adapter: str, document: dict[str, object]) -> None:
    """Write a standing document, as another tool does."""
    client, refs = world.client, world.client.refs(adapter)
    head = refs.branches.get(pub.STANDING_BRANCH)
    if head is None:
        head = refs.branches["main"]
        client.create_branch(adapter, pub.STANDING_BRANCH, head)
    client.commit(adapter, pub.STANDING_BRANCH, head, [AddBytes(pub.STANDING_FILE, render(document))], "by hand")


@pytest.mark.parametrize("backlog", ["none", "latest", "all"])
def test_what_lies_on_disk_is_baseline_whatever_backlog_says(world: World, adapter: str, backlog: str) -> None:
    """After a rebuild nothing that lay there is published again or for the first time; what changes later is new."""
    _backlog(world, backlog)
    published = stage(world, adapter, 1)
    drive(world)
    world.lose_registry()
    # Nothing in the spool tells of it any more: its snapshot was tidied away.
    shutil.rmtree(world.host.spool.folder(adapter, published.tree))
    write_adapter(world.tmp / "train" / "run-2", seed=2, base=BASE)
    (world.tmp / "train" / "run-2" / "adapterd.yaml").write_text(f"adapter: {adapter.split('/')[1]}\n")
    rebuild(world.host, [adapter], _quiet)
    assert _scan(world) == []
    assert {seen.state for seen in world.registry.observations()} == {"baseline"}
    drive(world)
    assert audit([world], adapter, [published]) == [1]
    write_adapter(world.tmp / "train" / "run-2", seed=3, base=BASE)
    assert _scan(world) == ["run-2"]
    drive(world)
    assert len(world.registry.versions(adapter, Stage.PUBLISHED)) == 2


def test_a_root_that_is_away_during_the_rebuild_has_its_baseline_when_it_comes_back(world: World) -> None:
    """An unmounted root is no empty one: what lay in it may have been published long ago."""
    _backlog(world, "all")
    write_adapter(world.tmp / "train" / "run-1", seed=1, base=BASE)
    rebuild(world.host, [], _quiet)
    (world.tmp / "train").rename(world.tmp / "away")
    assert _scan(world) == []
    (world.tmp / "away").rename(world.tmp / "train")
    assert _scan(world) == []
    assert [seen.state for seen in world.registry.observations()] == ["baseline"]


def test_counters_are_above_every_number_that_was_ever_seen(world: World, adapter: str) -> None:
    """Of an erased version, of a tag by hand, and of a commit whose tag is gone: none of them is used again."""
    versions = [stage(world, adapter, n) for n in (1, 2, 3)]
    drive(world)
    client = world.client
    client.delete_tag(adapter, "v3")
    erased = {"identity": versions[1].identity, "number": 2, "actor": "a", "reason": "asked", "at": 1.0}
    _stand(world, adapter, {"schema": 1, "erasures": [erased, {"identity": "e" * 64, "number": 40}]})
    client.delete_tag(adapter, "v2")
    world.lose_registry()
    shutil.rmtree(world.host.spool.path)
    lines: list[str] = []
    assert rebuild(world.host, [adapter], lines.append) == (1, 0)
    assert any("says v3 and has no tag" in line for line in lines)
    assert not any("says v2" in line for line in lines)
    new = stage(world, adapter, 9)
    drive(world)
    found = world.registry.version(new.id)
    assert found is not None
    assert found.number == 41


def test_what_was_erased_is_not_staged_again(world: World, adapter: str) -> None:
    """Its snapshot may still lie in the spool: neither the rebuild nor a later start takes it up."""
    one, two = stage(world, adapter, 1), stage(world, adapter, 2)
    drive(world)
    _stand(world, adapter, {"schema": 1, "erasures": [{"identity": two.identity, "number": 2}]})
    world.client.delete_tag(adapter, "v2")
    world.lose_registry()
    assert rebuild(world.host, [adapter], _quiet) == (1, 0)
    assert stage_again(world.host) == 0
    assert [v.identity for v in world.registry.versions(adapter)] == [one.identity]


def test_holds_yanks_and_channels_come_back(world: World, adapter: str) -> None:
    """A channel that is held stays where it is; a yanked version is promoted nowhere; the index shows both."""
    for n in (1, 2):
        stage(world, adapter, n)
        drive(world)
    standing = {"schema": 1, "yanks": [{"number": 2, "reason": "bad"}], "holds": [{"channel": "main", "reason": "x"}]}
    _stand(world, adapter, standing)
    world.lose_registry()
    rebuild(world.host, [adapter], _quiet)
    (main,) = world.registry.channels(adapter)
    assert (main.number, main.highest) == (2, 2)
    repo = world.registry.repo(adapter)
    assert repo is not None
    assert repo.standing == standing
    stage(world, adapter, 3)
    drive(world)
    assert world.registry.channels(adapter) == [main]
    assert promote.due(world.host, all_=True) == []


def test_another_publishers_versions_are_known_and_not_ours(make_world: Make, adapter: str) -> None:
    """They are no versions of this registry; the same content is adopted, and numbers go on above theirs."""
    ours, theirs = make_world("a"), make_world("b")
    mine = stage(ours, adapter, 1)
    drive(ours)
    ids = [{"id": w.publisher, "actor": "a", "reason": "both", "at": 1.0} for w in (ours, theirs)]
    _stand(ours, adapter, {"schema": 1, "publishers": ids})
    other = stage(theirs, adapter, 2)
    drive(theirs)
    ours.lose_registry()
    lines: list[str] = []
    assert rebuild(ours.host, [adapter], lines.append) == (1, 0)
    assert lines == [f"{adapter}: 1 versions, 1 of other publishers"]
    repo = ours.registry.repo(adapter)
    assert repo is not None
    assert repo.adopted
    assert list(repo.seen) == [other.identity]
    stage(ours, adapter, 2)  # the same content, trained here too
    third = stage(ours, adapter, 3)
    drive(ours)
    assert audit([ours, theirs], adapter, [mine, other, third]) == [1, 2, 3]


def test_the_old_order_is_kept(world: World, adapter: str) -> None:
    """What waits in the spool has the intake numbers that it had, so that a final still supersedes its checkpoints."""
    published = stage(world, adapter, 1)
    drive(world)
    waiting = [stage(world, adapter, 2, step=5), stage(world, adapter, 2, step=10, content=2)]
    world.lose_registry()
    assert rebuild(world.host, [adapter], _quiet) == (1, 2)
    again = sorted(world.registry.versions(adapter), key=lambda v: v.intake)
    assert [(v.identity, v.intake) for v in again] == [(v.identity, v.intake) for v in [published, *waiting]]


def test_what_the_spool_saw_of_a_published_version_comes_back(world: World, adapter: str) -> None:
    """Its directory is known as settled, so that it is neither copied nor listed as baseline."""
    version = stage(world, adapter, 1)
    drive(world)
    world.lose_registry()
    rebuild(world.host, [adapter], _quiet)
    assert _scan(world) == []
    assert [(o.path, o.state) for o in world.registry.observations()] == [("run-1", "settled")]
    found = world.registry.find(adapter, identity=version.identity)
    assert found is not None
    assert world.registry.sightings(found.id)[-1].path == "run-1"


def test_repos_that_are_only_found_are_read_if_they_are_ours(make_world: Make, adapter: str) -> None:
    """The Hub's listing names every repo of the namespace; those of others are passed over without a word."""
    ours, theirs = make_world("a"), make_world("b")
    stage(ours, adapter, 1)
    drive(ours)
    stage(theirs, f"{adapter}-b", 2)
    drive(theirs)
    ours.client.create_repo(f"{adapter}-c", private=True)
    ours.lose_registry()
    shutil.rmtree(ours.host.spool.path)
    listed = [name for name in ours.client.models(NAMESPACE) if name.startswith(adapter)]
    assert len(listed) == 3
    lines: list[str] = []
    assert read_again(ours.host, Terms((), listed), lines.append) == (1, 0)
    assert lines == [f"{adapter}: 1 versions"]
    assert [a.name for a in ours.registry.adapters()] == [adapter]


def test_a_host_that_lost_everything_knows_what_it_names(make_world: Make, adapter: str) -> None:
    """Without `instance.json` it is another publisher, which lists the versions and publishes only after `adopt`."""
    former, new = make_world("a"), make_world("b")
    stage(former, adapter, 1)
    drive(former)
    assert read_again(new.host, Terms([adapter], successor=True), _quiet) == (1, 0)
    assert [v.number for v in new.registry.versions(adapter)] == [1]
    two = stage(new, adapter, 2)
    drive(new)
    found = new.registry.version(two.id)
    assert found is not None
    assert (found.stalled, found.reason) == (True, "repo_not_ours")


def test_a_rate_limit_is_waited_out(world: World, adapter: str) -> None:
    """A rebuild of many versions is no failure because the Hub's window closes on the way."""

    class Throttling:
        """A Hub whose window is used up for every second call."""

        def __init__(self, hub: Hub) -> None:
            self._hub, self._calls = hub, 0

        def __getattr__(self, name: str) -> object:
            found = getattr(self._hub, name)

            def call(*args: object, **kwargs: object) -> object:
                self._calls += 1
                if self._calls % 2:
                    raise Transient("429", throttled=True, retry_after=7.0)
                return found(*args, **kwargs)

            return call if callable(found) else found

    stage(world, adapter, 1)
    drive(world)
    world.lose_registry()
    throttling = Throttling(world.client)
    waits: list[float] = []
    world.wrap_hub = lambda _: throttling  # type: ignore[assignment,return-value]  # stands in
    assert read_again(world.host, Terms([adapter], pause=waits.append), _quiet) == (1, 0)
    assert set(waits) == {7.0}


@pytest.mark.parametrize("spool", [True, False], ids=["spool kept", "spool lost"])
def test_an_older_copy_put_back_publishes_nothing_twice(world: World, adapter: str, spool: bool) -> None:  # noqa: FBT001 - pytest's
    """Its numbers and its generation are behind the Hub: what was published since is found there and adopted."""
    first = stage(world, adapter, 1)
    drive(world)
    waits = stage(world, adapter, 2)
    copy = world.tmp / "copy.db"
    backup(world.path, copy)
    drive(world)
    later = stage(world, adapter, 3)
    drive(world)
    world.registry.close()
    restore(copy, world.path, "replaced")
    world.reopen()
    if not spool:
        shutil.rmtree(world.host.spool.folder(adapter, later.tree))
    stage_again(world.host)
    _scan(world)
    drive(world)
    assert audit([world], adapter, [first, waits, later]) == [1, 2, 3]
    assert {v.number for v in world.registry.versions(adapter, Stage.PUBLISHED)} == {1, 2, 3}
    fourth = stage(world, adapter, 4)
    drive(world)
    assert audit([world], adapter, [first, waits, later, fourth]) == [1, 2, 3, 4]


def test_a_lost_write_ahead_log_is_an_older_copy(world: World, adapter: str) -> None:
    """What was committed last is gone with it; nothing is published twice, and nothing in the spool is lost."""
    world.registry.close()
    world.reopen()
    first = stage(world, adapter, 1)
    drive(world)
    assert world.path.with_name("registry.db-wal").stat().st_size
    aside = world.tmp / "main-file.db"
    shutil.copy(world.path, aside)
    world.registry.close()
    shutil.copy(aside, world.path)
    for end in ("-wal", "-shm"):
        with suppress(FileNotFoundError):
            world.path.with_name(f"registry.db{end}").unlink()
    world.reopen()
    assert world.registry.versions(adapter) == []
    stage_again(world.host)
    drive(world)
    assert audit([world], adapter, [first]) == [1]
    manifest = json.loads(world.client.read(adapter, "v1", pub.MANIFEST))
    assert manifest["identity"]["digest"] == first.identity
