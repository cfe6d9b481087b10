"""The kinds of values a configuration holds: what each must look like, in words and in code.

A kind's words are used three times: in the error, in the reference page and beside the example.
"""

import ipaddress
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, ValidationInfo, WithJsonSchema
from pydantic_core import PydanticCustomError

from adapterd.config import units
from adapterd.config.cron import cron_fault

_HUB_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?")
_BRANCH = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9_-])?")
_VERSION_OR_COMMIT = re.compile(r"v\d+|[0-9a-f]{7,40}", re.IGNORECASE)
_RESERVED = frozenset({"versions", "standing", "head"})
_DEVICE = re.compile(r"auto|cpu|mps|cuda(?::(?:0|[1-9]\d{0,2}))?")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_VARIABLE = re.compile(r"\{([^{}]*)\}")
VARIABLES = ("root", "run", "parent", "name", "base", "user")
_YES = frozenset({"true", "yes", "on"})
_NO = frozenset({"false", "no", "off"})
_LAST_PORT = 65535
_LONG = 10


@dataclass(frozen=True)
class Kind:
    """What a value of this kind is, in words, and how one is written."""

    expected: str
    example: str = ""
    show: Callable[[Any], str] = str


class Conflict(NamedTuple):
    """Two values, each right by itself, that do not go together."""

    at: tuple[str | int, ...]
    text: str
    hint: str


def refuse(expected: str, hint: str = "") -> PydanticCustomError:
    """Make the error for a value that is not what its kind says."""
    return PydanticCustomError("refused", "expected {expected}", {"expected": expected, "hint": hint})


def conflicting(conflicts: list[Conflict]) -> PydanticCustomError:
    """Make the one error that carries several conflicts, each with its place below this value."""
    return PydanticCustomError("conflicts", "values do not go together", {"conflicts": tuple(conflicts)})


