"""The registry lets go of what is done with; moves, reports' verdicts and what is on its way stay."""

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from adapterd.core.reasons import reason
from adapterd.core.version import Stage
from adapterd.ports import Conflict, LostLease, NotFound, Observation
from adapterd.registry import SqlRegistry

if TYPE_CHECKING:
    from registry.conftest import Trainer

ERASED = reason("erased", "erased by alice: asked for")


def test_a_version_on_the_line_is_erased_for_good(registry: SqlRegistry, trainer: "Trainer") -> None:
    """It is rejected, once, whatever it was; its lease's fence moves on, so that whoever had it cannot write."""
    version = trainer.validated(registry)
    claim = trainer.claim(registry, Stage.VALIDATED)
    registry.plan(claim, 0, trainer.intent)
    with pytest.raises(Conflict, match="in hand"):
        registry.erase(version.id, ERASED, trainer.now, "alice")
    late = trainer.now + 100_000
    erased = registry.erase(version.id, ERASED, late, "alice")
    assert (erased.stage, erased.reason, erased.stalled, erased.number) == (Stage.REJECTED, "erased", False, 1)
    assert registry.intent(version.id) is None
    with pytest.raises(LostLease):
        registry.extend(claim, late)
    assert registry.erase(version.id, ERASED, late + 1, "bob") == erased
    assert [event.kind for event in registry.events(version.id)].count("erased") == 1
    with pytest.raises(NotFound):
        registry.erase(99, ERASED, late, "alice")


def test_a_published_row_stays(registry: SqlRegistry, trainer: "Trainer") -> None:
    """Number and commit are history; that it was erased is added to it, and the index is written anew."""
    trainer.validated(registry)
    claim = trainer.claim(registry, Stage.VALIDATED)
    registry.plan(claim, 0, trainer.intent)
    published = registry.advance(claim, Stage.PUBLISHED, trainer.now, commit="c" * 40)
    generation = registry.generation()
    assert registry.erase(published.id, ERASED, trainer.now, "alice") == published
    assert registry.events(published.id)[-1].kind == "erased"
    assert registry.generation() > generation


def test_what_is_on_its_way_keeps_its_history(registry: SqlRegistry, trainer: "Trainer") -> None:
    """However long it waits: only versions that are done are cut, and only once."""
    version = trainer.validated(registry)
    registry.note(version.id, "worker_died", {}, trainer.now)
    assert registry.compactable(trainer.now + 1e9) == 0
    assert registry.compact(trainer.now + 1e9) == 0
    claim = trainer.claim(registry, Stage.VALIDATED)
    registry.plan(claim, 0, trainer.intent)
    registry.advance(claim, Stage.PUBLISHED, trainer.now, commit="c" * 40)
    assert registry.compact(trainer.now) == 0
    assert registry.compactable(trainer.now + 1) == 1
    assert registry.compact(trainer.now + 1) == 1
    assert registry.compact(trainer.now + 1) == 0
    assert "worker_died" not in {event.kind for event in registry.events(version.id)}


def test_only_old_observations_of_what_rests_are_forgotten(registry: SqlRegistry) -> None:
    """A baseline, what waits, and what changed lately stay, though a caller names them."""
    states = ("settled", "refused", "source_gone", "baseline", "waiting", "stalled")
    seen = [Observation("/r", state, state, "f", reason="bug", first_seen=1.0, changed_at=1.0) for state in states]
    registry.observe([*seen, replace(seen[0], path="late", changed_at=9.0)])
    assert registry.forget("/r", [*states, "late", "unknown"], 5.0) == 3
    assert {o.path for o in registry.observations()} == {"baseline", "waiting", "stalled", "late"}


def test_what_was_let_go_of_is_given_back(registry: SqlRegistry, trainer: "Trainer") -> None:
    """The file shrinks: a registry that runs for years takes the room of what it still knows."""
    version = trainer.validated(registry)
    for number in range(200):
        registry.note(version.id, "worker_died", {"log_tail": "x" * 4000, "n": number}, trainer.now)
    claim = trainer.claim(registry, Stage.VALIDATED)
    registry.plan(claim, 0, trainer.intent)
    registry.advance(claim, Stage.PUBLISHED, trainer.now, commit="c" * 40)
    assert registry.compact(trainer.now + 1) == 1
    assert registry.shrink() > 500_000
    assert registry.shrink() == 0
    path = Path(registry.path)
    registry.close()
    assert path.stat().st_size < 300_000


def test_what_reports_have_alike_is_kept_once(registry: SqlRegistry, trainer: "Trainer") -> None:
    """Each report is given back whole; the piece that they share is one row, and goes with the last that has it."""
    first, second = trainer.published(registry), trainer.published(registry)
    (report,) = [row.report for row in registry.validations(first.id)]
    assert report == trainer.report(first).report == registry.validations(second.id)[0].report
    assert _commons(registry) == [{"engines": report["engines"], "policy_terms": report["policy_terms"]}]
    assert registry.compact(trainer.now + 1) == 2
    registry.shrink()
    cut = registry.validations(first.id)[0].report
    assert cut["engines"] == {"peft": {"takes": "yes"}}
    assert _commons(registry) == [{"engines": cut["engines"], "policy_terms": cut["policy_terms"]}]


def _commons(registry: SqlRegistry) -> list[object]:
    """The rows that reports share."""
    with closing(sqlite3.connect(registry.path)) as conn:
        return [json.loads(value) for (value,) in conn.execute("SELECT value FROM commons ORDER BY id")]
