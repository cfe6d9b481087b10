"""What publish will not do: each stalls with its reason, and nothing is lost."""

from collections.abc import Callable
from pathlib import Path

import pytest

from adapterd.core import publication as pub
from adapterd.core.version import AdapterVersion, Stage
from adapterd.ports import AddBytes, NotFound
from helpers.hosts import World
from publishing.conftest import stage
from publishing.lines import audit, drive


def _now(world: World, version: AdapterVersion) -> AdapterVersion:
    found = world.registry.version(version.id)
    assert found is not None
    return found


def _stalls(world: World, version: AdapterVersion, code: str) -> None:
    drive(world)
    found = _now(world, version)
    assert (found.stalled, found.reason) == (True, code), found
    assert found.hint
    assert found.stage is Stage.VALIDATED


def test_a_repo_that_holds_somebodys_files_stalls_until_it_is_adopted(world: World, adapter: str) -> None:
    """Nothing is committed to a repo that adapterd did not fill; adopting it lets the version go on."""
    from adapterd import operate  # noqa: PLC0415

    world.client.create_repo(adapter, private=True)
    head = world.client.refs(adapter).branches["main"]
    world.client.commit(adapter, "main", head, [AddBytes("notes.txt", b"mine")], "by hand")
    version = stage(world, adapter, 1)
    _stalls(world, version, "repo_not_ours")
    assert pub.BRANCH not in world.client.refs(adapter).branches
    operate.adopt(world.host, adapter, "tester", "it is ours now")
    drive(world)
    assert _now(world, version).stage is Stage.PUBLISHED
    assert "notes.txt" not in world.client.tree(adapter, "v1")
    assert world.client.read(adapter, "main", "notes.txt") == b"mine"


def test_another_publishers_repo_stalls(make_world: Callable[..., World], adapter: str) -> None:
    """A repo that another publisher fills is not ours until it is adopted."""
    first, second = make_world("a"), make_world("b")
    stage(first, adapter, 1)
    drive(first)
    _stalls(second, stage(second, adapter, 2), "repo_not_ours")


def test_a_file_that_somebody_added_to_the_versions_stalls(world: World, adapter: str) -> None:
    """A foreign path on the branch `versions` is never carried into a version."""
    first = stage(world, adapter, 1)
    drive(world)
    head = _now(world, first).commit or ""
    world.client.commit(adapter, pub.BRANCH, head, [AddBytes("malware.py", b"print()")], "by hand")
    _stalls(world, stage(world, adapter, 2), "foreign_file")


def test_a_version_tag_that_somebody_made_by_hand_is_stepped_over(world: World, adapter: str) -> None:
    """A person tagged v2: the next version becomes v3, and v2 stays what it was."""
    first = stage(world, adapter, 1)
    drive(world)
    world.client.create_tag(adapter, "v2", _now(world, first).commit or "")
    second = stage(world, adapter, 2)
    drive(world)
    assert _now(world, second).number == 3
    assert world.client.refs(adapter).tags["v2"] == _now(world, first).commit


def test_a_public_repo_stalls_where_private_is_configured(world: World, adapter: str) -> None:
    """Visibility is never flipped; a repo that is public all the same waits for a person."""
    world.client.create_repo(adapter, private=False)
    _stalls(world, stage(world, adapter, 1), "visibility_differs")
    assert world.client.is_private(adapter) is False


def test_a_repo_that_vanished_is_never_made_again(world: World, adapter: str) -> None:
    """It held versions and is gone: an empty repo in its place would number them anew."""
    from huggingface_hub import HfApi  # noqa: PLC0415 - the real client deletes it, as a person would

    stage(world, adapter, 1)
    drive(world)
    HfApi(endpoint=world.endpoint, token=world.token).delete_repo(adapter)
    _stalls(world, stage(world, adapter, 2), "repo_vanished")
    with pytest.raises(NotFound):
        world.client.refs(adapter)


def test_no_repo_is_made_where_a_person_makes_them(make_world: Callable[..., World], adapter: str) -> None:
    """`create_repos: false` stalls until the repo is there, and then goes on."""
    from adapterd import operate  # noqa: PLC0415

    world = make_world()
    world.extra["hub"] = f"{{endpoint: '{world.endpoint}', namespace: acme, create_repos: false}}"
    world.reopen()
    version = stage(world, adapter, 1)
    _stalls(world, version, "repo_missing")
    world.client.create_repo(adapter, private=True)
    operate.retry(world.host, adapter, "tester", "made it")
    drive(world)
    assert _now(world, version).stage is Stage.PUBLISHED


def test_a_missing_token_stalls_and_a_later_one_goes_on(world: World, adapter: str) -> None:
    """Without a token nothing is asked of the Hub; nothing is lost."""
    from adapterd import operate  # noqa: PLC0415

    version = stage(world, adapter, 1)
    token = world.token
    world.with_token(None)
    _stalls(world, version, "token_missing")
    world.with_token(token)
    operate.retry(world.host, version.label, "tester", "")
    drive(world)
    assert audit([world], adapter, [version]) == [1]


