"""The crontab dialect that the schedule accepts: the part on which cron and APScheduler agree."""

import re
from typing import NamedTuple

_ITEM = re.compile(
    r"(?P<star>\*)(?:/(?P<every>\d{1,3}))?|(?P<first>\d{1,2})(?:-(?P<last>\d{1,2})(?:/(?P<step>\d{1,3}))?)?",
    re.ASCII,
)
_NAMES = re.compile(r"(?P<first>[a-z]{3})(?:-(?P<last>[a-z]{3}))?")


class _Field(NamedTuple):
    """One of the five columns."""

    name: str
    low: int
    high: int
    words: tuple[str, ...] = ()


_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("weekday", 0, 6, _DAYS),
)


def cron_fault(line: str) -> str:
    """Say what to change in a crontab line; empty when it can be used."""
    columns = line.split()
    if len(columns) != len(_FIELDS):
        return f"five fields instead of {len(columns)}, such as */15 * * * * for every quarter of an hour"
    for field, column in zip(_FIELDS, columns, strict=True):
        for item in column.split(","):
            if fault := _item_fault(field, item.casefold()):
                return fault
    return ""


def _item_fault(field: _Field, item: str) -> str:
    """Judge one comma-separated part of a column."""
    if field.words and (names := _NAMES.fullmatch(item)):
        return _names_fault(field, item, names["first"], names["last"] or names["first"])
    match = _ITEM.fullmatch(item)
    if match is None:
        return f"*, N, N-M, */N or N-M/N as the {field.name}, instead of {item}"
    low, high, step = field.low, field.high, 1
    if match["star"]:
        step = int(match["every"] or 1)
    elif field.words == _DAYS:
        # Cron counts from Sunday and APScheduler from Monday: a number would fire on another day than meant.
        return f"the weekday by name (mon to sun), instead of {item}"
    else:
        low, high = int(match["first"]), int(match["last"] or match["first"])
        step = int(match["step"] or 1)
    if not field.low <= low <= high <= field.high:
        return f"numbers from {field.low} to {field.high} in order as the {field.name}, instead of {item}"
    if step != 1 and not 1 <= step <= high - low:
        return f"a step from 1 to {max(high - low, 1)} as the {field.name}, instead of {item}"
    return ""


def _names_fault(field: _Field, item: str, first: str, last: str) -> str:
    """Judge a name or a range of names."""
    words = f"{field.words[0]} to {field.words[-1]}"
    if first not in field.words or last not in field.words or field.words.index(first) > field.words.index(last):
        return f"{words}, in this order, as the {field.name}, instead of {item}"
    return ""
