"""The metadata of a card (``README.md``), checked as the Hub checks it before it lets a commit in."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import yaml

_FRONT_MATTER = re.compile(r"\A\s*---[\r\n]+(.*?)[\r\n]*^---[ \t]*(?:\r\n|\n|\Z)", re.DOTALL | re.MULTILINE)
_LICENSE = re.compile(r"[a-z0-9][a-z0-9.+-]*")
_HUB_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(?:/[A-Za-z0-9_][A-Za-z0-9._-]*)?")


@dataclass(frozen=True)
class CardCheck:
    """What is wrong with a card, and what is only missing."""

    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class Loader(yaml.SafeLoader):
    """Reads YAML as the Hub does, where ``no`` is Norwegian and only true and false are switches."""


Loader.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool"]
    for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"true|True|TRUE|false|False|FALSE"), list("tTfF"))


def metadata(content: str) -> dict[str, Any]:
    """Give a card's metadata in the forms of JSON; empty where there is none or where it is broken."""
    data = _load(content)
    return data if isinstance(data, dict) else {}


def check(content: str) -> CardCheck:
    """Check the metadata of a card."""
    data = _load(content)
    if data is None:
        return CardCheck(warnings=("empty or missing yaml metadata in repo card",))
    if isinstance(data, CardCheck):
        return data
    return CardCheck(errors=tuple(error for key, value in data.items() for error in _check_key(key, value)))


def _load(content: str) -> dict[str, Any] | CardCheck | None:
    """Read the metadata; give what is wrong with it, or None where there is none."""
    found = _FRONT_MATTER.match(content)
    if found is None or not found[1].strip():
        return None
    try:
        data = _plain(yaml.load(found[1], Loader=Loader))  # noqa: S506 (a safe loader)
    except yaml.YAMLError as error:
        return CardCheck(errors=(f"Invalid YAML: {' '.join(str(error).split())}",))
    except (RecursionError, ValueError):
        return CardCheck(errors=("Invalid YAML: a value is out of range, or holds itself",))
    return data if isinstance(data, dict) else CardCheck(errors=("The metadata must be a mapping of keys to values",))


def _plain(value: object) -> Any:  # noqa: ANN401 (whatever JSON can hold)
    """Give a value in the forms of JSON: a date becomes text."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def _check_key(key: str, value: object) -> list[str]:
    """Check one key; those that nothing depends on may hold anything."""
    if value is None:
        return []
    if key == "tags" and not isinstance(value, list):
        return ['"tags" must be an array']
    if key == "model-index":
        well_formed = isinstance(value, list) and all(isinstance(item, dict) for item in value)
        return [] if well_formed else ['"model-index" must be an array of objects']
    accept, hint = _RULES.get(key, (None, ""))
    values = value if isinstance(value, list) else [value]
    return [f'"{key}" with value "{one}" is not valid. {hint}' for one in values if accept and not accept(one)]


def _is_text(value: object) -> bool:
    """Accept text that is not empty."""
    return isinstance(value, str) and bool(value.strip())


def _is_license(value: object) -> bool:
    """Accept what has the form of a license's id."""
    return isinstance(value, str) and _LICENSE.fullmatch(value) is not None


def _is_hub_id(value: object) -> bool:
    """Accept a repo id; a path on somebody's disk is none."""
    return isinstance(value, str) and _HUB_ID.fullmatch(value) is not None and ".." not in value and "--" not in value


_RULES: dict[str, tuple[Callable[[object], bool], str]] = {
    "license": (_is_license, "Use the id of a license, such as apache-2.0, mit or other."),
    **dict.fromkeys(("base_model", "datasets"), (_is_hub_id, "Use the id of a repo on the Hub, namespace/name.")),
    **dict.fromkeys(
        ("language", "tags", "license_name", "license_link", "library_name", "pipeline_tag", "base_model_relation"),
        (_is_text, "Use text."),
    ),
}
