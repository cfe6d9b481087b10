"""Claims, fences and moves: the line as the registry keeps it."""

from typing import TYPE_CHECKING

import pytest

from adapterd.core.reasons import reason
from adapterd.core.version import MOVES, Reason, Stage
from adapterd.ports import LostLease, NotFound, Registry, RepoRecord

if TYPE_CHECKING:
    from collections.abc import Callable

    from registry.conftest import Trainer

LEASE, HORIZON = 60.0, 3600.0
LIMIT = Reason("rate_limited", "412 requests", "wait")
DENIED = reason("denied", "403")


def test_nothing_to_claim(registry: Registry) -> None:
    """An empty registry has nothing to claim and nothing that becomes due."""
    assert registry.claim(Stage.STAGED, "lane", 0.0, LEASE, HORIZON) is None
    assert registry.next_due(Stage.STAGED, 0.0) is None


def test_claim_in_order(registry: Registry, trainer: "Trainer") -> None:
    """Versions are claimed in the order of their intake, each by one owner, and only in their stage."""
    made = [trainer.staged(registry) for _ in range(3)]
    claims = [trainer.claim(registry, Stage.STAGED, f"lane-{n}") for n in range(3)]
    assert [c.version.id for c in claims] == [v.id for v in made]
    assert [c.owner for c in claims] == ["lane-0", "lane-1", "lane-2"]
    assert claims[0].version.lease_until == trainer.now + LEASE
    assert registry.claim(Stage.STAGED, "late", trainer.now, LEASE, HORIZON) is None
    assert registry.claim(Stage.VALIDATED, "late", trainer.now, LEASE, HORIZON) is None


def test_a_preferred_base_goes_first(registry: Registry, trainer: "Trainer") -> None:
    """Adapters on the base that is loaded are claimed before older ones on others; without any, the oldest is."""
    for adapter, base in (("a", "acme/one"), ("b", "acme/two"), ("a", "acme/one"), ("b", "acme/two")):
        trainer.staged(registry, adapter=f"acme/{adapter}", base=base)
    claims = [
        registry.claim(Stage.STAGED, f"lane-{n}", trainer.now, LEASE, HORIZON, prefer_base="acme/two") for n in range(4)
    ]
    assert [c.version.intake for c in claims if c] == [2, 4, 1, 3]


def test_a_preferred_base_that_is_not_due_is_not_waited_for(registry: Registry, trainer: "Trainer") -> None:
    """A version that waits, stalls or is leased does not count."""
    other = trainer.staged(registry, adapter="acme/a", base="acme/one")
    trainer.staged(registry, adapter="acme/b", base="acme/two")
    claim = registry.claim(Stage.STAGED, "lane", trainer.now, LEASE, HORIZON, prefer_base="acme/two")
    assert claim is not None
    registry.wait(claim, trainer.now + 60, LIMIT, trainer.now, failed=False)
    found = registry.claim(Stage.STAGED, "lane", trainer.now, LEASE, HORIZON, prefer_base="acme/two")
    assert found is not None
    assert found.version.id == other.id


def test_a_preferred_base_keeps_the_order_within_an_adapter(registry: Registry, trainer: "Trainer") -> None:
    """One trainer wrote a path where the other wrote an id: the older version is not overtaken."""
    trainer.staged(registry, adapter="acme/a", base="acme/one")
    trainer.staged(registry, adapter="acme/b", base="/models/two")
    trainer.staged(registry, adapter="acme/b", base="acme/two")
    claims = [
        registry.claim(Stage.STAGED, f"lane-{n}", trainer.now, LEASE, HORIZON, prefer_base="acme/two") for n in range(3)
    ]
    assert [c.version.intake for c in claims if c] == [2, 3, 1]


def test_adapters_with_a_final_go_first_where_that_is_asked_for(registry: Registry, trainer: "Trainer") -> None:
    """Its older checkpoints go before it: the order within an adapter stays; without a final, the oldest is next."""
    for adapter, final in (("a", False), ("b", False), ("a", False), ("b", True)):
        trainer.staged(registry, adapter=f"acme/{adapter}", final=final)
    claims = [
        registry.claim(Stage.STAGED, f"lane-{n}", trainer.now, LEASE, HORIZON, prefer_final=True) for n in range(4)
    ]
    assert [c.version.intake for c in claims if c] == [2, 4, 1, 3]


