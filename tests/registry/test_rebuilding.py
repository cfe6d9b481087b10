"""What a rebuild asks of the registry: old order, counters, and that what lies on disk is baseline."""

from typing import TYPE_CHECKING

from adapterd.core.version import Stage
from adapterd.ports import Registry

if TYPE_CHECKING:
    from registry.conftest import Trainer


def test_an_intake_number_is_kept_where_it_is_free(registry: Registry, trainer: "Trainer") -> None:
    """Later ones come after all of them; a number that is taken already gives way to the next."""
    published = registry.restore(trainer.draft(), 3, "c" * 40, trainer.now, order=40)
    waiting, _ = registry.intake(trainer.draft(), trainer.now, order=7)
    taken, _ = registry.intake(trainer.draft(), trainer.now, order=7)
    fresh = trainer.staged(registry)
    assert [v.intake for v in (published, waiting, taken, fresh)] == [40, 7, 41, 42]


def test_numbers_begin_above_the_highest_that_was_seen(registry: Registry, trainer: "Trainer") -> None:
    """Also of a series that has no version yet; a lower one said later changes nothing."""
    registry.count_from("acme/support", 9)
    registry.count_from("acme/support", 4)
    assert trainer.published(registry).number == 10


def test_a_root_awaits_its_baseline_until_it_is_taken(registry: Registry) -> None:
    """A root that nobody spoke of does not, nor does one whose baseline was taken; asked for, it does once more."""
    assert not registry.awaits_baseline("/train")
    registry.await_baseline("/train")
    assert registry.awaits_baseline("/train")
    assert registry.root_inode("/train") == (False, None)
    registry.baseline("/train", (1, 2), ())
    assert not registry.awaits_baseline("/train")
    registry.await_baseline("/train")
    assert registry.awaits_baseline("/train")
    assert registry.root_inode("/train") == (False, None)


def test_leases_of_one_stage_are_ended_alone(registry: Registry, trainer: "Trainer") -> None:
    """A lane that failed takes back its own, and leaves what another lane has in hand."""
    trainer.validated(registry)
    trainer.staged(registry)
    staged, validated = (trainer.claim(registry, stage) for stage in (Stage.STAGED, Stage.VALIDATED))
    assert registry.reclaim("lane", Stage.STAGED) == 1
    registry.release(validated)
    assert registry.claim(Stage.STAGED, "lane", trainer.now, 60.0, 3600.0) is not None
    assert staged.version.stage is Stage.STAGED
