"""Numbers and intents: reserved with what they are for, never given twice, never sinking."""

from typing import TYPE_CHECKING

import pytest

from adapterd.core.version import Stage
from adapterd.ports import AdapterRecord, Conflict, Intent, Registry

if TYPE_CHECKING:
    from registry.conftest import Trainer


def test_plan(registry: Registry, trainer: "Trainer") -> None:
    """A plan is a number and the rendered bytes for it, and both are there afterwards."""
    version = trainer.validated(registry)
    claim = trainer.claim(registry, Stage.VALIDATED)
    intent = registry.plan(claim, 0, trainer.intent)
    assert intent == trainer.intent(1)
    assert registry.intent(version.id) == intent
    planned = registry.version(version.id)
    assert planned is not None
    assert (planned.number, planned.stage) == (1, Stage.VALIDATED)
    last = registry.events(version.id)[-1]
    assert (last.kind, last.at, last.detail) == ("planned", trainer.now, {"number": 1, "policy": "policy-1"})


def test_plan_again(registry: Registry, trainer: "Trainer") -> None:
    """A plan that is there is used as it is; nothing is rendered again, whatever the Hub shows."""
    trainer.validated(registry)
    claim = trainer.claim(registry, Stage.VALIDATED)
    first = registry.plan(claim, 0, trainer.intent)

    def never(number: int) -> Intent:
        raise AssertionError(number)

    assert registry.plan(claim, 41, never) == first


def test_plan_anew(registry: Registry, trainer: "Trainer") -> None:
    """A version that was overtaken takes a number above the Hub's, and the old plan is gone."""
    version = trainer.validated(registry)
    claim = trainer.claim(registry, Stage.VALIDATED)
    registry.plan(claim, 0, trainer.intent)
    assert registry.plan(claim, 41, trainer.intent, anew=True) == trainer.intent(42)
    assert registry.intent(version.id) == trainer.intent(42)
    assert registry.events(version.id)[-1].kind == "renumbered"
    assert registry.events(version.id)[-1].detail["was"] == 1


def test_plans_are_above_each_other(registry: Registry, trainer: "Trainer") -> None:
    """No number is reserved twice for an adapter, also not one whose version never got to use it."""
    trainer.validated(registry)
    trainer.validated(registry)
    first, second = (trainer.claim(registry, Stage.VALIDATED, owner) for owner in "ab")
    assert registry.plan(first, 0, trainer.intent).number == 1
    assert registry.plan(first, 0, trainer.intent, anew=True).number == 2
    assert registry.plan(second, 0, trainer.intent).number == 3


def test_numbers_of_other_adapters(registry: Registry, trainer: "Trainer") -> None:
    """Each adapter counts for itself."""
    assert trainer.published(registry).number == 1
    assert trainer.published(registry, adapter="acme/other").number == 1
    assert trainer.published(registry).number == 2


def test_plan_that_fails(registry: Registry, trainer: "Trainer") -> None:
    """Where rendering fails, or renders another number, nothing is reserved."""
    version = trainer.validated(registry)
    claim = trainer.claim(registry, Stage.VALIDATED)

    def broken(number: int) -> Intent:
        raise ZeroDivisionError(number)

    with pytest.raises(ZeroDivisionError):
        registry.plan(claim, 0, broken)
    with pytest.raises(ValueError, match="number 1 says 2"):
        registry.plan(claim, 0, lambda number: trainer.intent(number + 1))
    assert registry.intent(version.id) is None
    assert registry.plan(claim, 0, trainer.intent).number == 1


def test_plan_of_a_staged_version(registry: Registry, trainer: "Trainer") -> None:
    """Nothing gets a number before it was validated."""
    trainer.staged(registry)
    with pytest.raises(ValueError, match="only a validated version"):
        registry.plan(trainer.claim(registry, Stage.STAGED), 0, trainer.intent)


def test_intent_outlives_the_lease(registry: Registry, trainer: "Trainer") -> None:
    """Whoever takes over after a crash finds the plan of the one before."""
    trainer.validated(registry)
    first = registry.plan(trainer.claim(registry, Stage.VALIDATED, "dead"), 0, trainer.intent)
    successor = trainer.claim(registry, Stage.VALIDATED, "alive", trainer.now + 60)
    assert registry.plan(successor, 9, trainer.intent) == first