def test_histories_are_found_by_what_is_in_them(registry: Registry, trainer: "Trainer") -> None:
    """Which versions have a line of one kind."""
    first, second = trainer.staged(registry), trainer.staged(registry)
    registry.note(second.id, "waived", {"code": "no_effect"}, trainer.now)
    assert registry.noted("waived") == {second.id}
    assert first.id in registry.noted("staged")


def test_lease_runs_out(registry: Registry, trainer: "Trainer") -> None:
    """A lease that ran out is free for the next, under a higher fence; the first owner has lost it."""
    trainer.staged(registry)
    first = trainer.claim(registry, Stage.STAGED, "first")
    assert registry.claim(Stage.STAGED, "second", trainer.now + LEASE - 1, LEASE, HORIZON) is None
    second = trainer.claim(registry, Stage.STAGED, "second", trainer.now + LEASE)
    assert second.fence > first.fence
    with pytest.raises(LostLease, match="no longer leased to first"):
        registry.advance(first, Stage.VALIDATED, trainer.now)
    assert registry.advance(second, Stage.VALIDATED, trainer.now).stage is Stage.VALIDATED


def test_same_owner_again(registry: Registry, trainer: "Trainer") -> None:
    """An owner that comes back under its old name does not hold what it held before."""
    trainer.staged(registry)
    before = trainer.claim(registry, Stage.STAGED, "lane")
    after = trainer.claim(registry, Stage.STAGED, "lane", trainer.now + LEASE)
    with pytest.raises(LostLease):
        registry.release(before)
    registry.release(after)


def test_extend(registry: Registry, trainer: "Trainer") -> None:
    """A renewed lease holds for longer."""
    trainer.staged(registry)
    claim = trainer.claim(registry, Stage.STAGED)
    registry.extend(claim, trainer.now + 500)
    assert registry.claim(Stage.STAGED, "other", trainer.now + 499, LEASE, HORIZON) is None
    assert registry.next_due(Stage.STAGED, trainer.now) == trainer.now + 500


def test_release(registry: Registry, trainer: "Trainer") -> None:
    """A version that is given back is as it was, and free at once."""
    version = trainer.staged(registry)
    claim = trainer.claim(registry, Stage.STAGED)
    registry.release(claim)
    assert registry.version(version.id) == version
    assert trainer.claim(registry, Stage.STAGED).version.id == version.id


def test_every_write_names_its_fence(registry: Registry, trainer: "Trainer") -> None:
    """No write of any kind goes through under a stale fence, and none leaves a trace."""
    version = trainer.validated(registry)
    stale = trainer.claim(registry, Stage.VALIDATED)
    registry.release(stale)
    writes: list[Callable[[], object]] = [
        lambda: registry.extend(stale, 1.0),
        lambda: registry.release(stale),
        lambda: registry.advance(stale, Stage.PUBLISHED, 1.0, number=1, commit="c" * 40),
        lambda: registry.advance(stale, Stage.STAGED, 1.0),
        lambda: registry.wait(stale, 1.0, LIMIT, 1.0, failed=True),
        lambda: registry.stall(stale, DENIED, 1.0),
        lambda: registry.plan(stale, 0, trainer.intent),
        lambda: registry.adopt(stale, 3),
    ]
    history = registry.events(version.id)
    for write in writes:
        with pytest.raises(LostLease):
            write()
    assert registry.version(version.id) == version
    assert registry.events(version.id) == history


@pytest.mark.parametrize("to", sorted(set(Stage) - MOVES[Stage.STAGED]))
def test_moves_that_there_are_not(registry: Registry, trainer: "Trainer", to: Stage) -> None:
    """A move that is not in the table is a bug, and changes nothing."""
    version = trainer.staged(registry)
    claim = trainer.claim(registry, Stage.STAGED)
    with pytest.raises(ValueError, match=f"from staged to {to}"):
        registry.advance(claim, to, trainer.now, number=1, commit="c" * 40)
    registry.release(claim)
    assert registry.version(version.id) == version


def test_validated(registry: Registry, trainer: "Trainer") -> None:
    """A version that passed keeps its report, is due for the next step, and has no attempts any more."""
    version = trainer.staged(registry)
    registry.wait(trainer.claim(registry, Stage.STAGED), trainer.now, LIMIT, trainer.now, failed=True)
    claim = trainer.claim(registry, Stage.STAGED)
    assert claim.version.attempts == 1
    report = trainer.report(version)
    moved = registry.advance(claim, Stage.VALIDATED, trainer.now + 2, validation=report)
    assert (moved.stage, moved.attempts, moved.reason, moved.due_at) == (Stage.VALIDATED, 0, "", trainer.now + 2)
    assert moved.lease_until == 0
    assert list(registry.validations(version.id)) == [report]


