"""The state machine's page, and the table of reasons."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapterd.core import reasons
from adapterd.core.reasons import BY_CODE, TABLE, Severity
from adapterd.core.version import LIVE, MOVES, AdapterVersion, Stage, backoff


def test_every_stage_has_its_moves() -> None:
    """Published is final; what left the line can only begin anew; nothing moves onto itself."""
    assert set(MOVES) == set(Stage)
    assert MOVES[Stage.PUBLISHED] == frozenset()
    assert MOVES[Stage.REJECTED] == MOVES[Stage.SUPERSEDED] == frozenset({Stage.STAGED})
    assert all(stage not in to for stage, to in MOVES.items())
    assert [stage for stage in Stage if Stage.PUBLISHED in MOVES[stage]] == [Stage.VALIDATED]
    assert set(LIVE) == {Stage.STAGED, Stage.VALIDATED}


def test_a_version_is_called_by_its_tag_or_its_identity() -> None:
    """Without a number a version is named by its identity, as the command line takes it."""
    version = AdapterVersion(1, "acme/support", "0123456789abcdef" * 4, "t" * 64, 1, Stage.STAGED)
    assert (version.tag, version.label) == ("", "acme/support@id:0123456789ab")
    numbered = AdapterVersion(1, "acme/support", "0" * 64, "t" * 64, 1, Stage.PUBLISHED, number=7, commit="c" * 40)
    assert (numbered.tag, numbered.label) == ("v7", "acme/support@v7")


@given(st.integers(0, 10_000), st.floats(0, 1, exclude_max=True))
def test_backoff_stays_within_its_bounds(attempts: int, jitter: float) -> None:
    """However often it failed, the pause is at least half of its step and never above the longest."""
    pause = backoff(attempts, 10.0, 900.0, jitter)
    assert 5.0 <= pause <= 900.0
    assert backoff(attempts + 1, 10.0, 900.0, 0.0) >= backoff(attempts, 10.0, 900.0, 0.0)


def test_backoff_doubles() -> None:
    """The pauses double from the first to the longest."""
    assert [2 * backoff(n, 10.0, 100.0, 0.0) for n in range(1, 7)] == [10, 20, 40, 80, 100, 100]


def test_reasons_are_a_table() -> None:
    """Each code is one word of lower case, stands once, and says what to do."""
    codes = [entry.code for entry in TABLE]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", code) for code in codes)
    assert all(entry.hint and entry.severity in Severity for entry in TABLE)


def test_a_reason_has_its_hint() -> None:
    """A reason's hint is the table's, unless a better one is given; an unknown code is a bug."""
    assert reasons.reason("denied", "no").hint == BY_CODE["denied"].hint
    assert reasons.reason("denied", "no", "ask").hint == "ask"
    with pytest.raises(KeyError):
        reasons.reason("no_such_code", "")


def test_the_page_lists_every_reason() -> None:
    """The reference page is the table."""
    page = reasons.page()
    assert all(f"| `{entry.code}` |" in page for entry in TABLE)
