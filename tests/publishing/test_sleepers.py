"""A holder that sleeps longer than its lease, wakes up and goes on: it must not write any more.

The registry refuses it by its fence. What it may still send to the Hub is only what it was about to send when it fell
asleep, and the Hub's own guards make that harmless: a commit names a parent that is no longer the head, a tag exists.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from adapterd.core.version import Stage
from adapterd.hub.server import RunningHub
from publishing.crashing import HUB_EFFECTS
from publishing.hands import REGISTRY_EFFECTS
from publishing.stations import DOUBTFUL
from publishing.yard import Yard

OVER = 3000.0
"""Seconds after which every lease has run out."""


@dataclass
class Ledger:
    """Which effects were asked for, and what came of each: the name of an error, or nothing."""

    entries: list[tuple[str, str]] = field(default_factory=list)

    def around(self, port: object) -> Any:  # noqa: ANN401 - any port
        """A port that writes every effect down."""
        return _Written(port, self)

    def take(self) -> list[tuple[str, str]]:
        """What was written down since the last time."""
        taken, self.entries = self.entries, []
        return taken


class _Written:
    def __init__(self, port: object, ledger: Ledger) -> None:
        self._port, self._ledger = port, ledger

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the port has
        attribute = getattr(self._port, name)
        if name not in (*HUB_EFFECTS, *REGISTRY_EFFECTS):
            return attribute

        def call(*args: object, **kwargs: object) -> object:
            try:
                done = attribute(*args, **kwargs)
            except Exception as error:
                self._ledger.entries.append((name, type(error).__name__))
                raise
            self._ledger.entries.append((name, ""))
            return done

        return call


@pytest.fixture
def ledger() -> Ledger:
    """An empty one."""
    return Ledger()


@pytest.fixture
def yard(hub: RunningHub, tmp_path: Path, template: Path, adapter: str, ledger: Ledger) -> Iterator[Yard]:
    """One publisher whose every effect is written down."""
    made = Yard(tmp_path / "yard", hub.endpoint, adapter, template, wrap_hub=ledger.around, wrap_registry=ledger.around)
    yield made
    made.close()


def _wake(yard: Yard, ledger: Ledger) -> list[tuple[str, str]]:
    """Let x go on to its end; what it tried, with what came of each."""
    ledger.take()
    yard.stations["a"].hands["x"].finish()
    yard.truths.check()
    return ledger.take()


def _refused(tried: list[tuple[str, str]]) -> bool:
    """Whether a sleeper changed nothing: the last thing that it tried was refused by the fence, and all before too.

    A commit that is accepted is one that changed nothing: the head holds these very bytes already.
    """
    *before, last = tried
    return last[1] == "LostLease" and all(entry in HARMLESS for entry in before)


HARMLESS = [("commit", ""), ("commit", "Conflict"), ("create_tag", "Conflict")]


def test_a_sleeper_writes_nothing_wherever_it_fell_asleep(yard: Yard, ledger: Ledger) -> None:
    """At every place of publishing another holder finishes its version; what it then tries is refused, or empty."""
    yard.bring("a", 100)
    yard.work("a", "y", "publish")  # repo and branch are there
    places: dict[str, list[tuple[str, str]]] = {}
    for far in range(2, 30):
        yard.bring("a", 100 + far)
        yard.work("a", "x", "publish", far)
        asleep = yard.stations["a"].hands["x"].place
        if asleep == "after advance":
            break
        yard.pass_time("a", OVER)
        yard.work("a", "y", "publish")
        head = yard.truths.versions[-1]
        places[f"{asleep} {far}"] = tried = _wake(yard, ledger)
        assert _refused(tried), f"asleep {asleep}, it wrote {tried}"
        assert yard.truths.versions[-1] == head
    assert {place.rsplit(" ", 1)[0] for place in places} == {
        *("after claim", "before plan", "after plan", "before extend", "after extend", "before commit", "after commit"),
        *("before create_tag", "after create_tag", "before advance"),
    }
    yard.settle()
    assert len(yard.truths.versions) == len(places) + 2


def test_a_sleepers_commit_is_refused_where_the_branch_moved_on(yard: Yard, ledger: Ledger) -> None:
    """It was about to commit; its version and the next are published: the parent that it names is not the head."""
    yard.bring("a", 0, 1)
    yard.work("a", "x", "publish", "before commit")
    yard.pass_time("a", OVER)
    yard.work("a", "y", "publish")
    yard.work("a", "y", "publish")
    assert _wake(yard, ledger) == [("commit", "Conflict"), ("wait", "LostLease")]
    yard.settle()
    assert [said.number for _, said in yard.truths.versions] == [1, 2]


def test_a_sleepers_commit_that_lands_is_the_versions_one_commit(yard: Yard, ledger: Ledger) -> None:
    """The branch did not move: its commit lands without a tag, and the holder who comes after it tags that very one."""
    yard.bring("a", 0)
    yard.work("a", "x", "publish", "before commit")
    yard.pass_time("a", OVER)
    yard.work("a", "y", "publish", "before commit")
    assert _wake(yard, ledger) == [("commit", ""), ("extend", "LostLease")]
    assert not yard.client.refs(yard.repo).tags
    yard.settle()
    ((commit, said),) = yard.truths.versions
    assert yard.client.refs(yard.repo).tags == {f"v{said.number}": commit}


@pytest.mark.parametrize("place", ["before create_repo", "before create_branch"])
def test_a_sleeper_that_was_about_to_make_repo_or_branch_finds_them(yard: Yard, ledger: Ledger, place: str) -> None:
    """Another holder made them meanwhile and published: no second repo, no stall."""
    yard.bring("a", 0)
    yard.work("a", "x", "publish", place)
    yard.pass_time("a", OVER)
    yard.work("a", "y", "publish")
    assert _wake(yard, ledger)[0] == (place.split()[1], "Conflict")
    yard.settle()
    assert [said.number for _, said in yard.truths.versions] == [1]


def test_a_sleepers_commit_after_a_change_of_policy_is_no_version_until_it_passes(yard: Yard, ledger: Ledger) -> None:
    """It lands, since the head did not move, but gets no tag; should it pass again, it is found and tagged as it is."""
    yard.bring("a", DOUBTFUL)
    yard.work("a", "x", "publish", "before commit")
    yard.pass_time("a", OVER)
    yard.change_policy("a")
    yard.work("a", "y", "publish")
    yard.work("a", "y", "validate")
    assert _wake(yard, ledger) == [("commit", ""), ("extend", "LostLease")]
    yard.bring("a", 0)
    yard.settle()
    registry = yard.stations["a"].world.registry
    (doubtful,) = registry.versions(stage=Stage.REJECTED)
    (good,) = registry.versions(stage=Stage.PUBLISHED)
    assert (good.tag, set(yard.client.refs(yard.repo).tags)) == ("v2", {"v2"})
    yard.change_policy("a")
    yard.retry("a")
    yard.settle()
    found = registry.version(doubtful.id)
    assert found is not None
    assert (found.tag, len(yard.truths.versions)) == ("v1", 2)