def test_report_on_another_tree(registry: Registry, trainer: "Trainer") -> None:
    """A report on a tree that is no longer the version's is refused."""
    version = trainer.staged(registry)
    claim = trainer.claim(registry, Stage.STAGED)
    report = trainer.report(version)
    registry.retree(claim, "a" * 64, "acme/base", [], trainer.now)
    with pytest.raises(ValueError, match="another tree"):
        registry.advance(claim, Stage.VALIDATED, trainer.now, validation=report)
    assert list(registry.validations(version.id)) == []


def test_rejected(registry: Registry, trainer: "Trainer") -> None:
    """A rejected version shows its reason, and the report that says so."""
    version = trainer.staged(registry)
    claim = trainer.claim(registry, Stage.STAGED)
    no = reason("no_effect", "lora_B is zero in 12 of 12 modules")
    moved = registry.advance(
        claim, Stage.REJECTED, trainer.now, reason=no, validation=trainer.report(version, "rejected")
    )
    assert Reason(moved.reason, moved.message, moved.hint) == no
    assert registry.claim(Stage.REJECTED, "lane", trainer.now - 1, LEASE, 0.0) is not None
    assert registry.events(version.id)[-1].kind == "rejected"


def test_published(registry: Registry, trainer: "Trainer") -> None:
    """A published version has number and commit, and what was seen of its repo is kept in the same transaction."""
    trainer.validated(registry)
    claim = trainer.claim(registry, Stage.VALIDATED)
    repo = RepoRecord("acme/support", versions_head="c" * 40, readme=b"card", paths=("a",), seen={"x": [1, "c"]})
    moved = registry.advance(claim, Stage.PUBLISHED, trainer.now, number=7, commit="c" * 40, repo=repo)
    assert (moved.stage, moved.number, moved.commit) == (Stage.PUBLISHED, 7, "c" * 40)
    assert registry.repo("acme/support") == repo
    event = registry.events(moved.id)[-1]
    assert (event.kind, event.detail["number"], event.detail["commit"]) == ("published", 7, "c" * 40)


def test_published_needs_its_facts(registry: Registry, trainer: "Trainer") -> None:
    """Nothing is published without a number and a commit, and nothing else has a commit."""
    trainer.validated(registry)
    claim = trainer.claim(registry, Stage.VALIDATED)
    with pytest.raises(ValueError, match="without a number"):
        registry.advance(claim, Stage.PUBLISHED, trainer.now, commit="c" * 40)
    with pytest.raises(ValueError, match="exactly when it is published"):
        registry.advance(claim, Stage.PUBLISHED, trainer.now, number=1)
    with pytest.raises(ValueError, match="exactly when it is published"):
        registry.advance(claim, Stage.STAGED, trainer.now, commit="c" * 40)


def test_back_to_staged(registry: Registry, trainer: "Trainer") -> None:
    """A version whose policy changed goes back to STAGED, and keeps the number that it reserved."""
    trainer.validated(registry)
    claim = trainer.claim(registry, Stage.VALIDATED)
    number = registry.plan(claim, 0, trainer.intent).number
    back = registry.advance(claim, Stage.STAGED, trainer.now, reason=reason("policy_changed", "p1, now p2"))
    assert (back.stage, back.number, back.reason) == (Stage.STAGED, number, "policy_changed")


def test_wait(registry: Registry, trainer: "Trainer") -> None:
    """A version that waits stays in its stage, is due when told, says why, and holds nobody up."""
    version, other = trainer.staged(registry), trainer.staged(registry)
    registry.wait(trainer.claim(registry, Stage.STAGED), trainer.now + 30, LIMIT, trainer.now, failed=False)
    waiting = registry.version(version.id)
    assert waiting is not None
    assert (waiting.stage, waiting.due_at, waiting.attempts) == (Stage.STAGED, trainer.now + 30, 0)
    assert Reason(waiting.reason, waiting.message, waiting.hint) == LIMIT
    registry.release(trainer.claim(registry, Stage.STAGED))
    assert trainer.claim(registry, Stage.STAGED).version.id == other.id
    assert trainer.claim(registry, Stage.STAGED, now=trainer.now + 30).version.id == version.id


