"""A rule of the daemon and a person move the same channel at the same time: its history keeps both, whole."""

from collections.abc import Callable
from threading import Thread
from typing import Any

from adapterd import moving
from adapterd.core import publication as pub
from adapterd.core.standing import Said
from adapterd.hub.client import HubClient
from adapterd.moving import history
from adapterd.ports import Hub
from helpers.hosts import TOKEN, World
from publishing.conftest import stage
from publishing.lines import audit, drive

SAID = Said("ada", "a customer asks", 0.0)


def test_a_promoter_and_a_rule_collide_and_both_are_told(make_world: Callable[..., World], adapter: str) -> None:
    """While versions are published and promoted, a person moves the channel to and fro; nothing is lost or undone."""
    world = make_world()
    good = []
    for seed in (1, 2):
        good.append(stage(world, adapter, seed))
        drive(world)
    client = HubClient(world.endpoint, TOKEN, xet=False, ca_file=None, proxy=None, deadline=20.0)
    by_hand: list[moving.Moved] = []

    def person() -> None:
        by_hand.extend(moving.promote(client, adapter, 1 + turn % 2, "main", SAID) for turn in range(10))

    thread = Thread(target=person)
    thread.start()
    for seed in (3, 4, 5):
        good.append(stage(world, adapter, seed))
        drive(world)
    thread.join()
    drive(world)
    client.close()
    assert audit([world], adapter, good) == [1, 2, 3, 4, 5]
    moves = history.read(world.client, adapter, "main", world.client.refs(adapter).branches["main"])
    assert {done.commit for done in by_hand if not done.done} == {move.commit for move in moves if move.by_hand}
    rule = [move.number for move in reversed(moves) if not move.by_hand]
    assert rule == sorted({number for number in rule if number}), "a rule went back, or twice to one"
    assert (len(by_hand), rule[-1]) == (10, 5)
    for move in moves:
        there, tag = (world.client.tree(adapter, at) for at in (move.commit, f"v{move.number}"))
        own = (pub.CARD, pub.PICTURE, ".gitattributes")
        assert all(there.get(path) == file for path, file in tag.items() if path not in own)


class Overtaken:
    """A Hub at which a person is faster: once, right before the daemon's commit to main."""

    def __init__(self, hub: Hub, acts: list[Callable[[], object]]) -> None:
        """Do each of `acts` once, the next one at the next commit."""
        self._hub, self._acts = hub, acts

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the port has
        """Give the port's own."""
        return getattr(self._hub, name)

    def commit(self, repo: str, branch: str, *rest: Any) -> str:  # noqa: ANN401 - passed on
        """Let the person go first."""
        if branch == "main" and self._acts:
            self._acts.pop(0)()
        return self._hub.commit(repo, branch, *rest)


def test_a_rule_that_was_overtaken_comes_after_the_person(make_world: Callable[..., World], adapter: str) -> None:
    """The head moved between its look and its commit, twice: both of the person's moves stay in the history, once."""
    acts: list[Callable[[], object]] = []
    world = make_world("o", wrap_hub=lambda hub: Overtaken(hub, acts))
    good = []
    for seed in (1, 2, 3):
        if seed == 3:
            acts += [lambda n=n: moving.promote(world.client, adapter, n, "main", SAID) for n in (1, 2)]  # type: ignore[misc]
        good.append(stage(world, adapter, seed))
        drive(world)
    assert audit([world], adapter, good) == [1, 2, 3]
    moves = history.read(world.client, adapter, "main", world.client.refs(adapter).branches["main"])
    told = [(move.number, move.by_hand) for move in reversed(moves)]
    assert told == [(1, False), (2, False), (1, True), (2, True), (3, False)]
