"""What was sent and what the Hub says: whether the next step fits, and when it will."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapterd.core import budget
from adapterd.core.budget import GRAIN, HOUR, LATER, WINDOW, Ledger, Limits, Window

LIMITS = Limits(requests=100, commits=3)
REPO = "acme/x"


def _sent(count: int, at: float = 0.0, ledger: Ledger | None = None) -> Ledger:
    found = ledger or Ledger()
    for _ in range(count):
        found = budget.sent(found, at)
    return found


def test_requests_count_for_five_minutes() -> None:
    """Then there is room again."""
    ledger = _sent(60)
    assert budget.left(ledger, LIMITS, WINDOW - 1) == 40
    assert budget.left(ledger, LIMITS, WINDOW + GRAIN) == 100


@pytest.mark.parametrize(("cost", "fits"), [(40, True), (41, False)])
def test_a_step_that_does_not_fit_waits_until_it_does(cost: int, fits: bool) -> None:  # noqa: FBT001 - a table
    """The moment is when enough of the earlier requests count no more, and the message has the numbers."""
    ledger = _sent(30, 100.0, _sent(30))
    found = budget.spent(ledger, LIMITS, 200.0, cost)
    assert (found is None) is fits
    if found is not None:
        assert found.until == WINDOW + GRAIN
        assert found.message == "60 of the 100 requests that hub.budget allows in five minutes are used"
        assert budget.spent(ledger, LIMITS, found.until, cost) is None


def test_what_the_hub_says_goes_before_what_was_counted() -> None:
    """Others use the same token: fewer requests are left than ours let one think."""
    ledger = budget.told(Ledger(), "api", Window(4, 55.0, 1000))
    assert budget.left(ledger, LIMITS, 1.0) == 4
    found = budget.spent(ledger, LIMITS, 1.0, LATER)
    assert found is not None
    assert (found.until, found.message) == (55.0, "4 of 1000 requests are left in the Hub's window")
    assert budget.spent(ledger, LIMITS, 55.0, LATER) is None


def test_an_empty_window_of_the_hubs_shuts_until_it_opens() -> None:
    """Not a single request may be sent before."""
    ledger = budget.told(Ledger(), "api", Window(0, 55.0))
    found = budget.shut(ledger, 54.9)
    assert found is not None
    assert found.until == 55.0
    assert budget.shut(ledger, 55.0) is None


def test_commits_to_one_repo_count_for_an_hour() -> None:
    """The next one fits when the oldest is an hour old; other repos are not concerned."""
    ledger = Ledger()
    for at in (0.0, 10.0, 20.0):
        ledger = budget.committed(ledger, REPO, at)
    found = budget.spent(ledger, LIMITS, 30.0, 1, REPO)
    assert found is not None
    assert (found.until, found.message) == (HOUR, "acme/x got 3 commits within an hour, and hub.budget allows 3")
    assert budget.spent(ledger, LIMITS, 30.0, 1, "acme/y") is None
    assert budget.spent(ledger, LIMITS, 30.0, 1) is None
    assert budget.commits_left(ledger, LIMITS, REPO, HOUR) == 1


@pytest.mark.parametrize(
    ("used", "due", "tight"), [(0, 0, False), (0, 9, False), (0, 10, True), (75, 0, False), (76, 0, True)]
)
def test_it_is_tight_when_less_is_left_than_is_due_or_than_a_quarter(used: int, due: int, tight: bool) -> None:  # noqa: FBT001 - a table
    """Eleven requests for each version that is due."""
    assert budget.tight(_sent(used), LIMITS, 1.0, due) is tight


@pytest.mark.parametrize(("made", "due", "tight"), [(0, 3, False), (1, 3, True), (2, 1, False), (3, 0, True)])
def test_commits_to_a_repo_are_tight_as_well(made: int, due: int, tight: bool) -> None:  # noqa: FBT001 - a table
    """Fewer are left than its versions that are due."""
    ledger = Ledger()
    for _ in range(made):
        ledger = budget.committed(ledger, REPO, 0.0)
    assert budget.tight_for(ledger, LIMITS, 1.0, REPO, due) is tight


@given(st.lists(st.floats(0, 40), min_size=1, max_size=150), st.integers(1, 50))
def test_whoever_waits_as_long_as_it_says_fits_then_and_never_exceeds_the_budget(
    pauses: list[float], cost: int
) -> None:
    """Sending only what fits, no five minutes ever hold more requests than are allowed."""
    limits, ledger, now, times = Limits(requests=50), Ledger(), 0.0, list[float]()
    for pause in pauses:
        now += pause
        found = budget.spent(ledger, limits, now, cost)
        if found is not None:
            assert found.until > now
            now = found.until
            assert budget.spent(ledger, limits, now, cost) is None
        for _ in range(cost):
            ledger = budget.sent(ledger, now)
        times += [now] * cost
        assert sum(now - at < WINDOW for at in times) <= limits.requests