def test_adopt(registry: Registry, trainer: "Trainer") -> None:
    """A number that the Hub shows already is taken over, and later numbers are above it."""
    version = trainer.validated(registry)
    trainer.validated(registry)
    claim = trainer.claim(registry, Stage.VALIDATED)
    registry.adopt(claim, 5)
    moved = registry.advance(claim, Stage.PUBLISHED, trainer.now, commit="c" * 40)
    assert (moved.id, moved.number) == (version.id, 5)
    assert registry.plan(trainer.claim(registry, Stage.VALIDATED), 0, trainer.intent).number == 6


def test_adopt_what_was_planned(registry: Registry, trainer: "Trainer") -> None:
    """Adopting keeps a plan for that very number, and voids one for another."""
    version = trainer.validated(registry)
    claim = trainer.claim(registry, Stage.VALIDATED)
    registry.plan(claim, 0, trainer.intent)
    registry.adopt(claim, 1)
    assert registry.intent(version.id) == trainer.intent(1)
    registry.adopt(claim, 4)
    assert registry.intent(version.id) is None


def test_counter_never_sinks(registry: Registry, trainer: "Trainer") -> None:
    """A number that was reserved once is not reserved again, also where its version took over a lower one."""
    trainer.validated(registry)
    trainer.validated(registry)
    claim = trainer.claim(registry, Stage.VALIDATED)
    assert registry.plan(claim, 6, trainer.intent).number == 7
    registry.adopt(claim, 3)
    registry.advance(claim, Stage.PUBLISHED, trainer.now, commit="c" * 40)
    assert registry.plan(trainer.claim(registry, Stage.VALIDATED), 0, trainer.intent).number == 8


def test_adopt_what_another_has(registry: Registry, trainer: "Trainer") -> None:
    """A number that another version has is not taken over."""
    taken = trainer.published(registry)
    version = trainer.validated(registry)
    claim = trainer.claim(registry, Stage.VALIDATED)
    with pytest.raises(Conflict, match="acme/support@v1 is published"):
        registry.adopt(claim, 1)
    with pytest.raises(Conflict, match="acme/support@v1 is published"):
        registry.advance(claim, Stage.PUBLISHED, trainer.now, number=1, commit="d" * 40)
    registry.release(claim)
    assert registry.version(version.id) == version
    assert registry.version(taken.id) == taken


def test_restore(registry: Registry, trainer: "Trainer") -> None:
    """A rebuild inserts what the Hub holds, and later numbers are above it."""
    draft = trainer.draft(root="", path="")
    version = registry.restore(draft, 12, "c" * 40, trainer.now)
    assert (version.stage, version.number, version.commit) == (Stage.PUBLISHED, 12, "c" * 40)
    assert registry.find("acme/support", number=12) == version
    assert list(registry.observations()) == []
    assert [e.kind for e in registry.events(version.id)] == ["restored"]
    assert trainer.published(registry).number == 13


def test_restore_twice(registry: Registry, trainer: "Trainer") -> None:
    """A rebuild that is done again changes nothing; another number or content for it is a conflict."""
    draft = trainer.draft()
    version = registry.restore(draft, 1, "c" * 40, trainer.now)
    generation = registry.generation()
    assert registry.restore(draft, 1, "c" * 40, trainer.now + 1) == version
    assert registry.generation() == generation
    with pytest.raises(Conflict, match="in the registry already, as acme/support@v1"):
        registry.restore(draft, 2, "c" * 40, trainer.now)
    with pytest.raises(Conflict, match="another identity"):
        registry.restore(trainer.draft(), 1, "d" * 40, trainer.now)


def test_restore_leaves_the_root_open(registry: Registry, trainer: "Trainer") -> None:
    """After a rebuild the series knows its base, type and task from the Hub, and is bound to the first root."""
    registry.restore(trainer.draft(), 1, "c" * 40, trainer.now)
    bound = registry.bind("acme/support", "/train", "acme/changed", "LORA", "CAUSAL_LM")
    assert bound == AdapterRecord("acme/support", "/train", "acme/base", "LORA", "CAUSAL_LM")
