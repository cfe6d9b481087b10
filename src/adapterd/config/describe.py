"""The model seen from outside: which field a place names, and what is expected there, in words."""

import json
import re
import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from adapterd.config.kinds import Kind
from adapterd.config.source import Loc

# What YAML would take for something else than text: flow lists and sections, aliases, comments, keys.
_NEEDS_QUOTES = re.compile(r"^[\s&*!|>'\"%@`{}\[\],#?-]|: |:$| #|, |^$|\s$")
_PLAIN = {
    bool: Kind("true or false", "false", lambda value: str(value).lower()),
    int: Kind("a whole number", "1"),
    float: Kind("a number", "1.0"),
    str: Kind("text", "text"),
}


@dataclass(frozen=True)
class Shape:
    """What a value is made of: its type without the None, and what was annotated to it."""

    core: Any
    metadata: tuple[object, ...]

    @classmethod
    def of(cls, annotation: object, metadata: tuple[object, ...] = ()) -> "Shape":
        """Take an annotation apart."""
        while True:
            if get_origin(annotation) is Annotated:
                annotation, *inner = get_args(annotation)
                metadata = (*inner, *metadata)
            elif get_origin(annotation) in {Union, types.UnionType}:
                (annotation,) = (arg for arg in get_args(annotation) if arg is not types.NoneType)
            else:
                return cls(annotation, metadata)

    @classmethod
    def of_field(cls, field: FieldInfo) -> "Shape":
        """Take a field of a model apart."""
        return cls.of(field.annotation, tuple(field.metadata))

    @property
    def kind(self) -> Kind | None:
        """The kind that was annotated, or that of a plain type."""
        annotated = next((each for each in self.metadata if isinstance(each, Kind)), None)
        return annotated or (_PLAIN.get(self.core) if isinstance(self.core, type) else None)

    @property
    def model(self) -> type[BaseModel] | None:
        """The section that this is, if it is one."""
        is_section = isinstance(self.core, type) and issubclass(self.core, BaseModel)
        return self.core if is_section else None

    @property
    def item(self) -> "Shape | None":
        """What an entry of this list or mapping is."""
        origin = get_origin(self.core)
        if origin is tuple:
            return Shape.of(get_args(self.core)[0])
        return Shape.of(get_args(self.core)[1]) if origin is Mapping else None


def shape_at(model: type[BaseModel], loc: Loc) -> Shape | None:
    """Find what belongs at a place; None where nothing does."""
    shape: Shape | None = Shape.of(model)
    for step in loc:
        if shape is None:
            return None
        if shape.model is None:
            shape = shape.item
        elif (field := shape.model.model_fields.get(str(step))) is not None:
            shape = Shape.of_field(field)
        else:
            return None
    return shape


def expected(shape: Shape) -> str:
    """Say in words what a value must look like."""
    if shape.model is not None:
        return "a section with " + listed(list(shape.model.model_fields), "and")
    if shape.kind is not None:
        return shape.kind.expected + _bounds(shape)
    if words := choices(shape):
        return listed(words, "or")
    item = shape.item
    return "a list" + _bounds(shape) + (f", each {expected(item)}" if item is not None else "")


def first_required(model: type[BaseModel]) -> str:
    """Name the first key that a section cannot do without; empty when there is none."""
    return next((name for name, field in model.model_fields.items() if field.is_required()), "")


def choices(shape: Shape) -> list[str]:
    """List the words that a value may be, where it is one of a few."""
    return [show(choice) for choice in get_args(shape.core)] if get_origin(shape.core) is Literal else []


def is_bounded_number(shape: Shape) -> bool:
    """Tell whether a value is a plain number within bounds that are worth mentioning."""
    return shape.kind in {_PLAIN[int], _PLAIN[float]} and bool(_bounds(shape))


def listed(words: list[str], joint: str) -> str:
    """Join words as in a sentence."""
    *first, last = words
    return f"{', '.join(first)} {joint} {last}" if first else last


def _bounds(shape: Shape) -> str:
    """Say which bounds were set."""
    write = shape.kind.show if shape.kind else str
    low = high = above = shortest = longest = None
    for each in shape.metadata:
        if isinstance(each, annotated_types.Ge):
            low = write(each.ge)
        elif isinstance(each, annotated_types.Le):
            high = write(each.le)
        elif isinstance(each, annotated_types.Gt):
            above = write(each.gt)
        elif isinstance(each, annotated_types.MinLen):
            shortest = each.min_length
        elif isinstance(each, annotated_types.MaxLen):
            longest = each.max_length
    unit = "characters" if shape.core is str else "entries"
    if low is not None and high is not None:
        return f" from {low} to {high}"
    words = [f"at least {low}"] if low is not None else []
    words += [f"more than {above}"] if above is not None else []
    words += ["not empty"] if shortest == 1 else []
    words += [f"at most {longest} {unit}"] if longest is not None else []
    return "".join(f", {each}" for each in words)


def show(value: object, shape: Shape | None = None) -> str:
    """Write a value as it would stand in the file."""
    if value is None:
        return "none"
    if isinstance(value, tuple | list):
        item = shape.item if shape else None
        return "[" + ", ".join(show(each, item) for each in value) + "]"
    if shape is not None and shape.kind is not None and not isinstance(value, str):
        return shape.kind.show(value)
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if _NEEDS_QUOTES.search(text) else text


def example(field: FieldInfo) -> str:
    """Write a value that a field could have: an example, its default, or what its kind suggests."""
    shape = Shape.of_field(field)
    if field.examples:
        return show(field.examples[0], shape)
    if not field.is_required() and field.default is not None and not isinstance(field.default, BaseModel):
        return show(field.default, shape)
    return shape.kind.example if shape.kind else ""
