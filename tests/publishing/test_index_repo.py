"""One index repo, several publishers and a promoter: nobody's word is lost, and the cost does not grow."""

import json
import threading
from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import Any

import jsonschema
import pytest

from adapterd import moving
from adapterd.core import index, messages
from adapterd.core import publication as pub
from adapterd.core.version import AdapterVersion, Stage
from adapterd.deploy import read_catalogue
from adapterd.hub.server import RunningHub
from adapterd.moving import listing
from adapterd.ports import AddBytes, NotFound
from adapterd.steps import export
from adapterd.steps.rebuild import rebuild
from helpers.hosts import World
from publishing.conftest import stage
from publishing.lines import drive

MakeWorld = Callable[..., World]


@pytest.fixture
def repo(adapter: str) -> str:
    """The id of an index repo of this test's own."""
    return f"acme/index-of-{adapter.rpartition('-')[2]}"


@pytest.fixture
def publisher(make_world: MakeWorld, repo: str) -> Callable[[str], World]:
    """Make publishers that share the index repo."""

    def make(name: str = "a") -> World:
        world = make_world(name)
        world.extra["hub"] = f"{{endpoint: '{world.endpoint}', namespace: acme, index_repo: {repo.split('/')[1]}}}"
        world.reopen()
        return world

    return make


def write(world: World) -> bool:
    """One round of a publisher's export."""
    return export.export_to_hub(world.host, export.entries(world.registry, world.publisher))