def test_failed_attempts(registry: Registry, trainer: "Trainer") -> None:
    """Failures in a row are counted, waiting is not, and the next move begins anew."""
    version = trainer.staged(registry)
    for failed in (True, False, True):
        registry.wait(trainer.claim(registry, Stage.STAGED), trainer.now, LIMIT, trainer.now, failed=failed)
    claim = trainer.claim(registry, Stage.STAGED)
    assert claim.version.attempts == 2
    registry.stall(claim, DENIED, trainer.now)
    stalled = registry.version(version.id)
    assert stalled is not None
    assert (stalled.attempts, stalled.stalled, stalled.reason) == (2, True, "denied")


def test_waiting_does_not_fill_the_history(registry: Registry, trainer: "Trainer") -> None:
    """Waiting again for the same reasons replaces the earlier line, with a count and the time when it began."""
    version = trainer.staged(registry)
    other = reason("device_busy", "no room")
    for n in range(40):
        now = trainer.now + n
        claim = trainer.claim(registry, Stage.STAGED, now=now)
        registry.wait(claim, now, other if n % 2 else LIMIT, now, failed=False)
    told = [(e.kind, e.at - trainer.now, e.detail.get("count")) for e in registry.events(version.id)]
    assert told == [("staged", 0, None), ("waiting", 38, 20), ("waiting", 39, 20)]
    assert registry.events(version.id)[1].detail["since"] == trainer.now
    registry.retry(version.id, trainer.now, "alice")
    registry.wait(trainer.claim(registry, Stage.STAGED), trainer.now, LIMIT, trainer.now, failed=False)
    assert [e.kind for e in registry.events(version.id)] == ["staged", "waiting", "waiting", "retried", "waiting"]


def test_due_times_after_a_clock_jump(registry: Registry, trainer: "Trainer") -> None:
    """When the clock was set back, what is due further away than any back-off is due now."""
    version = trainer.staged(registry)
    registry.wait(trainer.claim(registry, Stage.STAGED), trainer.now + HORIZON, LIMIT, trainer.now, failed=True)
    assert registry.claim(Stage.STAGED, "lane", trainer.now, LEASE, HORIZON) is None
    assert trainer.claim(registry, Stage.STAGED, now=trainer.now - 1).version.id == version.id


def test_leases_after_a_clock_jump(registry: Registry, trainer: "Trainer") -> None:
    """When the clock was set back, a dead owner's lease does not hold until the old time comes round again."""
    version = trainer.staged(registry)
    trainer.claim(registry, Stage.STAGED, "dead")
    long_ago = trainer.now - 86_400
    assert trainer.claim(registry, Stage.STAGED, "alive", long_ago).version.id == version.id


def test_next_due(registry: Registry, trainer: "Trainer") -> None:
    """The next due time is the earliest of those that neither stall nor are leased beyond it."""
    trainer.staged(registry)
    trainer.staged(registry)
    registry.wait(trainer.claim(registry, Stage.STAGED), trainer.now + 90, LIMIT, trainer.now, failed=False)
    assert registry.next_due(Stage.STAGED, trainer.now) == trainer.now
    claim = trainer.claim(registry, Stage.STAGED)
    assert registry.next_due(Stage.STAGED, trainer.now) == trainer.now + LEASE
    registry.stall(claim, DENIED, trainer.now)
    assert registry.next_due(Stage.STAGED, trainer.now) == trainer.now + 90


def test_stall(registry: Registry, trainer: "Trainer") -> None:
    """A stalled version is not claimed until a person sets it going again, in the stage where it stood."""
    version = trainer.validated(registry)
    registry.stall(trainer.claim(registry, Stage.VALIDATED), DENIED, trainer.now)
    assert registry.claim(Stage.VALIDATED, "lane", trainer.now + 9e9, LEASE, HORIZON) is None
    assert registry.next_due(Stage.VALIDATED, trainer.now) is None
    assert registry.counts()["stalled"] == 1
    again = registry.retry(version.id, trainer.now + 4, "alice")
    assert (again.stage, again.stalled, again.reason, again.attempts) == (Stage.VALIDATED, False, "", 0)
    assert again.due_at == trainer.now + 4
    assert registry.events(version.id)[-1].detail == {"actor": "alice", "was": "validated", "reason": "denied"}
    assert trainer.claim(registry, Stage.VALIDATED, now=trainer.now + 4).version.id == version.id


