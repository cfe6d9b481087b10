"""A YAML file as plain values that know their lines; whatever YAML can do beyond that is refused.

Scalars stay text, so that a key's kind alone decides what they mean: ``no`` is a language where a language
is wanted and false where a truth is, and a commit of digits keeps its leading zeros.
"""

import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from adapterd.config.errors import TOKEN, Problem, quote

Step = str | int
Loc = tuple[Step, ...]
Value = str | list["Value"] | dict[str, "Value"] | None

_DEEPEST = 16
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_KEEP_APART = (
    "take it out, and revoke it if others could read it; hub.token_file of the configuration names the file"
    " that holds the token"
)


@dataclass
class Document:
    """What a YAML text holds.

    Attributes:
        value: the values: text, lists, sections, or None.
        lines: where each of them stands; a key's own line where it has one.
        problems: what the text does that no value can express.
        untrusted: places whose value was refused here, so that nobody judges it again.
        guide: what helps where no single key is at fault.
        stray: what helps with a key that nobody knows; ``{key}`` stands for its name.
    """

    value: Value = None
    lines: dict[Loc, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    untrusted: set[Loc] = field(default_factory=set)
    guide: str = ""
    stray: str = "leave the line out"

    def line(self, loc: Loc) -> int:
        """Give the line of a value, or of the nearest section around it."""
        while loc not in self.lines:
            if not loc:
                return 1
            loc = loc[:-1]
        return self.lines[loc]

    def at(self, loc: Loc) -> Value:
        """Give what stands somewhere; None where nothing does."""
        value = self.value
        for step in loc:
            if isinstance(value, dict) and isinstance(step, str):
                value = value.get(step)
            elif isinstance(value, list) and isinstance(step, int) and step < len(value):
                value = value[step]
            else:
                return None
        return value

    def refuse(self, loc: Loc, line: int, text: str, hint: str) -> None:
        """Note a problem, and that the value there means nothing."""
        self.problems.append(Problem(line, dotted(loc), text, hint))
        self.untrusted.add(loc)


def dotted(loc: Loc) -> str:
    """Write a place as people do: ``roots[0].checkpoints``."""
    written = ""
    for step in loc:
        written += f"[{step}]" if isinstance(step, int) else f".{step}" if written else step
    return written


def read_text(path: Path, limit: int) -> str | Problem:
    """Read a small UTF-8 file, or say why that is not possible."""
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            return Problem(None, "", "is a directory; expected a YAML file", f"{path}/config.yaml, if that is the file")
        if not stat.S_ISREG(status.st_mode):
            return Problem(None, "", "is no regular file; expected a YAML file", "a file on disk")
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except FileNotFoundError:
        hint = f"adapterd config example > {path}, then set hub.namespace and roots"
        return Problem(None, "", "there is no such file", hint)
    except PermissionError:
        return Problem(None, "", "permission denied", "chmod or chown, so that the user adapterd runs as can read it")
    except OSError as error:
        return Problem(None, "", f"cannot be read: {error.strerror or error}", "another path")
    return decode(data, limit)


def decode(data: bytes, limit: int) -> str | Problem:
    """Take bytes as text, or say why they are none."""
    if len(data) > limit:
        return Problem(None, "", f"is larger than {limit // 1024} KiB", "a YAML file of the usual size")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return Problem(line, "", f"byte 0x{data[error.start]:02x} is not UTF-8", "the file saved as UTF-8 text")


def read_document(text: str, guide: str) -> Document:
    """Read the one YAML document in a text, with everything that is wrong about its form."""
    document = Document(guide=guide)
    try:
        _Builder(document, yaml.parse(text, Loader=yaml.SafeLoader)).build()
    except _UnreadableError as error:
        document.refuse((), error.line, error.text, guide)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        what = f"the character U+{error.character:04X} is not allowed in YAML"
        document.refuse((), line, what, "the line typed again, without invisible characters")
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = "; ".join(part for part in (error.problem, error.context) if part)
        hint = "two spaces per level instead of tabs, a space after each colon, quotes around text with : or #"
        document.refuse((), mark.line + 1 if mark else 1, f"is no valid YAML: {what}", hint)
    _refuse_tokens(document, text)
    return document


def _refuse_tokens(document: Document, text: str) -> None:
    """Refuse what looks like a token on any line, comments included, that was not refused already."""
    known = {problem.line for problem in document.problems if problem.hint == _KEEP_APART}
    for number, line in enumerate(text.split("\n"), start=1):
        if number not in known and TOKEN.search(line):
            document.refuse((), number, "a Hub token stands in this line", _KEEP_APART)
            document.untrusted.discard(())


class _UnreadableError(Exception):
    """The text is YAML, but nothing that a configuration could be."""

    def __init__(self, line: int, text: str) -> None:
        """Say where and what."""
        super().__init__(text)
        self.line = line
        self.text = text


def _line(event: yaml.Event) -> int:
    """Give the line on which an event begins."""
    return event.start_mark.line + 1 if event.start_mark is not None else 1


class _Builder:
    """Turns a stream of YAML events into a document; depth is bounded, and nothing is ever shared."""

    def __init__(self, document: Document, events: Iterator[yaml.Event]) -> None:
        """Read from events, write into the document."""
        self._document = document
        self._events = events

    def build(self) -> None:
        """Read the first document and refuse a second one."""
        next(self._events)  # the stream's start
        if isinstance(next(self._events), yaml.StreamEndEvent):
            return
        self._document.value = self._value((), next(self._events))
        next(self._events)  # the document's end
        if not isinstance(following := next(self._events), yaml.StreamEndEvent):
            line = _line(following)
            self._document.refuse((), line, "a second document begins here", "one document per file, without ---")

    def _value(self, loc: Loc, event: yaml.Event) -> Value:
        """Read the value that begins with an event."""
        line = _line(event)
        self._document.lines.setdefault(loc, line)
        if isinstance(event, yaml.AliasEvent):
            self._document.refuse(loc, line, f"found the alias *{event.anchor}", "the value itself, written out")
            return None
        if isinstance(event, yaml.NodeEvent) and event.anchor is not None:
            self._document.refuse(loc, line, f"found the anchor &{event.anchor}", "the value without an anchor")
        tag = getattr(event, "tag", None)
        if tag not in {None, "!"}:
            self._document.refuse(loc, line, f"found the tag {tag}", "the value without a tag")
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(loc, event)
        if len(loc) >= _DEEPEST:
            raise _UnreadableError(line, f"is nested deeper than {_DEEPEST} levels")
        if isinstance(event, yaml.SequenceStartEvent):
            return self._list(loc)
        return self._section(loc)

    def _scalar(self, loc: Loc, event: yaml.ScalarEvent) -> str | None:
        """Keep a scalar as its text; only a plain null is None."""
        if TOKEN.search(event.value):
            line = _line(event)
            self._document.refuse(loc, line, "a Hub token stands here", _KEEP_APART)
        return None if event.style is None and event.value in _NULLS else str(event.value)

    def _list(self, loc: Loc) -> list[Value]:
        """Read the items of a list up to its end."""
        items: list[Value] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._value((*loc, len(items)), event))
        return items

    def _section(self, loc: Loc) -> dict[str, Value]:
        """Read the keys and values of a section up to its end; a key that comes again is refused."""
        section: dict[str, Value] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            line = _line(event)
            if not isinstance(event, yaml.ScalarEvent):
                raise _UnreadableError(line, "has a key that is no plain word")
            place = (*loc, event.value)
            if event.value not in section:
                self._document.lines[place] = line
                section[event.value] = self._value(place, next(self._events))
                continue
            first = self._document.lines[place]
            text = f"the key comes again; it already stands in line {first}"
            self._document.problems.append(Problem(line, dotted(place), text, "one of the two, with all that it needs"))
            discarded = _Builder(Document(), self._events)
            discarded._value(place, next(self._events))
        return section


def found(value: Value) -> str:
    """Say what stands somewhere, without telling secrets."""
    if isinstance(value, str):
        return f"found {quote(value)}"
    if value is None:
        return "found nothing"
    kind = "a list" if isinstance(value, list) else "a section"
    return f"found {'an empty' + kind[1:] if not value else kind}"
