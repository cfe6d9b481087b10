"""What pydantic found wrong, in the words of the file and of the model: found, expected, and what to try."""

import difflib
import re
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from adapterd.config import describe
from adapterd.config.errors import Problem, quote
from adapterd.config.source import Document, Loc, Value, dotted, found

_SECRET = re.compile(r"token|passw|secret|api_?key|credential", re.IGNORECASE)
_REQUIRED: dict[Loc, str] = {("hub",): "hub: {namespace: my-team}", ("roots",): "roots: [{path: /train/support}]"}


def explain(model: type[BaseModel], document: Document, details: Iterable[ErrorDetails]) -> list[Problem]:
    """Say what pydantic found in the words of the file and of the model."""
    problems = []
    for detail in details:
        loc: Loc = detail["loc"]
        if detail["type"] == "too_short" and len(detail["input"]) >= detail["ctx"]["min_length"]:
            continue  # pydantic does not count the entries that it refused
        if detail["type"] == "conflicts":
            for at, text, hint in detail["ctx"]["conflicts"]:
                place = (*loc, *at)
                problems.append(Problem(document.line(place), dotted(place), text, hint))
        elif not any(loc[:length] in document.untrusted for length in range(len(loc) + 1)):
            match detail["type"]:
                case "missing":
                    text, hint = _missing(model, loc)
                case "extra_forbidden":
                    text, hint = _unknown(model, loc, document.stray)
                case _:
                    text, hint = _wrong(model, loc, document.at(loc), detail)
            problems.append(Problem(document.line(loc), dotted(loc), text, hint or document.guide))
    return problems


def _wrong(model: type[BaseModel], loc: Loc, value: Value, detail: ErrorDetails) -> tuple[str, str]:
    """Explain a value that is not what its key wants."""
    shape = describe.shape_at(model, loc)
    if shape is None:
        return f"{found(value)}; expected something else", ""
    context: dict[str, Any] = detail.get("ctx", {}) if detail["type"] == "refused" else {}
    text = f"{found(value)}; expected {context.get('expected') or describe.expected(shape)}"
    if isinstance(value, str):
        if meant := _closest(value, describe.choices(shape)):
            return text, f"{loc[-1]}: {meant}, if that was meant"
        if loc and (instead := _spelled_out(shape, str(loc[-1]), quote(value)[1:-1])):
            return text, f"{instead}, if that was meant"
    return text, context.get("hint") or _hint(model, loc)


def _spelled_out(shape: describe.Shape, key: str, word: str) -> str:
    """Write a bare word as the section or the list that was wanted instead; empty when that would say nothing."""
    inner = shape.model or (shape.item.model if shape.item is not None else None)
    first = describe.first_required(inner) if inner is not None else ""
    if shape.model is not None:
        return f"{first}: {word}" if first else ""
    if shape.item is None:
        return ""
    return f"{key}: [{{{first}: {word}}}]" if first else f"{key}: [{word}]" if inner is None else ""


def _closest(word: str, words: Sequence[str]) -> str:
    """Guess which word was meant; empty when none comes near."""
    return next(iter(difflib.get_close_matches(word.casefold(), words, n=1)), "")


def _hint(model: type[BaseModel], loc: Loc) -> str:
    """Write the key as it could stand in the file, and say whether it can be left out."""
    parent = describe.shape_at(model, loc[:-1])
    if loc in _REQUIRED:
        return _REQUIRED[loc]
    if not loc or parent is None:
        return ""
    if parent.model is None:
        item = describe.shape_at(model, loc)
        return f"- {item.kind.example}" if item is not None and item.kind else ""
    field = parent.model.model_fields[str(loc[-1])]
    example = describe.example(field)
    if not example:
        return ""
    return f"{loc[-1]}: {example}" + ("" if field.is_required() else ", or leave it out for the default")


def _missing(model: type[BaseModel], loc: Loc) -> tuple[str, str]:
    """Explain a required key that is not there."""
    shape = describe.shape_at(model, loc)
    text = f"is missing; expected {describe.expected(shape) if shape else 'a value'}"
    return text, _hint(model, loc)


def _unknown(model: type[BaseModel], loc: Loc, stray: str) -> tuple[str, str]:
    """Explain a key that does not exist, and guess which one was meant; its value is not shown."""
    key = str(loc[-1])
    parent = describe.shape_at(model, loc[:-1])
    known = list(parent.model.model_fields) if parent is not None and parent.model else []
    if _SECRET.search(key):
        hint = "hub.token_file with the path of a file that holds the token; secrets never stand in this file"
        return "is no key here, and a secret must not stand in this file", hint
    text = f"is no key here; expected {describe.listed(known, 'or')}"
    if meant := _closest(key, known):
        return text, f"{meant}, if that was meant"
    if elsewhere := _homes(model).get(key):
        return text, f"{elsewhere}, if that was meant"
    return text, stray.format(key=key)


@cache
def _homes(model: type[BaseModel]) -> dict[str, str]:
    """List where each key of a model belongs, so that one in a wrong section can be sent there."""
    homes: dict[str, str] = {}
    pending: list[tuple[str, type[BaseModel]]] = [("", model)]
    while pending:
        prefix, section = pending.pop(0)
        for name, field in section.model_fields.items():
            shape = describe.Shape.of_field(field)
            homes.setdefault(name, f"{prefix}{name}")
            inner = shape.model or (shape.item.model if shape.item is not None else None)
            if inner is not None:
                pending.append((f"{prefix}{name}{'' if shape.model else '[]'}.", inner))
    return homes
