"""Answers get lost and lanes overtake one another: whatever the order, nothing is lost and nothing is doubled."""

import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from adapterd import operate, reconcile
from adapterd.core.version import LIVE, AdapterVersion
from adapterd.ports import Transient
from adapterd.reconcile import LINE
from helpers.hosts import World
from publishing.conftest import stage
from publishing.crashing import HUB_EFFECTS
from publishing.lines import audit

MOST_ROUNDS = 400


class Unreliable:
    """A Hub whose answers get lost: before the effect, or after it has happened."""

    def __init__(self, hub: object, dice: random.Random) -> None:
        """Stand in for `hub`."""
        self._hub, self._dice = hub, dice

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the Hub has
        """Give the Hub's attribute; an effect, or a look at a tree, may fail on its way there or back."""
        attribute = getattr(self._hub, name)
        if name not in (*HUB_EFFECTS, "tree", "refs"):
            return attribute

        def call(*args: object, **kwargs: object) -> object:
            if self._dice.random() < 0.12:
                raise Transient(f"{name}: no connection")
            done = attribute(*args, **kwargs)
            if self._dice.random() < 0.12:
                raise Transient(f"{name}: the answer did not come")
            return done

        return call


def _settle_all(worlds: Sequence[World], dice: random.Random) -> None:
    """Turn the lanes of all hosts in any order until nothing moves; time passes a little between turns."""
    for _ in range(MOST_ROUNDS):
        world = dice.choice(worlds)
        reconcile.turn(world.host, dice.choice(LINE), world.publisher, dice.random)
        for each in worlds:
            each.clock.now += dice.choice((0, 1, 30, 900))
        if not any(v.stage in LIVE for w in worlds for v in w.registry.versions()):
            return
    raise AssertionError([(v.label, v.stage, v.reason, v.message) for w in worlds for v in w.registry.versions()])


@pytest.mark.parametrize("seed", [0, 2, 4])
def test_two_publishers_on_a_hub_whose_answers_get_lost(
    make_world: Callable[..., World], adapter: str, seed: int
) -> None:
    """Two hosts, contents of their own and one that both have: each is on the branch once, under the number it says."""
    dice = random.Random(seed)  # noqa: S311 - a schedule, not a secret
    first = make_world("a", wrap_hub=lambda hub: Unreliable(hub, dice))
    second = make_world("b", wrap_hub=lambda hub: Unreliable(hub, dice))
    good: list[AdapterVersion] = [stage(first, adapter, 1, step=5)]
    _settle_all([first], dice)
    plain, second.wrap_hub = second.wrap_hub, lambda hub: hub
    operate.adopt(second.host, adapter, "tester", "two hosts train it")
    second.wrap_hub = plain
    good += [stage(first, adapter, 2, step=5), stage(first, adapter, 3), stage(second, adapter, 4, step=5)]
    good.append(stage(second, adapter, 5))
    shared = stage(first, adapter, 6)
    assert stage(second, adapter, 6).identity == shared.identity
    _settle_all([first, second], dice)
    assert not any(v.stalled for w in (first, second) for v in w.registry.versions())
    numbers = audit([first, second], adapter, [*good, shared])
    assert len(numbers) == 6
