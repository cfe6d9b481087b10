"""A breaker opens after failures in a row, lets one call try, and knows whose fault a failure is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapterd.core import breaker
from adapterd.core.breaker import TURN, Breaker, Rule, State

RULE = Rule(first=10.0, longest=900.0)
ONE, OTHER = "acme/one", "acme/other"


def _failed(times: int, repo: str = ONE, *, now: float = 0.0, rule: Rule = RULE, everywhere: bool = False) -> Breaker:
    found = Breaker()
    for _ in range(times):
        found = breaker.failed(found, rule, repo, now, 0.0, "500", everywhere=everywhere)
    return found


@pytest.mark.parametrize(("times", "stands"), [(0, State.CLOSED), (2, State.CLOSED), (3, State.OPEN)])
def test_it_opens_after_three_failures_in_a_row(times: int, stands: State) -> None:
    """Fewer may be chance."""
    assert breaker.state(_failed(times), 1.0) is stands


def test_an_answer_in_between_begins_the_row_anew() -> None:
    """Only failures without an answer between them tell of the Hub as a whole."""
    found = breaker.answered(_failed(2), ONE)
    assert breaker.state(breaker.failed(found, RULE, ONE, 0.0, 0.0, "500"), 0.0) is State.CLOSED


def test_pauses_grow_up_to_the_longest() -> None:
    """A try that fails opens it again for longer."""
    pauses = [_failed(times).until for times in range(3, 12)]
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (20.0, 450.0)


def test_half_open_one_call_tries_and_the_others_wait() -> None:
    """Whoever comes while somebody tries waits a moment for what comes of it."""
    found = _failed(3, everywhere=True)
    at = found.until + TURN
    assert breaker.held(found, OTHER, at) == 0.0
    found = breaker.begun(found, RULE, at)
    assert breaker.held(found, OTHER, at) > at
    assert breaker.held(breaker.answered(found, OTHER), ONE, at) == 0.0


def test_a_try_that_tells_nothing_lets_the_next_one_try() -> None:
    """The thread that tried died, or the call ended before it was sent."""
    found = _failed(3, everywhere=True)
    at = found.until + TURN
    assert breaker.held(breaker.ended(breaker.begun(found, RULE, at)), OTHER, at) == 0.0
    late = at + RULE.trial
    assert breaker.held(breaker.begun(found, RULE, at), OTHER, late) == 0.0


def test_failures_of_one_repo_hold_up_no_other() -> None:
    """It may be that repo alone which is broken; once a second one fails as well, all wait."""
    found = _failed(3)
    assert breaker.held(found, ONE, 1.0) == found.until + TURN
    assert breaker.held(found, OTHER, 1.0) == 0.0
    found = breaker.failed(found, RULE, OTHER, 1.0, 0.0, "500")
    assert breaker.held(found, "acme/third", 2.0) == found.until


def test_the_repo_that_failed_last_tries_last() -> None:
    """One broken repo is not the only one that ever tries; all its versions wait alike, whenever they ask."""
    found = breaker.failed(_failed(3, OTHER), RULE, ONE, 0.0, 0.0, "500")
    assert breaker.held(found, ONE, 1.0) == found.until + TURN
    assert breaker.held(found, ONE, found.until) == found.until + TURN
    assert breaker.held(found, OTHER, found.until) == 0.0
    assert breaker.held(found, ONE, found.until + TURN) == 0.0


def test_an_effect_that_one_repo_alone_fails_at_leaves_it_closed() -> None:
    """The version's own pauses are enough; other versions of the repo go on."""
    rule = Rule(several=True)
    assert breaker.state(_failed(9, rule=rule), 0.0) is State.CLOSED
    assert breaker.state(breaker.failed(_failed(9, rule=rule), rule, OTHER, 0.0, 0.0, "500"), 0.0) is State.OPEN


def test_a_quota_opens_at_once_for_all() -> None:
    """For the time that was named, or a growing one."""
    found = breaker.refused(Breaker(), RULE, ONE, 0.0, 0.0, "429")
    assert (found.until, breaker.held(found, OTHER, 1.0), found.quota) == (5.0, 5.0, True)
    assert breaker.refused(found, RULE, OTHER, 5.0, 0.0, "429").until == 15.0
    assert breaker.refused(found, RULE, OTHER, 5.0, 0.0, "429", 60.0).until == 65.0


def test_a_failed_read_is_a_repos_own_only_once_others_were_answered() -> None:
    """While nobody is answered, a Hub that is away for days counts against no version."""
    found = _failed(50)
    assert not breaker.own(found, ONE, effect=False)
    found = breaker.answered(found, OTHER)
    assert breaker.own(found, ONE, effect=False)
    assert not breaker.own(breaker.failed(found, RULE, ONE, 0.0, 0.0, "500"), ONE, effect=False)


def test_a_failed_effect_is_a_repos_own_unless_others_fail_at_it_too() -> None:
    """The reads before it were answered, so the Hub is there; where several fail, it is the Hub's."""
    assert breaker.own(Breaker(), ONE, effect=True)
    assert breaker.own(_failed(5), ONE, effect=True)
    assert not breaker.own(_failed(1, OTHER), ONE, effect=True)


def test_a_person_lets_it_be_tried_at_once() -> None:
    """The pause ends now, and whoever comes first tries."""
    found = _failed(3)
    assert breaker.held(breaker.at_once(found, 1.0), ONE, 1.0) == 0.0


_EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["fail", "answer", "refuse", "try"]), st.sampled_from([ONE, OTHER, "c"]), st.floats(0, 99)
    ),
    max_size=40,
)


@given(_EVENTS, st.floats(0, 1, exclude_max=True))
def test_nobody_ever_waits_longer_than_the_longest_pause(events: list[tuple[str, str, float]], jitter: float) -> None:
    """Whatever happened, every repo may try again in the end, and an answer closes it for all."""
    found, now = Breaker(), 0.0
    for kind, repo, pause in events:
        now += pause
        if kind == "fail":
            found = breaker.failed(found, RULE, repo, now, jitter, "500")
        elif kind == "refuse":
            found = breaker.refused(found, RULE, repo, now, jitter, "429")
        elif kind == "answer":
            found = breaker.answered(found, repo)
            assert breaker.state(found, now) is State.CLOSED
        elif not breaker.held(found, repo, now):
            found = breaker.ended(breaker.begun(found, RULE, now))
        assert all(breaker.held(found, each, now) <= now + RULE.longest + TURN for each in (ONE, OTHER, "c"))
