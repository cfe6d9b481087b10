"""Words on the Hub are not believed: trailers, manifests and tags are held against the bytes."""

import json
from collections.abc import Callable

from adapterd import operate
from adapterd.core import messages
from adapterd.core import publication as pub
from adapterd.core.version import AdapterVersion, Stage
from adapterd.ports import AddBytes, Delete
from helpers.adapters import weights
from helpers.hosts import World
from publishing.conftest import stage
from publishing.lines import audit, drive


def _now(world: World, version: AdapterVersion) -> AdapterVersion:
    found = world.registry.version(version.id)
    assert found is not None
    return found


def _forge(world: World, adapter: str, identity: str, *changes: AddBytes) -> None:
    """Commit what calls itself v2 with this identity, and tag it: a manifest and trailers can be written by anybody."""
    head = world.client.refs(adapter).branches[pub.BRANCH]
    document = json.loads(world.client.read(adapter, head, pub.MANIFEST))
    document |= {"number": 2, "identity": {**document["identity"], "digest": identity}}
    message = messages.with_trailers("v2: looks right", "", messages.Trailers(identity, 2, "somebody"))
    operations = [AddBytes(pub.MANIFEST, json.dumps(document).encode()), *changes]
    commit = world.client.commit(adapter, pub.BRANCH, head, operations, message)
    world.client.create_tag(adapter, "v2", commit)


def test_a_forged_commit_under_our_identity_is_never_taken_for_the_version(world: World, adapter: str) -> None:
    """Trailers, manifest and tag say that it is our content, the weights are others: it stalls, unpublished."""
    stage(world, adapter, 1)
    drive(world)
    version = stage(world, adapter, 2)
    _forge(world, adapter, version.identity, AddBytes("adapter_model.safetensors", weights(seed=666)))
    drive(world)
    found = _now(world, version)
    assert (found.stage, found.stalled, found.reason) == (Stage.VALIDATED, True, "tree_differs")


def test_a_tagged_commit_with_code_beside_the_right_bytes_is_not_taken_over(
    make_world: Callable[..., World], adapter: str
) -> None:
    """The identity is right, but something lies there that nobody validated: a person must look."""
    first, second = make_world("a"), make_world("b")
    stage(first, adapter, 1)
    drive(first)
    operate.adopt(second.host, adapter, "tester", "")
    head = first.client.refs(adapter).branches[pub.BRANCH]
    version = stage(second, adapter, 1)
    document = json.loads(first.client.read(adapter, head, pub.MANIFEST)) | {"number": 2}
    changes = [AddBytes(pub.MANIFEST, json.dumps(document).encode()), AddBytes("modeling.py", b"print()")]
    message = messages.with_trailers("v2", "", messages.Trailers(version.identity, 2, "somebody"))
    commit = first.client.commit(adapter, pub.BRANCH, head, changes, message)
    first.client.create_tag(adapter, "v2", commit)
    first.client.commit(adapter, pub.BRANCH, commit, [Delete("modeling.py")], "hide it")
    drive(second)
    found = _now(second, version)
    assert (found.stage, found.stalled, found.reason) == (Stage.VALIDATED, True, "tree_differs")


def test_a_branch_named_versions_that_somebody_filled_is_not_emptied(world: World, adapter: str) -> None:
    """Somebody's repo may have a branch of that name: nothing on it is deleted, and nothing is committed."""
    client = world.client
    client.create_repo(adapter, private=True)
    head = client.refs(adapter).branches["main"]
    client.create_branch(adapter, pub.BRANCH, head)
    mine = client.commit(adapter, pub.BRANCH, head, [AddBytes("thesis.txt", b"years of work")], "mine")
    version = stage(world, adapter, 1)
    drive(world)
    found = _now(world, version)
    assert (found.stalled, found.reason) == (True, "repo_not_ours")
    assert client.refs(adapter).branches[pub.BRANCH] == mine
    operate.adopt(world.host, adapter, "tester", "it may go")
    drive(world)
    assert audit([world], adapter, [version]) == [1]


def test_an_adopted_repo_under_another_name_goes_on(make_world: Callable[..., World], adapter: str) -> None:
    """Its manifests name what it was called before: whoever adopts it says that it is this adapter."""
    first, second = make_world("a"), make_world("b")
    old, new = f"{adapter}-old", f"{adapter}-new"
    stage(first, old, 1)
    drive(first)
    client = first.client
    client.create_repo(new, private=True)
    main = client.refs(new).branches["main"]
    files = [AddBytes(p, client.read(old, "v1", p)) for p in client.tree(old, "v1") if p != ".gitattributes"]
    client.create_branch(new, pub.BRANCH, main)
    (said,) = [c.message for c in client.log(old, pub.BRANCH) if messages.trailers(c.message)]
    client.create_tag(new, "v1", client.commit(new, pub.BRANCH, main, files, said))
    version = stage(second, new, 2)
    drive(second)
    assert _now(second, version).reason == "repo_not_ours"
    operate.adopt(second.host, new, "tester", "renamed")
    drive(second)
    assert _now(second, version).number == 2


def test_a_version_that_was_overtaken_between_commit_and_tag_is_not_committed_again(
    make_world: Callable[..., World], adapter: str
) -> None:
    """Its commit is on the branch, another version was tagged above it: it finds its own commit and tags that."""
    from adapterd.ports import Transient  # noqa: PLC0415

    class Failing:
        """A Hub whose first answer to a tag does not come."""

        def __init__(self, hub: object) -> None:
            self._hub = hub

        def __getattr__(self, name: str) -> object:
            if name == "create_tag" and not failed:
                failed.append(name)
                raise Transient("the Hub does not answer")
            return getattr(self._hub, name)

    failed: list[str] = []
    world = make_world(wrap_hub=Failing)
    good = [stage(world, adapter, 1, step=5), stage(world, adapter, 2)]
    drive(world)
    assert failed
    assert audit([world], adapter, good) == [1, 2]
    # And a head is remembered again, once nothing untagged lies below it.
    good.append(stage(world, adapter, 3))
    drive(world)
    record = world.registry.repo(adapter)
    assert record is not None
    assert record.versions_head == _now(world, good[-1]).commit


def test_a_tag_by_hand_with_the_highest_number_stalls(world: World, adapter: str) -> None:
    """There is no number above it; a longer one would be no version tag any more."""
    first = stage(world, adapter, 1)
    drive(world)
    world.client.create_tag(adapter, "v999999999", _now(world, first).commit or "")
    second = stage(world, adapter, 2)
    drive(world)
    assert (_now(world, second).stalled, _now(world, second).reason) == (True, "foreign_tag")
    assert _now(world, second).number is None