@pytest.mark.parametrize("token", ["hf_" + "r" * 34, "hf_" + "w" * 34], ids=["read-only", "wrong"])
def test_a_token_that_may_not_write_stalls(world: World, adapter: str, token: str) -> None:
    """A read-only or unknown token is a matter for a person, and the hint says which, whatever the adapter's name."""
    version = stage(world, f"{adapter}-card-metadata", 1)
    world.with_token(token)
    _stalls(world, version, "denied")


def test_a_hub_that_is_down_is_waited_for(make_world: Callable[..., World], adapter: str) -> None:
    """Nothing answers: the version waits, and no attempt counts against it."""
    from adapterd import reconcile  # noqa: PLC0415
    from adapterd.reconcile import LINE  # noqa: PLC0415

    world = make_world()
    version = stage(world, adapter, 1)
    world.endpoint = "http://127.0.0.1:9"
    world.with_token(world.token)
    for arrow in LINE:
        reconcile.turn(world.host, arrow, world.publisher, lambda: 0.5)
    found = _now(world, version)
    assert (found.stage, found.reason, found.stalled) == (Stage.VALIDATED, "hub_unreachable", False)
    assert found.due_at > world.clock.now
    assert found.attempts == 0


def test_a_snapshot_that_the_disk_damaged_is_never_sent(world: World, adapter: str) -> None:
    """The spool is hashed again before the commit; other bytes than were validated stall."""
    version = stage(world, adapter, 1)
    weights = world.host.spool.payload(adapter, version.tree) / "adapter_model.safetensors"
    drive_only_validation(world)
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(bytes(data))
    _stalls(world, version, "snapshot_damaged")


def drive_only_validation(world: World) -> None:
    """Bring what is staged to VALIDATED, and no further."""
    from adapterd import reconcile  # noqa: PLC0415
    from adapterd.reconcile import LINE  # noqa: PLC0415

    while reconcile.turn(world.host, LINE[0], world.publisher, lambda: 0.5):
        pass


def test_a_changed_policy_validates_again_before_publishing(world: World, adapter: str) -> None:
    """A pass under yesterday's limits is no pass today: the version goes back to the worker first."""
    version = stage(world, adapter, 1)
    drive_only_validation(world)
    assert len(world.validator.asked) == 1
    world.extra["validation"] = "{probe_tokens: 32}"
    world.reopen()
    drive(world)
    assert len(world.validator.asked) == 2
    assert _now(world, version).stage is Stage.PUBLISHED


def test_what_a_person_wrote_into_the_card_stays(world: World, adapter: str) -> None:
    """The managed block is replaced; text and metadata around it are kept from version to version."""
    first = stage(world, adapter, 1)
    drive(world)
    card = world.client.read(adapter, "versions", "README.md").decode()
    edited = card.replace("---\n\n", "inference: false\n---\n\nOur own words.\n\n", 1)
    world.client.commit(
        adapter, "versions", _now(world, first).commit or "", [AddBytes("README.md", edited.encode())], "x"
    )
    stage(world, adapter, 2)
    drive(world)
    text = world.client.read(adapter, "v2", "README.md").decode()
    assert "Our own words." in text
    assert "inference: false" in text
    assert "# " in text
    assert text.count("adapterd:begin") == 1


def test_a_channel_that_somebody_moved_stalls_and_the_version_is_published_all_the_same(
    world: World, adapter: str
) -> None:
    """Weights by hand on `main` are drift: the channel stalls, the tag is there."""
    stage(world, adapter, 1)
    drive(world)
    head = world.client.refs(adapter).branches["main"]
    other = [AddBytes("adapter_config.json", b"{}")]
    world.client.commit(adapter, "main", head, other, "by hand")
    second = stage(world, adapter, 2)
    drive(world)
    assert _now(world, second).stage is Stage.PUBLISHED
    (main,) = [c for c in world.registry.channels(adapter) if c.channel == "main"]
    assert (main.stalled, main.reason, main.number) == (True, "channel_drift", 1)


def test_checkpoints_never_reach_main(world: World, adapter: str, tmp_path: Path) -> None:
    """`main` holds the newest final; a later checkpoint gets its tag and nothing else."""
    stage(world, adapter, 1)
    drive(world)
    late = stage(world, adapter, 2, step=10)
    drive(world)
    assert _now(world, late).number == 2
    (main,) = [c for c in world.registry.channels(adapter) if c.channel == "main"]
    assert main.number == 1
    assert world.client.read(adapter, "main", pub.MANIFEST) == world.client.read(adapter, "v1", pub.MANIFEST)
    assert tmp_path.exists()
