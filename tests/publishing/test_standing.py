"""The standing document is changed by compare-and-swap: nobody's word is lost, and none stands there twice."""

import json
from typing import Any

import pytest

from adapterd.core import publication as pub
from adapterd.core import standing as document
from adapterd.core.standing import Said
from adapterd.ports import AddBytes, Conflict, Hub
from adapterd.steps import standing
from helpers.hosts import World
from publishing.conftest import stage
from publishing.lines import drive

ALICE = Said("alice", "a bad batch", 7.0)


class Overtaken:
    """A Hub on which somebody else changes the standing document just before each of our first commits."""

    def __init__(self, hub: Hub, times: int) -> None:
        """Be faster so many times."""
        self._hub, self._left = hub, times

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the port has
        """Give the port's attribute."""
        return getattr(self._hub, name)

    def commit(self, repo: str, branch: str, parent: str, operations: Any, message: str) -> str:  # noqa: ANN401
        """Commit, after somebody else did."""
        if self._left:
            self._left -= 1
            theirs = document.with_hold({}, f"channel-{self._left}", Said("bob", "", 1.0))
            data = json.dumps(theirs).encode()
            self._hub.commit(repo, branch, parent, [AddBytes(pub.STANDING_FILE, data)], "theirs")
        return self._hub.commit(repo, branch, parent, operations, message)


def _yank(world: World, adapter: str) -> str:
    return standing.change(world.host, adapter, lambda d: document.with_yank(d, 1, ALICE), "v1 yanked")[1]


def test_a_change_is_committed_once_and_remembered(world: World, adapter: str) -> None:
    """The branch is made at the first change; the same again makes no commit; the registry shows what stands there."""
    stage(world, adapter, 1)
    drive(world)
    commit = _yank(world, adapter)
    refs = world.client.refs(adapter)
    assert refs.branches[pub.STANDING_BRANCH] == commit
    assert document.yanked(json.loads(world.client.read(adapter, commit, pub.STANDING_FILE))) == {1}
    assert _yank(world, adapter) == ""
    record = world.registry.repo(adapter)
    assert record is not None
    assert record.standing_head == commit
    assert document.yanked(record.standing) == {1}


def test_somebody_elses_word_is_kept(world: World, adapter: str) -> None:
    """Who is overtaken reads again and adds to what stands there now."""
    stage(world, adapter, 1)
    drive(world)
    faster = Overtaken(world.client, 2)
    world.wrap_hub = lambda _: faster
    head = world.client.log(adapter, _yank(world, adapter))
    found = json.loads(world.client.read(adapter, head[0].id, pub.STANDING_FILE))
    assert document.yanked(found) == {1}
    assert document.held(found) == {"channel-0"}


def test_others_that_are_always_faster_end_it(world: World, adapter: str) -> None:
    """After some tries it is a conflict, and nothing of ours was written."""
    stage(world, adapter, 1)
    drive(world)
    faster = Overtaken(world.client, 99)
    world.wrap_hub = lambda _: faster
    with pytest.raises(Conflict):
        _yank(world, adapter)