def test_retry_of_a_rejected_version(registry: Registry, trainer: "Trainer") -> None:
    """A rejected version that is set going again is validated anew; the earlier report stays."""
    version = trainer.staged(registry)
    claim = trainer.claim(registry, Stage.STAGED)
    no = trainer.report(version, "rejected")
    registry.advance(claim, Stage.REJECTED, trainer.now, reason=reason("no_effect", "0"), validation=no)
    assert registry.retry(version.id, trainer.now, "alice").stage is Stage.STAGED
    registry.advance(
        trainer.claim(registry, Stage.STAGED), Stage.VALIDATED, trainer.now, validation=trainer.report(version)
    )
    assert [v.verdict for v in registry.validations(version.id)] == ["rejected", "passed"]


def test_retry_of_what_is_under_lease(registry: Registry, trainer: "Trainer") -> None:
    """A version that is being worked on stays with whoever holds it."""
    version = trainer.staged(registry)
    claim = trainer.claim(registry, Stage.STAGED)
    registry.retry(version.id, trainer.now, "alice")
    assert registry.claim(Stage.STAGED, "other", trainer.now, LEASE, HORIZON) is None
    assert registry.advance(claim, Stage.VALIDATED, trainer.now).stage is Stage.VALIDATED


def test_retry_of_the_others(registry: Registry, trainer: "Trainer") -> None:
    """A coalesced version goes back to STAGED, a published one is left as it is, an unknown one is not found."""
    published = trainer.published(registry)
    assert registry.retry(published.id, trainer.now + 1, "alice") == published
    version = trainer.superseded(registry)
    assert registry.retry(version.id, trainer.now, "alice").stage is Stage.STAGED
    with pytest.raises(NotFound, match="row 99"):
        registry.retry(99, trainer.now, "alice")


def test_retree(registry: Registry, trainer: "Trainer") -> None:
    """A repaired snapshot gives a staged version its new tree; the lease goes on."""
    version = trainer.staged(registry, base="/models/base")
    claim = trainer.claim(registry, Stage.STAGED)
    repairs = [{"file": "adapter_config.json", "key": "base", "was": "/models/base", "now": "acme/base"}]
    repaired = registry.retree(claim, "a" * 64, "acme/base", repairs, trainer.now)
    assert (repaired.tree, repaired.base, repaired.repairs) == ("a" * 64, "acme/base", tuple(repairs))
    registry.advance(claim, Stage.VALIDATED, trainer.now, validation=trainer.report(repaired))
    assert registry.events(version.id)[-2].detail["was"] == version.tree
    with pytest.raises(ValueError, match="only a staged version"):
        registry.retree(trainer.claim(registry, Stage.VALIDATED), "b" * 64, "acme/base", [], trainer.now)


def test_superseded(registry: Registry, trainer: "Trainer") -> None:
    """A version that was coalesced away says by what, and is no lane's any more."""
    version = trainer.superseded(registry)
    assert (version.stage, version.reason) == (Stage.SUPERSEDED, "superseded")
    assert registry.events(version.id)[-1].kind == "superseded"
    assert registry.next_due(Stage.STAGED, trainer.now) is None


def test_reclaim(registry: Registry, trainer: "Trainer") -> None:
    """An owner that starts again ends the leases of its earlier life, whose claims are worth nothing then."""
    trainer.staged(registry)
    trainer.staged(registry)
    dead = trainer.claim(registry, Stage.STAGED, "lane")
    other = trainer.claim(registry, Stage.STAGED, "other")
    assert registry.reclaim("lane") == 1
    assert registry.reclaim("lane") == 0
    alive = trainer.claim(registry, Stage.STAGED, "lane")
    assert alive.version.id == dead.version.id
    with pytest.raises(LostLease):
        registry.release(dead)
    registry.release(alive)
    registry.release(other)


def test_note(registry: Registry, trainer: "Trainer") -> None:
    """Anybody may add a line to a version's history."""
    version = trainer.staged(registry)
    registry.note(version.id, "waived", {"code": "loss_too_high", "actor": "alice"}, trainer.now + 3)
    last = registry.events(version.id)[-1]
    assert (last.at, last.kind, last.detail) == (
        trainer.now + 3,
        "waived",
        {"code": "loss_too_high", "actor": "alice"},
    )
