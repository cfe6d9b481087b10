"""``adapterd.yaml`` in a run folder: what the user or the training script says about the run."""

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from adapterd.config.errors import LabelsError, Problem
from adapterd.config.kinds import Commit, HubName, Kind, refuse
from adapterd.config.load import validated
from adapterd.config.model import Section
from adapterd.config.source import Document, decode, read_document

NAME = "adapterd.yaml"
LARGEST = 64 * 1024
_GUIDE = "adapter: my-adapter, or any other label; the file may also be left out"
_CREDENTIALS = re.compile(r"://[^/\s]*@")


def _one_line(value: str) -> str:
    """Take text that fits in a card's metadata, and carries no credentials."""
    if not value.isprintable():
        raise refuse("text on one line")
    if _CREDENTIALS.search(value):
        raise refuse("an address without user and password", "the same address without what stands before the @")
    return value


def _link(value: str) -> str:
    """Take the address of a page; a query may hold a key, so it is refused."""
    try:
        parts = urlsplit(value)
        sound = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        sound = False
    if not sound or parts.query or " " in value:
        raise refuse("an http:// or https:// address without a query")
    return value


Line = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_one_line)]
Link = Annotated[
    str,
    Kind("an http:// or https:// address without a query", "https://tracker.example.org/runs/42"),
    Field(max_length=500),
    AfterValidator(_one_line),
    AfterValidator(_link),
]
Lines = Annotated[
    tuple[Line, ...],
    Kind("text, or a list of texts"),
    Field(max_length=64),
    BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
]


class BaseLabel(Section):
    """Which base the run was trained on, as the training script knows it."""

    revision: Commit | None = None
    fingerprint: Line | None = None


class Expectation(Section):
    """What the training script measured, to be compared with what validation measures."""

    loss: float | None = Field(default=None, ge=0)


class _Known(Section):
    """The labels that this version knows."""

    adapter: HubName | None = None
    publish: bool = True
    datasets: Lines = ()
    license: Line | None = None
    language: Lines = ()
    tracker: Link | None = None
    git: Line | None = None
    notes: Annotated[str, Field(max_length=10_000)] | None = None
    base: BaseLabel = BaseLabel()
    expect: Expectation = Expectation()


class Labels(_Known):
    """The labels of one run; every key is optional, and no file is the same as an empty one.

    Attributes:
        unknown: keys that this version does not know, by their dotted names; a warning, not an error.
    """

    unknown: tuple[str, ...] = ()

    def record(self) -> dict[str, object]:
        """Give what the labels say, and only that, as JSON values for the manifest."""
        given = self.model_dump(mode="json", exclude_defaults=True, exclude={"unknown"})
        return {key: value for key, value in given.items() if value != {}}


def read_labels(data: bytes) -> Labels:
    """Read the bytes of an ``adapterd.yaml``.

    Raises:
        LabelsError: with all of its problems.
    """
    text = decode(data, LARGEST)
    if isinstance(text, Problem):
        raise LabelsError(NAME, (text,))
    document = read_document(text, _GUIDE)
    if document.value is None and not document.problems:
        return Labels()
    unknown = _take_unknown(document)
    known = validated(_Known, document)
    if document.problems or known is None:
        raise LabelsError(NAME, tuple(sorted(document.problems, key=lambda problem: problem.line or 0)))
    return Labels(**dict(known), unknown=unknown)


def _take_unknown(document: Document) -> tuple[str, ...]:
    """Remove the keys that no label has, and name them."""
    value = document.value
    if not isinstance(value, dict):
        return ()
    unknown = [key for key in value if key not in _Known.model_fields]
    for key in unknown:
        del value[key]
    for name, part in (("base", BaseLabel), ("expect", Expectation)):
        inner = value.get(name)
        if isinstance(inner, dict):
            strange = [key for key in inner if key not in part.model_fields]
            unknown += [f"{name}.{key}" for key in strange]
            value[name] = {key: inner[key] for key in inner if key not in strange}
    return tuple(unknown)
