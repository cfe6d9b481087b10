"""Durations and sizes in the units people write."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapterd.config import format_duration, format_size, parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("0s", 0.0),
        ("30s", 30.0),
        ("250ms", 0.25),
        ("1.5s", 1.5),
        ("5m", 300.0),
        ("1h30m", 5400.0),
        ("2d", 172_800.0),
        ("1d2h3m4.5s", 93_784.5),
        (" 90s ", 90.0),
    ],
)
def test_a_duration_is_read_in_seconds(text: str, seconds: float) -> None:
    """Units may be combined, the largest first."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "s", "1.5m", "5 m", "30m1h", "1h1h", "-5s", "1e3s", "٣s", "5w", "1ms2s"])
def test_what_is_no_duration(text: str) -> None:
    """A missing unit, a wrong order, a sign or another script is refused, not guessed."""
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0B", 0),
        ("17B", 17),
        ("500MB", 500_000_000),
        ("2GiB", 2 * 1024**3),
        ("1.5 GiB", 3 * 512 * 1024**2),
        ("20gib", 20 * 1024**3),
        ("3kB", 3000),
        ("1TiB", 1024**4),
    ],
)
def test_a_size_is_read_in_bytes(text: str, size: int) -> None:
    """Powers of ten and of two are told apart by the i; case and one space do not matter."""
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "500", "2G", "GiB", "-1MB", "0.5B", "1.5.5GB", "2  GiB", "1PiB"])
def test_what_is_no_size(text: str) -> None:
    """A missing unit, half a byte or an unknown unit is refused."""
    with pytest.raises(ValueError, match="not a"):
        parse_size(text)


@given(st.integers(min_value=0, max_value=10**14))
def test_a_duration_survives_being_written(micros: int) -> None:
    """What is written of any duration, to the microsecond, reads as the same number."""
    seconds = micros / 1_000_000
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, abs=1e-6)


@given(st.integers(min_value=0, max_value=10**15))
def test_a_size_survives_being_written(size: int) -> None:
    """What is written of any size reads as exactly the same number."""
    assert parse_size(format_size(size)) == size


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (0.25, "250ms"), (90, "1m30s"), (5400, "1h30m"), (86_400, "1d"), (60.5, "1m0.5s")]
)
def test_a_duration_is_written_shortly(seconds: float, text: str) -> None:
    """Only units that are needed are written."""
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0B"), (1023, "1023B"), (1024, "1KiB"), (10**9, "1GB"), (20 * 1024**3, "20GiB")]
)
def test_a_size_is_written_in_its_largest_unit(size: int, text: str) -> None:
    """The unit is the largest that divides the size."""
    assert format_size(size) == text
