"""From a file to a ``Config``, or to every reason why not, each with its line, its key and what to try."""

from collections.abc import Iterable
from copy import deepcopy
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from adapterd.config.errors import ConfigError, Problem
from adapterd.config.explain import explain
from adapterd.config.model import Config
from adapterd.config.source import Document, Loc, Value, read_document, read_text

M = TypeVar("M", bound=BaseModel)
LARGEST = 1024**2
GUIDE = "adapterd config example, which shows every key"


def load(path: Path, home: Path | None = None) -> Config:
    """Read a configuration file.

    Args:
        path: the file.
        home: what a leading ``~`` stands for; this user's home by default.

    Raises:
        ConfigError: with all of the file's problems.
    """
    text = read_text(path, LARGEST)
    if isinstance(text, Problem):
        raise ConfigError(str(path), (text,))
    return parse(text, str(path), home)


def parse(text: str, source: str, home: Path | None = None) -> Config:
    """Read a configuration from text; ``source`` is what errors call it.

    Raises:
        ConfigError: with all of the text's problems.
    """
    document = read_document(text, GUIDE)
    if document.value is None and not document.problems:
        problem = Problem(None, "", "is empty; expected at least hub and roots", GUIDE)
        raise ConfigError(source, (problem,))
    config = validated(Config, document, {"home": home})
    if document.problems or config is None:
        raise ConfigError(source, tuple(sorted(document.problems, key=lambda problem: problem.line or 0)))
    return config


def validated(model: type[M], document: Document, context: dict[str, Any] | None = None) -> M | None:
    """Turn a document into a model; what is wrong goes into the document's problems."""
    if () in document.untrusted:
        return None
    try:
        return model.model_validate(document.value, context=context)
    except ValidationError as error:
        details = error.errors(include_url=False)
    document.problems += explain(model, document, details)
    # What values must be to one another is only judged where each is right by itself: look again without the
    # wrong ones, so that one mistyped key does not hide a root inside a root.
    seen = {detail["loc"] for detail in details}
    try:
        model.model_validate(_without(document.value, seen), context=context)
    except ValidationError as error:
        more = error.errors(include_url=False)
        late = [detail for detail in more if detail["type"] == "conflicts" and detail["loc"] not in seen]
        document.problems += explain(model, document, late)
    return None


def _without(value: Value, places: Iterable[Loc]) -> Value:
    """Copy values without some keys; entries of lists stay, since their positions have a meaning."""
    copy = deepcopy(value)
    for place in places:
        around: Any = copy
        for step in place[:-1]:
            around = around.get(step) if isinstance(around, dict) else around[step] if around else None
        if isinstance(around, dict) and place:
            around.pop(place[-1], None)
    return copy