def gathered(world: World, repo: str) -> dict[str, Any]:
    """The adapters in the ``index.json`` of the repo, which is held against its schema and against its parts."""
    head = world.client.refs(repo).branches["main"]
    document = json.loads(world.client.read(repo, head, "index.json"))
    schema = json.loads((files("adapterd") / "schemas" / "index.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(document)
    summaries = {}
    for path, file in world.client.tree(repo, head).items():
        if index.is_part(path):
            summaries[path] = index.summary(index.part_of(world.client.read(repo, head, path)), file.blob)
    assert document == json.loads(index.gathered(summaries))
    found: dict[str, Any] = document["adapters"]
    return found


def move_by_hand(world: World, adapter: str, number: int, channel: str = "main") -> None:
    """Move a channel as a person does who has the Hub alone, and tell the index."""
    client, repo = world.client, f"acme/{world.host.config.hub.index_repo}"
    refs = client.refs(adapter)
    commit = refs.tags[f"v{number}"]
    said = next(s for c in client.log(adapter, pub.BRANCH) if c.id == commit and (s := messages.trailers(c.message)))
    held = moving.read(client, adapter, channel, refs)
    moving.move(client, adapter, held, pub.Committed(commit, said), moving.Why("by hand", "", "alice", "a test"))
    moving.refresh(client, repo, adapter)


def together(jobs: Sequence[Callable[[], object]]) -> None:
    """Run these side by side; raise what one of them raises."""
    faults: list[BaseException] = []
    start = threading.Barrier(len(jobs))

    def run(job: Callable[[], object]) -> None:
        start.wait(20)
        try:
            job()
        except BaseException as error:  # noqa: BLE001 - raised again by the caller
            faults.append(error)

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]


def test_publishers_and_a_promoter_side_by_side_lose_nothing(
    publisher: Callable[[str], World], adapter: str, repo: str
) -> None:
    """Three publishers write at once while a person moves a channel: every part and every move is in the index."""
    worlds = [publisher(name) for name in ("a", "b", "c")]
    names = [f"{adapter}-{world.publisher[-1]}" for world in worlds]
    for world, name in zip(worlds, names, strict=True):
        stage(world, name, 1)
        stage(world, name, 2)
        drive(world)
    write(worlds[0])
    for world, name in zip(worlds, names, strict=True):
        stage(world, name, 3, step=5)
        drive(world)
    together([*(lambda w=world: write(w) for world in worlds), lambda: move_by_hand(worlds[0], names[0], 1)])
    found = gathered(worlds[0], repo)
    assert list(found) == names
    assert [entry["publisher"] for entry in found.values()] == [world.publisher for world in worlds]
    assert [sorted(entry["versions"]) for entry in found.values()] == [["v1", "v2", "v3"]] * 3
    assert [entry["channels"]["main"] for entry in found.values()] == ["v1", "v2", "v2"]
    assert not any(write(world) for world in worlds)


def test_a_daemon_that_did_not_look_yet_does_not_take_a_persons_move_back(
    publisher: Callable[[str], World], adapter: str, repo: str
) -> None:
    """Its registry says v2, a person went back to v1 and yanked v2: its next version keeps both in the index."""
    world = publisher("a")
    stage(world, adapter, 1)
    stage(world, adapter, 2)
    drive(world)
    write(world)
    moving.change(
        world.client, adapter, lambda d: {**d, "schema": 1, "yanks": [{"number": 2, "reason": "bad"}]}, "yank"
    )
    move_by_hand(world, adapter, 1)
    stage(world, adapter, 3, step=7)
    drive(world)
    write(world)
    entry = gathered(world, repo)[adapter]
    assert entry["channels"] == {"main": "v1"}
    assert (entry["versions"]["v2"]["yanked"], entry["versions"]["v2"]["yank_reason"]) == (True, "bad")
    assert sorted(entry["versions"]) == ["v1", "v2", "v3"]


def others(count: int) -> dict[str, dict[str, Any]]:
    """Parts of another publisher."""
    return {
        index.path_of(f"acme/other-{n}"): index.adapter_entry(
            f"acme/other-{n}",
            "publisher-z",
            "acme/base",
            [AdapterVersion(1, "a/b", "a" * 64, "b" * 64, 1, Stage.PUBLISHED, number=1, commit="c" * 40)],
            {"main": 1},
            {},
        )
        for n in range(count)
    }


def test_an_update_costs_the_same_however_many_adapters_there_are(
    publisher: Callable[[str], World], hub: RunningHub, adapter: str, repo: str
) -> None:
    """Refs, tree, index, and a commit of two requests; one request more where a channel moved; three at rest."""
    world = publisher("a")
    world.client.create_repo(repo, private=True)
    stage(world, adapter, 1)
    drive(world)
    counts = []
    for size in (2, 60):
        parts = others(size)
        listing.change(world.client, repo, lambda _, parts=parts: parts)  # type: ignore[misc]  # the default binds the loop's variable
        stage(world, adapter, 10 + size, step=size)
        drive(world)
        write(world)
        stage(world, adapter, 20 + size, step=size)
        drive(world)
        hub.requests.clear()
        assert write(world)
        counts.append(len(hub.requests))
        hub.requests.clear()
        assert not write(world)
        assert len(hub.requests) == 3
    assert counts == [5, 5]
    stage(world, adapter, 90)
    drive(world)
    hub.requests.clear()
    assert write(world)
    assert len(hub.requests) == 6


def test_a_damaged_index_is_made_anew_from_the_parts(
    publisher: Callable[[str], World], adapter: str, repo: str
) -> None:
    """Whoever writes next heals it, from every part as it lies there."""
    world = publisher("a")
    stage(world, adapter, 1)
    drive(world)
    write(world)
    listing.change(world.client, repo, lambda _: others(2))
    before = gathered(world, repo)
    for damage in (b"", b"{", b"[]", b'{"adapters": {"acme/x": {"part": 7}}}', b'{"adapters": []}'):
        head = world.client.refs(repo).branches["main"]
        world.client.commit(repo, "main", head, [AddBytes("index.json", damage)], "damage")
        assert write(world)
        assert gathered(world, repo) == before


def test_another_publishers_part_cannot_spoil_the_index(
    publisher: Callable[[str], World], adapter: str, repo: str
) -> None:
    """Junk, another's name, a newer schema and a huge file: the others' entries stay, and the bytes are left alone."""
    world = publisher("a")
    world.client.create_repo(repo, private=True)
    mine = json.dumps({"adapter": adapter, "publisher": "z", "versions": {}, "channels": {}, "schema": 1})
    parts = {
        "adapters/junk.json": b"[" * 50_000,
        "adapters/list.json": b"[1, 2]",
        "adapters/liar.json": mine.encode(),
        "adapters/newer.json": b'{"schema": 2, "adapter": "acme/newer", "versions": 3}',
        "adapters/huge.json": b" " * (listing.LARGEST + 1),
        "adapters/deep/er.json": b"{}",
        "README.md": b"# A person's own",
    }
    head = world.client.refs(repo).branches["main"]
    world.client.commit(repo, "main", head, [AddBytes(path, data) for path, data in parts.items()], "theirs")
    stage(world, adapter, 1)
    drive(world)
    assert write(world)
    catalogue, _ = read_catalogue(world.client, repo)
    assert catalogue is not None
    assert list(catalogue.entries) == [adapter]
    assert list(catalogue.faults) == ["acme/newer"]
    assert catalogue.entry(adapter).publisher == world.publisher
    tree = world.client.tree(repo, "main")
    assert all(tree[path].size == len(data) for path, data in parts.items())


def test_what_a_rebuilt_registry_forgot_stays_in_the_index(
    publisher: Callable[[str], World], adapter: str, repo: str
) -> None:
    """When a version was published is told by the present part, as long as it is the very same version."""
    world = publisher("a")
    stage(world, adapter, 1)
    drive(world)
    write(world)
    before = gathered(world, repo)[adapter]["versions"]["v1"]
    assert before["published"]
    world.lose_registry()
    rebuild(world.host, [adapter], lambda _: None)
    stage(world, adapter, 2)
    drive(world)
    assert write(world)
    assert gathered(world, repo)[adapter]["versions"]["v1"] == before


def test_a_refresh_is_for_what_the_index_has(publisher: Callable[[str], World], adapter: str, repo: str) -> None:
    """Without a part nothing is written; a part that is right already costs no commit; no index is not found."""
    world = publisher("a")
    with pytest.raises(NotFound):
        moving.refresh(world.client, repo, adapter)
    stage(world, adapter, 1)
    drive(world)
    write(world)
    assert not moving.refresh(world.client, repo, adapter)
    assert not moving.refresh(world.client, repo, "acme/not-there")
