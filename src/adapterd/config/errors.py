"""What a person reads when a file of theirs is wrong: every problem at once, each with its place."""

import re
from dataclasses import dataclass

from adapterd.core.errors import AdapterdError

TOKEN = re.compile(r"hf_[A-Za-z0-9]{34,}")
_WORD = re.compile(r"\S+")
_LONGEST = 80
_MOST = 50


def hide_tokens(text: str) -> str:
    """Take tokens out of a text that will be shown."""
    return TOKEN.sub("hf_***", text)


def _without_user(word: str) -> str:
    """Hide what stands before the last @ of a word, apart from its scheme."""
    before, at, host = word.rpartition("@")
    scheme, slashes, _ = before.partition("//")
    return f"{scheme if slashes else ''}{slashes}***@{host}" if at else word


def quote(value: str) -> str:
    """Show a value from a file: without tokens and credentials, on one line, and never long."""
    clean = hide_tokens(_WORD.sub(lambda match: _without_user(match[0]), value))
    return repr(clean if len(clean) <= _LONGEST else clean[: _LONGEST - 3] + "...")


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong in one place.

    Attributes:
        line: counted from 1; None where the problem is the file itself.
        key: the dotted path (``roots[0].checkpoints``); empty where no key is concerned.
        text: what was there and what was expected.
        hint: what to do about it.
    """

    line: int | None
    key: str
    text: str
    hint: str

    def at(self, source: str) -> str:
        """Say where and what, in the form that editors and terminals make clickable."""
        place = source if self.line is None else f"{source}:{self.line}"
        return hide_tokens(f"{place}: {self.key}: {self.text}" if self.key else f"{place}: {self.text}")


class _FileError(AdapterdError):
    """An error about one file, which lists all of its problems."""

    def __init__(self, source: str, problems: tuple[Problem, ...]) -> None:
        """Join the problems so that message and hint, printed in turn, read as one list."""
        *earlier, last = problems[:_MOST]
        lines = [line for each in earlier for line in (each.at(source), f"Try: {hide_tokens(each.hint)}")]
        if more := len(problems) - _MOST if len(problems) > _MOST else 0:
            lines.insert(0, f"{source}: {len(problems)} problems; the last {more} are not shown")
        super().__init__("\n".join([*lines, last.at(source)]), hide_tokens(last.hint))
        self.source = source
        self.problems = problems


class ConfigError(_FileError):
    """The configuration cannot be used; ``problems`` has every reason in the order of the file."""


class LabelsError(_FileError):
    """An ``adapterd.yaml`` in a run folder cannot be understood."""
