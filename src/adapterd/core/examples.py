"""Probe examples: what the forward passes are made on: configured texts, lines of a JSONL file, or the built-in texts.

A file has one JSON object a line: ``prompt`` alone (the loss is over all of its tokens), ``prompt`` and ``completion``
(the loss is over the completion's tokens), or ``prompt`` and ``label`` (a classifier's loss). Their wording is never
published; a digest is.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from adapterd.core.probetexts import TEXTS

MAX_BYTES = 1024 * 1024
MAX_EXAMPLES = 256
MAX_CHARACTERS = 100_000


@dataclass(frozen=True, slots=True)
class Example:
    """One example. `label` is the index or the name of a class; without completion and label it is plain text."""

    prompt: str
    completion: str = ""
    label: int | str | None = None


BUILT_IN: tuple[Example, ...] = tuple(Example(text) for text in TEXTS)


class BadExamplesError(ValueError):
    """The file is no list of examples; the text says which line, and why."""


def parse_examples(data: bytes) -> tuple[Example, ...]:
    """Parse a JSONL file of examples; empty lines are passed over.

    Raises BadExamplesError with the number of the first bad line.
    """
    if len(data) > MAX_BYTES:
        raise BadExamplesError(f"it has {len(data)} bytes; more than {MAX_BYTES} are no probes")
    try:
        lines = data.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise BadExamplesError("it is not UTF-8") from error
    found = [_example(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if not found:
        raise BadExamplesError("it holds no example")
    if len(found) > MAX_EXAMPLES:
        raise BadExamplesError(f"it holds {len(found)} examples; at most {MAX_EXAMPLES} are used")
    return tuple(found)


def _example(number: int, line: str) -> Example:
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BadExamplesError(f"line {number} is not JSON") from error
    if not isinstance(fields, dict):
        raise BadExamplesError(f"line {number} is no object")
    if unknown := sorted(fields.keys() - {"prompt", "completion", "label"}):
        raise BadExamplesError(f"line {number} has the unknown key {unknown[0]!r}; known are prompt, completion, label")
    prompt, completion, label = fields.get("prompt"), fields.get("completion", ""), fields.get("label")
    if not isinstance(prompt, str) or not prompt or not isinstance(completion, str):
        raise BadExamplesError(f"line {number} needs a prompt, and has text alone in prompt and completion")
    if len(prompt) + len(completion) > MAX_CHARACTERS:
        raise BadExamplesError(f"line {number} has more than {MAX_CHARACTERS} characters")
    if isinstance(label, bool) or not isinstance(label, int | str | None) or (completion and label is not None):
        raise BadExamplesError(f"line {number} has a label that is no whole number or name, or a completion beside it")
    return Example(prompt, completion, label)


def digest(examples: Sequence[Example]) -> str:
    """Name a set of examples without giving them away; none means the built-in ones."""
    plain: list[Any] = [asdict(example) for example in examples or BUILT_IN]
    return hashlib.sha256(json.dumps(plain, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
