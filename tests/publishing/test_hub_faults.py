"""Every fault of the Hub: versions get out by themselves, or stall with a hint and get out once a person has acted.

The short form of `make hub-faults`: one version through each fault, of one adapter for all of them.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from durability.hub_cases import CASES, TAKING, Case
from durability.hub_runs import Bench, bench, books_of, publish, take, version_to_take
from helpers.hosts import World


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory, template: Path) -> Iterator[Bench]:
    """A Hub with a plan of faults, and another host."""
    with bench(tmp_path_factory.mktemp("faults"), template) as made:
        yield made


@pytest.fixture(scope="module")
def shared(here: Bench) -> Iterator[World]:
    """One publisher for all faults; at the end its adapter is held against what was staged."""
    world = here.world()
    yield world
    books = books_of(here, world)
    world.registry.close()
    assert books.clean, books


@pytest.fixture(scope="module")
def adapter(here: Bench) -> str:
    """A published version to take."""
    return version_to_take(here)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_version_gets_through_a_fault_or_stalls_with_a_hint(here: Bench, shared: World, case: Case) -> None:
    """Published by itself or after a person's act, once, with the right bytes; no token goes to another host."""
    run = publish(here, case, versions=1, world=shared)
    assert run.good, run


@pytest.mark.parametrize("case", TAKING, ids=[case.name for case in TAKING])
def test_what_is_taken_is_right_or_not_there(here: Bench, adapter: str, case: Case) -> None:
    """Each `resolve` and `pull` ends with the version, or with nothing there and a hint; tried again, it works."""
    taken = take(here, case, adapter)
    assert taken.good, taken
