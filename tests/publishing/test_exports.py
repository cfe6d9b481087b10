"""What follows the registry: the index document, the index repo, and a registry that is made anew."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace

import pytest

from adapterd.core import publication as pub
from adapterd.core.version import Stage
from adapterd.ports import AddBytes
from adapterd.steps import export
from adapterd.steps.again import stage_again
from adapterd.steps.rebuild import rebuild
from helpers.adapters import weights
from helpers.hosts import World
from publishing.conftest import stage
from publishing.crashing import Crash
from publishing.lines import audit, drive


def test_the_index_document_shows_versions_and_channels(world: World, adapter: str) -> None:
    """Tags, commits, identities and serving names of what is published, and where each channel stands."""
    version = stage(world, adapter, 1)
    drive(world)
    export.export(world.host, export.Parts())
    document = json.loads(world.host.index.read_bytes())
    entry = document["adapters"][adapter]
    found = world.registry.version(version.id)
    assert found is not None
    assert entry["channels"] == {"main": "v1"}
    assert entry["versions"]["v1"]["commit"] == found.commit
    assert entry["versions"]["v1"]["identity"] == version.identity
    assert document["generation"] == world.registry.generation() == export.written_generation(world.host)


def test_the_index_repo_has_one_file_per_adapter_and_is_written_only_when_it_changed(
    make_world: Callable[..., World], adapter: str
) -> None:
    """A second export without a change makes no commit."""
    world = make_world()
    world.extra["hub"] = (
        f"{{endpoint: '{world.endpoint}', namespace: acme, index_repo: index-{adapter[-3:].strip('-')}}}"
    )
    world.reopen()
    stage(world, adapter, 1)
    drive(world)
    parts = export.entries(world.registry, world.publisher)
    assert export.export_to_hub(world.host, parts) is True
    assert export.export_to_hub(world.host, parts) is False
    repo = f"acme/{world.host.config.hub.index_repo}"
    path = f"adapters/{adapter.split('/')[1]}.json"
    assert json.loads(world.client.read(repo, "main", path))["versions"].keys() == {"v1"}


def test_another_publishers_file_in_the_index_repo_is_left_alone(
    make_world: Callable[..., World], adapter: str
) -> None:
    """A file that names another publisher is not written over."""
    world = make_world()
    world.extra["hub"] = (
        f"{{endpoint: '{world.endpoint}', namespace: acme, index_repo: shared-{adapter[-2:].strip('-')}}}"
    )
    world.reopen()
    repo = f"acme/{world.host.config.hub.index_repo}"
    path = f"adapters/{adapter.split('/')[1]}.json"
    world.client.create_repo(repo, private=True)
    head = world.client.refs(repo).branches["main"]
    theirs = b'{"publisher": "somebody-else"}\n'
    world.client.commit(repo, "main", head, [AddBytes(path, theirs)], "theirs")
    stage(world, adapter, 1)
    drive(world)
    export.export_to_hub(world.host, export.entries(world.registry, world.publisher))
    assert world.client.read(repo, "main", path) == theirs


def test_a_rebuilt_registry_knows_what_the_hub_holds_and_stages_what_it_lacks(world: World, adapter: str) -> None:
    """Numbers and commits come back from the Hub; a version that was only in the spool is published after them."""
    one, two = stage(world, adapter, 1, step=5), stage(world, adapter, 2)
    drive(world)
    three = stage(world, adapter, 3)
    world.lose_registry()
    lines: list[str] = []
    restored, staged = rebuild(world.host, [adapter], lines.append)
    assert (restored, staged) == (2, 1)
    assert lines == [f"{adapter}: 2 versions"]
    (main,) = world.registry.channels(adapter)
    assert (main.channel, main.number, main.highest) == ("main", 2, 2)
    drive(world)
    assert audit([world], adapter, [one, two, three]) == [1, 2, 3]
    assert {v.number for v in world.registry.versions(adapter, Stage.PUBLISHED)} == {1, 2, 3}


def test_what_is_sighted_again_after_a_rebuild_is_no_new_version(world: World, adapter: str) -> None:
    """The directory still lies there: asked for again, it is a sighting of the version that the Hub holds."""
    one = stage(world, adapter, 1)
    drive(world)
    world.lose_registry()
    rebuild(world.host, [adapter], lambda _: None)
    again = stage(world, adapter, 1, keep=True)
    drive(world)
    assert audit([world], adapter, [one]) == [1]
    found = world.registry.version(again.id)
    assert found is not None
    assert found.number == 1


def test_tags_that_somebody_made_by_hand_do_not_stop_a_rebuild(world: World, adapter: str) -> None:
    """A tag on one of our commits, on a commit without a manifest, or on other weights is said and left alone."""
    one = stage(world, adapter, 1)
    drive(world)
    client = world.client
    head = client.refs(adapter).branches[pub.BRANCH]
    client.create_tag(adapter, "v7", head)
    client.create_tag(adapter, "v8", client.log(adapter, "main")[-1].id)
    document = json.loads(client.read(adapter, head, pub.MANIFEST)) | {"number": 9}
    document["identity"] = {**document["identity"], "digest": "9" * 64}
    changes = [
        AddBytes(pub.MANIFEST, json.dumps(document).encode()),
        AddBytes("adapter_model.safetensors", weights(seed=9)),
    ]
    main = client.refs(adapter).branches["main"]
    client.create_tag(adapter, "v9", client.commit(adapter, "main", main, changes, "by hand"))
    world.lose_registry()
    lines: list[str] = []
    assert rebuild(world.host, [adapter], lines.append) == (1, 0)
    assert [line.split(" is left")[0].split(" ")[-1] for line in lines[:-1]] == ["v7", "v8", "v9"]
    assert [v.number for v in world.registry.versions(adapter)] == [1]
    two = stage(world, adapter, 2)
    drive(world)
    assert two.identity != one.identity
    found = world.registry.version(two.id)
    assert found is not None
    assert found.number == 10


def test_a_snapshot_without_its_row_is_taken_up_at_the_next_start(world: World, adapter: str) -> None:
    """The process died between the two, and the trainer has rotated the directory away: the version is not lost."""

    class Dying:
        """A registry before which the process dies."""

        def __init__(self, registry: object) -> None:
            self._registry = registry

        def __getattr__(self, name: str) -> object:
            if name == "intake":
                raise Crash(name)
            return getattr(self._registry, name)

    world.wrap_registry = Dying  # type: ignore[assignment]  # stands in
    world.reopen()
    with pytest.raises(Crash):
        stage(world, adapter, 1)
    shutil.rmtree(world.tmp / "train" / "run-1")
    world.wrap_registry = lambda registry: registry
    world.reopen()
    assert stage_again(world.host) == 1
    assert stage_again(world.host) == 0
    drive(world)
    (version,) = world.registry.versions(adapter)
    assert audit([world], adapter, [version]) == [1]


def test_the_index_follows_a_later_report(world: World, adapter: str) -> None:
    """What engines make of a version that was validated again is told anew, beside what is remembered of it."""
    version = stage(world, adapter, 1)
    drive(world)
    parts = export.Parts()
    (before,) = parts(world.registry, world.publisher)
    assert before.value()["versions"]["v1"]["engines"]["peft"]["takes"] == "yes"
    row = world.registry.validations(version.id)[-1]
    engines = {"peft": {"takes": "no", "effect": "none", "versions": "", "flags": [], "reasons": []}}
    world.registry.report(replace(row, report={**row.report, "engines": engines}, at=world.clock()))
    (after,) = parts(world.registry, world.publisher)
    assert after.value()["versions"]["v1"]["engines"]["peft"]["takes"] == "no"
    assert [after] == export.entries(world.registry, world.publisher)


def test_a_part_is_made_again_from_what_is_remembered(world: World, adapter: str) -> None:
    """A second version: the part is to the byte what it is when everything is read afresh."""
    parts = export.Parts()
    for seed in (1, 2):
        stage(world, adapter, seed)
        drive(world)
        assert parts(world.registry, world.publisher) == export.entries(world.registry, world.publisher)
