"""What a follower does next follows from one reading of shelf, engines, aliases and clock."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from adapterd.core.following import (
    Action,
    Check,
    Drain,
    Followed,
    Forget,
    Golden,
    Listing,
    Load,
    Pull,
    Switch,
    Unload,
    View,
    decide,
    drains_left,
    settled,
)

V1, V2 = "acme-sql@v1-aaaaaaa", "acme-sql@v2-bbbbbbb"
SQL = Followed("sql", "acme/sql", V2, ("a", "b"))


def lists(*names: str) -> Listing:
    """An engine that has loaded these from our folder."""
    return Listing(frozenset(names), frozenset(names))


AT_REST = View((SQL,), {V1, V2}, {"a": lists(V2), "b": lists(V2)}, {"sql": V2}, now=100.0, drain=30.0)
BEFORE = replace(AT_REST, shelf={V1}, engines={"a": lists(V1), "b": lists(V1)}, aliases={"sql": V1})
PULLED = replace(BEFORE, shelf={V1, V2})
LOADED = replace(PULLED, engines={"a": lists(V1, V2), "b": lists(V1, V2)})
SWITCHED = replace(LOADED, aliases={"sql": V2})
DRAINING = replace(SWITCHED, drains={("a", V1): 130.0, ("b", V1): 130.0})
HALF = replace(PULLED, engines={"a": lists(V1, V2), "b": None})


@pytest.mark.parametrize(
    ("view", "actions"),
    [
        pytest.param(AT_REST, [], id="at rest there is nothing to do"),
        pytest.param(BEFORE, [Pull("sql", V2)], id="a new version is pulled first"),
        pytest.param(PULLED, [Load("a", "sql", V2), Load("b", "sql", V2)], id="then loaded on every engine"),
        pytest.param(LOADED, [Switch("sql", V2, V1)], id="then the stable name means it"),
        pytest.param(SWITCHED, [Drain("a", V1, 130.0), Drain("b", V1, 130.0)], id="then the former one drains"),
        pytest.param(DRAINING, [], id="while it drains it stays"),
        pytest.param(
            replace(DRAINING, now=130.0), [Unload("a", "sql", V1), Unload("b", "sql", V1)], id="then it is unloaded"
        ),
        pytest.param(
            replace(DRAINING, drains={("a", V1): 1e9, ("b", V1): 1e9}),
            [Drain("a", V1, 130.0), Drain("b", V1, 130.0)],
            id="a clock that was set back does not keep it for ever",
        ),
        pytest.param(
            replace(AT_REST, engines={"a": lists(), "b": lists(V2)}), [Load("a", "sql", V2)], id="a restarted engine"
        ),
        pytest.param(
            replace(BEFORE, engines={"a": lists(), "b": lists(V1)}),
            [Load("a", "sql", V1), Pull("sql", V2)],
            id="a restarted engine first gets what its name means now",
        ),
        pytest.param(HALF, [], id="a silent engine keeps the old one for all"),
        pytest.param(replace(HALF, given_up=("b",)), [Switch("sql", V2, V1)], id="but not for ever"),
        pytest.param(
            replace(HALF, aliases={}, engines={"a": lists(V2), "b": None}),
            [Switch("sql", V2, "")],
            id="nor a name that meant nothing before",
        ),
        pytest.param(
            replace(HALF, aliases={}, engines={"a": None, "b": None}), [], id="which waits for one that answers"
        ),
        pytest.param(
            replace(PULLED, engines={"a": lists(V1), "b": lists(V1, V2)}, held=[Load("a", "sql", V2)]),
            [],
            id="an engine that refuses keeps the old one",
        ),
        pytest.param(replace(BEFORE, held=[Pull("sql", V2)]), [], id="what failed is not tried again at once"),
        pytest.param(
            replace(LOADED, golden=Golden.WARN),
            [Check("a", "sql", V2), Check("b", "sql", V2)],
            id="a golden check comes before the switch",
        ),
        pytest.param(
            replace(LOADED, golden=Golden.WARN, checked={("a", V2): True, ("b", V2): False}),
            [Switch("sql", V2, V1)],
            id="which only warns",
        ),
        pytest.param(
            replace(LOADED, golden=Golden.REQUIRE, checked={("a", V2): True, ("b", V2): False}),
            [],
            id="unless it is required",
        ),
        pytest.param(
            replace(AT_REST, followed=(replace(SQL, want=V1),)),
            [Load("a", "sql", V1), Load("b", "sql", V1)],
            id="a rollback pulls nothing that lies there",
        ),
        pytest.param(replace(AT_REST, aliases={"sql": V2, "old": V1}), [Forget("old")], id="an adapter followed no more"),
        pytest.param(
            replace(SWITCHED, followed=(replace(SQL, want=""),), aliases={}), [], id="nothing known, nothing unloaded"
        ),
        pytest.param(
            replace(AT_REST, followed=(replace(SQL, engines=("a",)),)),
            [Drain("b", V2, 130.0)],
            id="an engine that shall not serve it any more",
        ),
        pytest.param(
            replace(PULLED, followed=(replace(SQL, engines=()),), engines={}),
            [Switch("sql", V2, V1)],
            id="without engines the shelf is enough",
        ),
    ],
)
def test_what_is_done_next(view: View, actions: list[Action]) -> None:
    """Each reading has its actions, and nothing but these."""
    assert decide(view) == actions


@pytest.mark.parametrize(
    ("names", "ours"),
    [
        pytest.param({V1, V2}, {V2}, id="loaded from elsewhere"),
        pytest.param({"acme-sqlite@v1-aaaaaaa", V2}, {"acme-sqlite@v1-aaaaaaa", V2}, id="another adapter"),
        pytest.param({"base", V2}, {V2}, id="the base"),
    ],
)
def test_only_what_is_managed_is_unloaded(names: set[str], ours: set[str]) -> None:
    """What others loaded, and what belongs to no followed adapter, stays where it is."""
    listing = Listing(frozenset(names), frozenset(ours))
    assert decide(replace(AT_REST, engines={"a": listing, "b": lists(V2)})) == []


def test_two_channels_of_one_adapter_keep_each_others_versions() -> None:
    """A canary beside the stable one is no leftover."""
    canary = Followed("canary", "acme/sql", V1, ("a", "b"))
    both = lists(V1, V2)
    view = replace(
        AT_REST, followed=(SQL, canary), engines={"a": both, "b": both}, aliases={"sql": V2, "canary": V1}
    )
    assert decide(view) == []
    assert all(settled(one, view) for one in view.followed)


@pytest.mark.parametrize(
    ("view", "left"),
    [
        pytest.param(DRAINING, {("a", V1): 130.0, ("b", V1): 130.0}, id="it still drains"),
        pytest.param(replace(DRAINING, engines={"a": lists(V2), "b": lists(V1, V2)}), {("b", V1): 130.0}, id="gone"),
        pytest.param(replace(DRAINING, followed=(replace(SQL, want=V1),)), {}, id="wanted again"),
        pytest.param(replace(DRAINING, engines={"a": None, "b": lists(V2)}), {("a", V1): 130.0}, id="silent"),
    ],
)
def test_a_drain_is_kept_as_long_as_it_means_something(view: View, left: Mapping[tuple[str, str], float]) -> None:
    """What was rolled back to, and later goes again, drains anew."""
    assert drains_left(view) == left


def test_at_rest_is_only_what_is_wholly_there() -> None:
    """A name that means the wanted version is not at rest while an engine lacks it."""
    assert settled(SQL, AT_REST)
    for other in (BEFORE, LOADED, replace(AT_REST, engines={"a": lists(V2), "b": None}), replace(AT_REST, shelf={V1})):
        assert not settled(SQL, other)
