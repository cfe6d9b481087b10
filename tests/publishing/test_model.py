"""Publishing as a model says it: real steps, registry, spool and Hub, under any schedule that Hypothesis can think of.

`make model` runs many more, and others every time. What was found that way stands below, each as a schedule of its own.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from adapterd.hub.server import RunningHub
from adapterd.ports import AddBytes
from publishing.machine import run
from publishing.yard import Yard

SCHEDULES = 12
STEPS = 10


def test_no_schedule_of_crashes_other_writers_and_persons_breaks_a_truth(hub: RunningHub, template: Path) -> None:
    """The invariants of publishing hold after every move, and everything comes to rest with nothing lost."""
    counted = run(hub.endpoint, template, SCHEDULES, STEPS)
    assert counted["schedules"] >= SCHEDULES
    assert counted["versions"]


Make = Callable[..., Yard]


@pytest.fixture
def make_yard(hub: RunningHub, tmp_path: Path, template: Path, adapter: str) -> Iterator[Make]:
    """Make a yard; it is driven to its end, where every truth must hold, and closed."""
    made: list[Yard] = []

    def make(names: str = "a", **options: Any) -> Yard:  # noqa: ANN401 - those of a yard
        made.append(Yard(tmp_path / f"yard-{len(made)}", hub.endpoint, adapter, template, names, **options))
        return made[-1]

    yield make
    for yard in made:
        yard.close()


def test_a_publisher_that_comes_late_leaves_a_channel_that_another_moved_further(make_yard: Make) -> None:
    """It published v1, another publisher published and promoted v2: its own promotion of v1 is not wanted any more."""
    yard = make_yard("ab")
    yard.bring("a", 0)
    yard.work("a", "x", "publish")
    yard.bring("b", 1)
    yard.work("b", "x", "publish")
    yard.work("b", "channels", "promote")
    yard.work("a", "channels", "promote")
    yard.settle()
    (main,) = yard.stations["a"].world.registry.channels(yard.repo)
    assert (main.number, main.highest, main.reason) == (2, 2, "")


def test_a_registry_that_is_new_moves_no_channel_back(make_yard: Make) -> None:
    """v1 and v2 were promoted before the registry was lost; on its way through v1 again the channel stays at v2."""
    yard = make_yard()
    for content in (0, 1):
        yard.bring("a", content)
        yard.work("a", "x", "publish")
        yard.work("a", "channels", "promote")
    yard.lose_registry("a", rebuild=False)
    yard.work("a", "intake", "intake")
    yard.work("a", "x", "validate")
    yard.work("a", "x", "publish")
    yard.work("a", "channels", "promote")
    yard.settle()
    (main,) = yard.stations["a"].world.registry.channels(yard.repo)
    assert main.number == 2


def test_two_that_make_one_repo_at_once_both_go_on(make_yard: Make) -> None:
    """Both saw that there is none; the slower one finds it made, and does not take it for hidden."""
    yard = make_yard()
    yard.bring("a", 0, 1)
    yard.work("a", "x", "publish", "before create_repo")
    yard.work("a", "y", "publish")
    yard.settle()
    assert len(yard.truths.versions) == 2


def test_an_adoption_outlives_the_registry(make_yard: Make) -> None:
    """A repo with a person's card on `main` was adopted, and the registry lost before the first version: it goes on."""
    yard = make_yard("ab")
    head = yard.client.refs(yard.repo).branches["main"]
    yard.client.commit(yard.repo, "main", head, [AddBytes("README.md", b"# Ours\n")], "by hand")
    yard.lose_registry("a", rebuild=False)
    yard.bring("a", 0)
    yard.settle()
    assert [said.number for _, said in yard.truths.versions] == [1]
