"""``adapterd.yaml`` in a run folder: what the user or the training script says about the run."""

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from adapterd.config.errors import LabelsError, Problem
from adapterd.config.kinds import Commit, HubName, Kind, refuse
from adapterd.config.load import validated
from adapterd.config.section import Section
from adapterd.config.source import Value, decode, read_document

NAME = "adapterd.yaml"
LARGEST = 64 * 1024
_OWN = "x-"
_STRAY = f"{_OWN}{{key}} for a note of your own, which is ignored; or leave the line out"
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

    revision: Commit | None = Field(
        default=None,
        description="The exact commit of the base model that the run was trained on; it is validated in no other.",
        examples=["93efa2f097d58c2a74874c7e644dbc9b0cee75a2"],
    )
    fingerprint: Line | None = Field(
        default=None,
        description="What `adapterd base fingerprint DIR` prints for the base that the run was trained on, or its first"
        " 16 digits or more, with or without `adapterd:` before it: validated in no other. Any other digest is recorded"
        " as it is.",
        examples=["adapterd:5891b5b522d5df08"],
    )
    adapters: Lines = Field(
        default=(),
        description="Adapters that the run was trained on top of, by name. Unless `roots[].trained_on` says where they"
        " lie, the report warns that the composition is unverified.",
        examples=[["acme/support-sft"]],
    )


class Expectation(Section):
    """What validation must measure, so that a wrong base or a wrong scaling is seen."""

    loss: float | None = Field(
        default=None,
        ge=0,
        description="The loss with the adapter on the probes of validation, in nats per token. One that differs by"
        " more than `validation.limits.expected_loss_tolerance` refuses the adapter. The loss of training or of"
        " another evaluation set does not belong here.",
        examples=[1.25],
    )


class Labels(Section):
    """The labels of one run; every key is optional, and so is the file."""

    adapter: HubName | None = Field(
        default=None,
        description="Name of the adapter that the run becomes; it goes before the root's naming template.",
        examples=["support-lora"],
    )
    publish: bool = Field(
        default=True,
        description="Whether the run is published; with `no` nothing of it leaves this host.",
        examples=["no"],
    )
    datasets: Lines = Field(
        default=(),
        description="What it was trained on: ids of the Hub, for the model card.",
        examples=[["org/tickets"]],
    )
    license: Line | None = Field(
        default=None,
        description="Licence of the adapter, for the model card; without it, that of the base model.",
        examples=["apache-2.0"],
    )
    language: Lines = Field(
        default=(), description="Languages it is meant for, as codes, for the model card.", examples=[["en", "de"]]
    )
    tracker: Link | None = Field(
        default=None,
        description="Page of the run in an experiment tracker.",
        examples=["https://tracker.example.org/runs/42"],
    )
    git: Line | None = Field(
        default=None, description="The training code: a commit, or a repo and a commit.", examples=["training@4f2c1e9"]
    )
    notes: Annotated[str, Field(max_length=10_000)] | None = Field(
        default=None,
        description="Anything else that readers should know; may have several lines.",
        examples=["Rank 16, first try."],
    )
    base: BaseLabel = Field(default=BaseLabel(), description=BaseLabel.__doc__)
    expect: Expectation = Field(default=Expectation(), description=Expectation.__doc__)

    def record(self) -> dict[str, object]:
        """Give what the labels say, and only that, as JSON values for the manifest."""
        given = self.model_dump(mode="json", exclude_defaults=True)
        return {key: value for key, value in given.items() if value != {}}


def read_labels(data: bytes, source: str = NAME) -> Labels:
    """Read the bytes of an ``adapterd.yaml``; ``source`` is what errors call it.

    A key that is no label is an error: it may be a mistyped ``publish: no``.

    Raises:
        LabelsError: with all of its problems.
    """
    text = decode(data, LARGEST)
    if isinstance(text, Problem):
        raise LabelsError(source, (text,))
    document = read_document(text, _GUIDE)
    document.stray = _STRAY
    document.value = _without_notes(document.value)
    labels = validated(Labels, document)
    if document.problems or labels is None:
        raise LabelsError(source, tuple(sorted(document.problems, key=lambda problem: problem.line or 0)))
    return labels


def _without_notes(value: Value) -> Value:
    """Leave out the keys that begin with ``x-``, at every level: they are the user's own."""
    if not isinstance(value, dict):
        return value
    return {key: _without_notes(inner) for key, inner in value.items() if not key.startswith(_OWN)}
