"""Who may copy into a spool of limited size: in order, and nobody for ever."""

from hypothesis import given
from hypothesis import strategies as st

from adapterd.core.quota import EMPTY, Line, admit, removed

MOST = 100


def test_what_fits_goes() -> None:
    """An empty line and room enough: nothing is remembered."""
    assert admit(EMPTY, "a", 40, 60, MOST).why == ""
    assert admit(EMPTY, "a", 40, 60, MOST).line == EMPTY


def test_what_does_not_fit_waits_with_the_numbers() -> None:
    """The first that waits is first in line; nothing is kept for it until something goes."""
    answer = admit(EMPTY, "large", 50, 60, MOST)
    assert answer.line == Line("large", 50, 0)
    assert answer.why == "the spool holds 60 of 100 bytes; large needs 50"


def test_small_ones_use_the_room_that_was_too_little_for_the_first() -> None:
    """It would stand empty otherwise, and their checkpoints would rotate away."""
    line = admit(EMPTY, "large", 50, 60, MOST).line
    assert admit(line, "small", 30, 60, MOST).why == ""
    assert admit(line, "small", 30, 60, MOST).line == line


def test_what_is_removed_is_kept_for_the_first() -> None:
    """Small ones cannot take it, however often they ask, so that the first waits for its own size at most."""
    line = removed(admit(EMPTY, "large", 50, 90, MOST).line, 20)
    answer = admit(line, "small", 15, 70, MOST)
    assert answer.why == "the spool holds 70 of 100 bytes, and keeps 20 free for large; small needs 15"
    assert answer.line == line
    line = removed(line, 20)
    assert admit(line, "large", 50, 50, MOST).why == ""
    assert admit(line, "large", 50, 50, MOST).line == EMPTY


def test_what_never_fits_holds_up_nobody() -> None:
    """A copy larger than the whole spool is told so, and stands in nobody's way."""
    answer = admit(EMPTY, "huge", 101, 0, MOST)
    assert "more than spool.max_size itself: 100" in answer.why
    assert answer.line == EMPTY


def test_what_goes_while_nobody_waits_is_kept_for_nobody() -> None:
    """Removing from a spool with an empty line changes nothing."""
    assert removed(EMPTY, 50) == EMPTY


@given(st.lists(st.tuples(st.integers(1, 60), st.booleans()), min_size=1, max_size=60), st.integers(30, 100))
def test_whoever_asks_again_and_again_gets_in_once_so_much_was_removed(
    others: list[tuple[int, bool]], needs: int
) -> None:
    """Whatever others ask for meanwhile, it is in when as much was removed as it needs; and it is never too full."""
    line, inside, gone = EMPTY, [10] * 10, 0
    answer = admit(line, "first", needs, sum(inside), MOST)
    assert answer.why
    line = answer.line
    for size, removes in others:
        if removes and inside:
            went = inside.pop(0)
            gone += went
            line = removed(line, went)
        else:
            asked = admit(line, f"other-{size}", size, sum(inside), MOST)
            line = asked.line
            inside += [size] if not asked.why else []
        assert sum(inside) <= MOST
        answer = admit(line, "first", needs, sum(inside), MOST)
        if gone >= needs:
            assert answer.why == ""
        if not answer.why:
            return
        line = answer.line
