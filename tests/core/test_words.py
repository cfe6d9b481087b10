"""Times, numbers and markup: pure functions, as tables."""

from collections.abc import Collection

import pytest

from adapterd.core import words
from adapterd.status.markup import join, page, tag, text


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-5, "0 s"), (0, "0 s"), (59.4, "59 s"), (60, "1 min"), (90, "1.5 min"), (700, "12 min"), (7200, "2 h")],
)
def test_spans_have_one_unit(seconds: float, said: str) -> None:
    """A length of time is read at a glance."""
    assert words.span(seconds) == said


def test_moments_are_relative_and_an_unknown_one_is_empty() -> None:
    """Past, future, now, and never."""
    assert words.ago(40.0, 100.0) == "1 min ago"
    assert words.ago(0.0, 100.0) == ""
    assert words.until(160.0, 100.0) == "in 1 min"
    assert words.until(50.0, 100.0) == "now"
    assert words.utc(0.0) == ""
    assert words.utc(1e300) == ""


@pytest.mark.parametrize(
    ("value", "said"),
    [(None, ""), (True, "yes"), (1234567, "1,234,567"), (0.0421337, "0.04213"), (float("nan"), "nan"), ("cpu", "cpu")],
)
def test_numbers_are_short(value: object, said: str) -> None:
    """Few digits, large ones grouped."""
    assert words.number(value) == said


def test_a_loss_is_shown_only_where_both_were_measured() -> None:
    """Half a comparison says nothing."""
    assert words.losses(3.25, 2.0) == "3.250 → 2.000"
    assert words.losses(3.25, None) == ""
    assert words.losses("inf", 2.0) == ""


def test_markup_escapes_everything_but_itself() -> None:
    """Text becomes text, attributes stay within their quotes, and markup is not escaped twice."""
    assert tag("b", "<i>&") == "<b>&lt;i&gt;&amp;</b>"
    assert tag("a", "x", href='"><script>') == '<a href="&quot;&gt;&lt;script&gt;">x</a>'
    assert tag("p", tag("b", "x"), None, 5, cls="calm", title=None) == '<p class="calm"><b>x</b>5</p>'
    assert join("<", tag("br"), by="&") == "&lt;&amp;<br>"
    assert text(text("<")) == "&lt;"


def test_what_cannot_be_seen_is_spelled_out() -> None:
    """Direction marks, escapes and halves of surrogate pairs show themselves; letters of any script stay."""
    assert text("ä→漢\u202e\x00\udcff") == "ä→漢\\u202e\\x00\\udcff"
    page(text("\udcff"), text("\udcff")).encode()


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ([1], "its newest version is v1"),
        (range(1, 4), "its newest version is v3"),
        ([3, 1], "its newest version is v3; there are v1, v3"),
        ([9], "its newest version is v9"),
        (range(2, 40), "its newest version is v39"),
    ],
)
def test_the_newest_version_is_named_and_gaps_where_they_help(numbers: Collection[int], said: str) -> None:
    """Of a few versions with some missing before them, all are listed."""
    assert words.newest(numbers) == said
