"""Whoever acts may die before or after every effect at the Hub; the same again makes it whole."""

from collections.abc import Callable
from typing import Any

import pytest

from adapterd import moving
from adapterd.core.standing import held
from adapterd.hub.client import HubClient
from adapterd.moving import history
from moving.series import SAID, Series
from publishing.crashing import HUB_EFFECTS, Crash, Fuse, Mortal

Act = Callable[[Any, str], object]

ACTS: dict[str, Act] = {
    "promote": lambda hub, repo: moving.promote(hub, repo, 3, "main", SAID),
    "promote to a new channel": lambda hub, repo: moving.promote(hub, repo, 3, "stable", SAID),
    "rollback": lambda hub, repo: moving.rollback(hub, repo, "main", None, SAID),
    "yank": lambda hub, repo: moving.yank(hub, repo, 3, SAID),
}


def ready(hub: HubClient) -> Series:
    """A repo whose main held v1 and holds v2."""
    series = Series(hub, 3, large=False)
    for number in (1, 2):
        moving.promote(hub, series.adapter, number, "main", SAID)
    return series


def look(series: Series) -> tuple[object, ...]:
    """All that an act may change: what each channel holds and held, and what is held and yanked."""
    refs = series.hub.refs(series.adapter)
    names = [name for name in refs.branches if name in ("main", "stable")]
    moves = {
        name: [m.number for m in history.read(series.hub, series.adapter, name, refs.branches[name])] for name in names
    }
    said = series.standing() if "standing" in refs.branches else {}
    return {name: series.holds(name) for name in names}, moves, held(said), said.get("yanks")


@pytest.mark.parametrize("name", ACTS)
def test_an_act_that_died_is_completed_by_the_same_again(hub: HubClient, name: str) -> None:
    """One life for each place before and after an effect; all of them end alike, and a third time changes nothing."""
    act = ACTS[name]
    fuse, whole = Fuse(None), ready(hub)
    act(Mortal(hub, HUB_EFFECTS, fuse), whole.adapter)
    wanted, places = look(whole), list(fuse.places)
    assert "after commit" in places
    for at in range(len(places)):
        series, fuse = ready(hub), Fuse(at)
        with pytest.raises(Crash):
            act(Mortal(hub, HUB_EFFECTS, fuse), series.adapter)
        act(hub, series.adapter)
        assert look(series) == wanted, places[at]
        act(hub, series.adapter)
        assert look(series) == wanted
