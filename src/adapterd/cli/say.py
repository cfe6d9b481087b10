"""What verbs write: lines, tables, JSON documents to standard output; errors and progress to standard error."""

import json
import re
import sys
import textwrap
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

SCHEMA = 1

COLUMNS = 100
"""How wide a line of running text may become."""

# What comes from adapters and repos may try to steer the terminal.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def clean(text: str) -> str:
    """The text with control characters made visible; newlines and tabs stay."""
    return _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


class ReaderGoneError(Exception):
    """Whoever read standard output has closed it."""


def write(text: str) -> None:
    """Write to standard output as it is. ReaderGoneError where nobody reads it any more."""
    try:
        sys.stdout.write(text)
    except BrokenPipeError as error:
        raise ReaderGoneError from error


def line(text: str = "") -> None:
    """Write a line to standard output."""
    write(clean(text) + "\n")


def wrapped(head: str, text: str) -> None:
    """Write a text behind its head; what does not fit goes on below, as far in as the text began."""
    room = max(COLUMNS - len(head), COLUMNS // 2)
    first, *rest = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False) or [""]
    line((head + first).rstrip())
    for each in rest:
        line(" " * len(head) + each)


def complain(message: str, hint: str = "") -> None:
    """Write what happened, and what to try, to standard error."""
    sys.stderr.write(clean(message) + "\n" + (f"Try: {clean(hint)}\n" if hint else ""))
    sys.stderr.flush()


def document(value: Mapping[str, Any]) -> None:
    """Write one JSON document, with its schema first."""
    write(json.dumps({"schema": SCHEMA, **value}, indent=2) + "\n")


def record(value: Mapping[str, Any]) -> None:
    """Write one line of JSON, with its schema first."""
    write(json.dumps({"schema": SCHEMA, **value}) + "\n")
    sys.stdout.flush()


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Write rows in columns; nothing at all where there are no rows."""
    cells = [[clean("" if cell is None else str(cell)).replace("\n", " ") for cell in row] for row in (header, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    for row in cells if rows else ():
        line("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def when(seconds: float) -> str:
    """A time as ISO 8601 has it, to the second, in this host's time zone; empty for one that is not known."""
    try:
        return datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="seconds") if seconds else ""
    except (ValueError, OverflowError, OSError):  # a clock that was set wildly
        return ""
