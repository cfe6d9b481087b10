"""A root that moved to another path: series stall by name until they are bound anew; nothing is lost or taken twice."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from adapterd.rebinding import RebindError, rebind
from helpers.adapters import write_adapter
from steps.conftest import Site

MakeSite = Callable[..., Site]


def moved(site: Site, *, copied: bool = False) -> None:
    """Move the root, and tell the configuration."""
    new = site.tmp / "moved"
    (shutil.copytree if copied else shutil.move)(site.root, new)
    site.root = new


@pytest.fixture
def old(make_site: MakeSite) -> Site:
    """A root with a backlog, and a version that was taken since."""
    site = make_site(checkpoints="all")
    write_adapter(site.root / "support" / "checkpoint-10", seed=10)
    site.turn()
    write_adapter(site.root / "support" / "checkpoint-20", seed=20)
    assert [v.step for v in site.turn()] == [20]
    return site


@pytest.mark.parametrize("copied", [False, True])
def test_what_comes_after_the_move_stalls_until_the_series_is_bound_anew(old: Site, *, copied: bool) -> None:
    """The backlog stays one, what was taken is no second version, what came meanwhile and what stalled is taken."""
    moved(old, copied=copied)
    write_adapter(old.root / "support" / "checkpoint-30", seed=30)
    old.turn()
    write_adapter(old.root / "support" / "checkpoint-40", seed=40)
    assert old.rest() == []
    assert old.states()["support/checkpoint-40"] == "stalled:name_collision"
    assert rebind(old.host, "acme/Support", str(old.root))[0] == str(old.tmp / "train")
    taken = {v.step for v in old.rest()}
    assert {30, 40} <= taken <= {20, 30, 40}
    assert sorted(v.step or 0 for v in old.registry.versions()) == [20, 30, 40]
    assert old.states()["support/checkpoint-10"] == "baseline"
    assert {s.root for v in old.registry.versions() for s in old.sightings(v)} == {str(old.root)}


def test_bound_before_the_first_look_nothing_is_baseline_that_was_not(old: Site) -> None:
    """What came since the last look at the old path is new."""
    moved(old)
    write_adapter(old.root / "support" / "checkpoint-30", seed=30)
    rebind(old.host, "acme/support", str(old.root))
    assert [v.step for v in old.turn()] == [30]
    assert old.states() == {
        "support/checkpoint-10": "baseline",
        "support/checkpoint-20": "settled",
        "support/checkpoint-30": "settled",
    }


def test_a_series_that_moves_alone_takes_only_its_own_directories(old: Site) -> None:
    """While the old root is still watched: what was its backlog stays that, and the new root keeps its own."""
    other = old.tmp / "other"
    old.extra = f"- {{path: {other}, checkpoints: all}}"
    write_adapter(other / "billing" / "checkpoint-1", seed=1)
    old.turn()
    shutil.move(old.root / "support", other / "support")
    assert old.rest() == []
    assert rebind(old.host, "acme/support", str(other)) == (str(old.root), 2)
    assert old.rest() == []
    states = {seen.path: seen.state for seen in old.registry.observations(str(other))}
    assert states == {
        "billing/checkpoint-1": "baseline",
        "support/checkpoint-10": "baseline",
        "support/checkpoint-20": "settled",
    }


def test_only_a_known_series_follows_to_a_configured_root(old: Site) -> None:
    """Anything else changes nothing."""
    for adapter, root in (("acme/other", old.root), ("acme/support", Path("/nowhere"))):
        with pytest.raises(RebindError) as caught:
            rebind(old.host, adapter, str(root))
        assert caught.value.hint
    assert rebind(old.host, "acme/support", str(old.root)) == (str(old.root), 0)