def _measure(parse: Callable[[str], float], expected: str, unit: str) -> Callable[[object], object]:
    """Make a validator that reads text in units; numbers, which only code passes, are taken as they are."""

    def read(value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            return parse(value)
        except ValueError:
            number = value.strip()
            raise refuse(
                expected, f"{number}{unit}, with the unit" if number.isdigit() and len(number) < _LONG else ""
            ) from None

    return read


_DURATION_WORDS = "a duration such as 30s, 5m, 1h30m or 2d"
_SIZE_WORDS = "a size such as 500MB, 2GiB or 20GiB"

Duration = Annotated[
    float,
    Kind(_DURATION_WORDS, "30s", units.format_duration),
    BeforeValidator(_measure(units.parse_duration, _DURATION_WORDS, "s")),
    PlainSerializer(units.format_duration, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": units.DURATION_PATTERN}),
]
Size = Annotated[
    int,
    Kind(_SIZE_WORDS, "2GiB", units.format_size),
    BeforeValidator(_measure(units.parse_size, _SIZE_WORDS, "MB")),
    PlainSerializer(units.format_size, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": units.SIZE_PATTERN}),
]


def _absolute(value: object, info: ValidationInfo) -> object:
    """Take an absolute path, with a leading ``~`` expanded; nothing else is expanded or guessed."""
    if isinstance(value, Path):
        value = str(value)
    if not isinstance(value, str):
        return value
    expected = "an absolute path"
    if "${" in value:
        raise refuse(expected, "the path written out; only a leading ~ is expanded, variables are not")
    text = value
    if value == "~" or value.startswith("~/"):
        home = (info.context or {}).get("home") or os.path.expanduser("~")  # noqa: PTH111  Path.home() raises where there is none
        text = f"{home}{value[1:]}"
    if not text.startswith("/"):
        raise refuse(expected, f"the path from / on, such as /srv/{value.lstrip('~./') or 'train'}")
    if ".." in Path(text).parts or not text.isprintable():
        raise refuse(f"{expected} without .. and control characters", "the path written out from / on")
    return Path(os.path.normpath(text.replace("//", "/")))


AbsolutePath = Annotated[
    Path,
    Kind("an absolute path", "/srv/adapterd"),
    BeforeValidator(_absolute),
    WithJsonSchema({"type": "string", "pattern": "^[/~]"}),
]


def _is_hub_name(value: str) -> bool:
    """Apply the Hub's rule for the name of a user, an organisation or a repo."""
    return bool(_HUB_NAME.fullmatch(value)) and not (
        "--" in value or ".." in value or value.endswith((".git", ".ipynb"))
    )


_NAME_WORDS = "a name of the Hub: letters, digits, '-', '_' and '.', at most 96, no '--' or '..'"


def _hub_name(value: str) -> str:
    """Take a single name, without a slash."""
    if not _is_hub_name(value):
        first, slash, _ = value.partition("/")
        raise refuse(_NAME_WORDS, f"the part before the slash: {first}" if slash and _is_hub_name(first) else "")
    return value


def _repo_id(value: str) -> str:
    """Take ``org/name``."""
    organisation, _, name = value.partition("/")
    if not (_is_hub_name(organisation) and _is_hub_name(name)):
        hint = "" if "/" in value else "the id with its organisation, as the model's page on the Hub shows it"
        raise refuse("a Hub id such as org/name", hint)
    return value


HubName = Annotated[str, Kind(_NAME_WORDS, "my-team"), AfterValidator(_hub_name)]
RepoId = Annotated[str, Kind("a Hub id such as org/name", "org/name"), AfterValidator(_repo_id)]


def _address(value: str) -> str:
    """Take an http(s) address without credentials, query and fragment; a trailing slash is dropped."""
    expected = "an http:// or https:// address"
    try:
        parts = urlsplit(value)
        sound = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if "@" in value:
        raise refuse(f"{expected} without user and password", "the same address without what stands before the @")
    if not sound or any(character.isspace() for character in value) or "?" in value or "#" in value:
        raise refuse(expected)
    return value.rstrip("/")


def _proxy(value: str) -> str:
    """Take a proxy's address; its credentials, like all others, belong to the environment."""
    if "@" in value:
        hint = "the address alone, and the one with credentials as HTTPS_PROXY in the service's environment"
        raise refuse("an http:// or https:// address without user and password", hint)
    return _address(value)


_URL = Kind("an http:// or https:// address", "https://huggingface.co")
Url = Annotated[str, _URL, AfterValidator(_address)]
ProxyUrl = Annotated[str, Kind(_URL.expected, "http://proxy.example.org:3128"), AfterValidator(_proxy)]


def _commit(value: str) -> str:
    """Take a full commit id; branches and tags move, so they are refused."""
    value = value.lower()
    if not _COMMIT.fullmatch(value):
        raise refuse("a commit of 40 hexadecimal digits", "the full commit id from the model's page on the Hub")
    return value


Commit = Annotated[str, Kind("a commit of 40 hexadecimal digits", "0" * 40), AfterValidator(_commit)]


def _template(value: str) -> str:
    """Take a naming template whose variables are all known."""
    known = "{" + "} {".join(VARIABLES) + "}"
    expected = f"a name, with variables of {known}"
    unknown = [name for name in _VARIABLE.findall(value) if name not in VARIABLES]
    if unknown or not value.strip() or "{" in (rest := _VARIABLE.sub("x", value)) or "}" in rest:
        raise refuse(expected)
    if not _is_hub_name(rest):
        raise refuse(f"{expected}, and otherwise {_NAME_WORDS}")
    return value


Template = Annotated[
    str, Kind("a name with variables {root} {run} {parent} {name} {base} {user}", "{run}"), AfterValidator(_template)
]


def _device(value: str) -> str:
    """Take a device as torch names it, or ``auto``."""
    if not _DEVICE.fullmatch(value):
        raise refuse("auto, cpu, cuda, cuda:N or mps")
    return value


Device = Annotated[str, Kind("auto, cpu, cuda, cuda:N or mps", "auto"), AfterValidator(_device)]


def channel_fault(name: str) -> str:
    """Say why a name cannot be a channel; empty when it can."""
    if name.casefold() in _RESERVED:
        return "is reserved"
    if _VERSION_OR_COMMIT.fullmatch(name):
        return "looks like a version or a commit"
    if not _BRANCH.fullmatch(name) or ".." in name or name.endswith(".lock"):
        return "is no name for a branch of the Hub"
    return ""


def _listen(value: str) -> str:
    """Take ``off`` or a loopback address with its port."""
    expected = "off, or a loopback address and a port such as 127.0.0.1:9464"
    if value == "off":
        return value
    host, _, port = value.rpartition(":")
    if not port.isascii() or not port.isdigit() or int(port) > _LAST_PORT:
        raise refuse(expected)
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        raise refuse(expected) from None
    if not loopback:
        hint = (
            f"127.0.0.1:{port}, behind a reverse proxy or a tunnel; the page has no login, so others must not reach it"
        )
        raise refuse(expected, hint)
    return value


Listen = Annotated[
    str,
    Kind("off, or a loopback address and a port such as 127.0.0.1:9464", "127.0.0.1:9464"),
    AfterValidator(_listen),
]


def _crontab(value: str) -> str:
    """Take a crontab line of five fields."""
    if fault := cron_fault(value):
        raise refuse("a crontab line: minute, hour, day, month, weekday", fault)
    return " ".join(value.split())


Crontab = Annotated[
    str,
    Kind("a crontab line: minute, hour, day, month, weekday", "*/15 * * * *"),
    AfterValidator(_crontab),
]


def _tristate(value: object) -> object:
    """Read the words for true and false where ``auto`` is a third one."""
    if isinstance(value, str):
        word = value.casefold()
        return True if word in _YES else False if word in _NO else value
    return value


AutoBool = Annotated[
    Literal["auto", True, False],
    Kind("auto, true or false", "auto"),
    BeforeValidator(_tristate),
]
