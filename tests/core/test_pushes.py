"""When the next push comes, and why not sooner."""

from dataclasses import replace

from adapterd.core import pushes
from adapterd.core.version import AdapterVersion, Stage

WAITS = AdapterVersion(1, "acme/x", "a" * 64, "t" * 64, 1, Stage.VALIDATED, due_at=100.0, reason="budget_spent")
TEXT = "0 of 1000 requests are left in the Hub's window"


def _told(*versions: AdapterVersion, now: float = 0.0) -> str:
    return pushes.told(pushes.first(versions), now, lambda at: f"{at:.0f} s")


def test_the_first_push_is_said_with_its_moment_and_its_reason() -> None:
    """The message has the numbers."""
    late = replace(WAITS, id=2, intake=2, due_at=200.0, message="later")
    assert _told(late, replace(WAITS, message=TEXT)) == f"next push at 100 s: {TEXT}"
    assert _told(WAITS) == "next push at 100 s: budget_spent"


def test_what_is_due_goes_now() -> None:
    """The version is named; whatever it waited for is over."""
    assert _told(WAITS, now=100.0) == f"next push now: {WAITS.label}"


def test_only_what_is_validated_and_moves_is_a_push() -> None:
    """Neither what is still to be validated, nor what waits for a person, nor what is published."""
    assert _told(replace(WAITS, stage=Stage.STAGED), replace(WAITS, stalled=True)) == ""
    assert pushes.document(pushes.first([])) is None


def test_as_json_it_says_how_many_stand_behind_it() -> None:
    """Names are the registry's."""
    found = pushes.document(pushes.first([WAITS, replace(WAITS, id=2, intake=2)]))
    assert found == {"at": 100.0, "version": WAITS.label, "reason": "budget_spent", "message": None, "behind": 1}
