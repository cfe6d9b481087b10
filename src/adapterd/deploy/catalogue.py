"""The index as a deployer reads it: every adapter of a namespace, in one conditional request.

It says where to look, and is believed in nothing else: what is pulled is found by its tag and held against its
manifest.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from adapterd.core import index
from adapterd.core.errors import AdapterdError
from adapterd.core.naming import channel_fault, is_commit, is_hub_id, tag_number
from adapterd.deploy.faults import NewerSchemaError, VerificationError
from adapterd.deploy.manifest import UPGRADE
from adapterd.ports import Hub, NotFound

_DIGEST = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@-]{0,255}")
_TELL = "ask for the adapter by its name, and tell the publisher of this index"


@dataclass(frozen=True, slots=True)
class Listed:
    """One version as the index has it.

    Attributes:
        serving_name: a name of its own for engines; safe as the name of a directory.
        engines: the verdict of each serving engine, as the manifest has it.
        published: when, in seconds since the epoch; None where that is not known.
        waived: codes of the reasons that a person set aside.
    """

    number: int
    commit: str
    identity: str
    serving_name: str
    run: str = ""
    step: int | None = None
    final: bool = False
    yanked: bool = False
    yank_reason: str = ""
    erased: bool = False
    published: int | None = None
    engines: Mapping[str, Any] = field(default_factory=dict)
    waived: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """One adapter as the index has it.

    Attributes:
        channels: name to the number that it holds.
        holds: channels that do not move by themselves, each with the reason.
        versions: by number; in ``index.json`` the newest, and those that are held by a channel or yanked.
        count: how many versions there are in all.
    """

    adapter: str
    publisher: str
    base: str
    channels: Mapping[str, int]
    versions: Mapping[int, Listed]
    count: int
    holds: Mapping[str, str] = field(default_factory=dict)

    def in_channel(self, channel: str) -> Listed | None:
        """The version that a channel holds; None where it holds none, or one that is not listed."""
        return self.versions.get(self.channels.get(channel, 0))


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The adapters of an index, by name; `faults` are those whose entry cannot be believed."""

    where: str
    entries: Mapping[str, Entry]
    faults: Mapping[str, AdapterdError]

    def entry(self, adapter: str) -> Entry:
        """One adapter's entry.

        Raises:
            NotFound: the index has none.
            VerificationError, NewerSchemaError: it cannot be believed.
        """
        name = next((name for name in (*self.entries, *self.faults) if name.casefold() == adapter.casefold()), "")
        if name in self.faults:
            raise self.faults[name]
        if name not in self.entries:
            raise NotFound(
                f"{self.where} has no adapter {adapter}", "`adapterd list --hub NAMESPACE` shows those it has"
            )
        return self.entries[name]


def index_repo_of(namespace: str) -> str:
    """The index repo of a namespace; a whole repo id stays what it is."""
    return namespace if "/" in namespace else f"{namespace}/{index.REPO}"


def read_catalogue(hub: Hub, repo: str, etag: str = "") -> tuple[Catalogue | None, str]:
    """Read an index repo's ``index.json`` in one request: the catalogue, None where `etag` names it still; its etag.

    Raises:
        NotFound: there is no index.
        NewerSchemaError: a newer adapterd wrote it.
        VerificationError: it is no index.
    """
    data, now = hub.read_changed(repo, "main", index.GATHERED, etag)
    return (None if data is None else parse_catalogue(data, f"{index.GATHERED} of {repo}")), now


def read_entry(hub: Hub, repo: str, adapter: str) -> Entry:
    """Read one adapter's part of an index repo, which lists every version. Raises as `read_catalogue`."""
    path = index.path_of(adapter)
    where = f"{path} of {repo}"
    found = parse_entry(_object(hub.read(repo, "main", path), where), where)
    if found.adapter.casefold() != adapter.casefold():
        raise _bad(where, f"is that of {found.adapter}")
    return found


def parse_catalogue(data: bytes, where: str) -> Catalogue:
    """Read the bytes of an ``index.json``; `where` is what errors call it. One bad entry does not spoil the others."""
    document = _object(data, where)
    _known_schema(document, where)
    adapters = document.get("adapters")
    if not isinstance(adapters, dict):
        raise _bad(where, "lists no adapters")
    entries: dict[str, Entry] = {}
    faults: dict[str, AdapterdError] = {}
    for name, listed in adapters.items():
        inner = f"the entry {name} of {where}"
        try:
            found = parse_entry(listed, inner)
            if found.adapter != name:
                raise _bad(inner, f"is that of {found.adapter}")
        except (VerificationError, NewerSchemaError) as error:
            faults[name] = error
        else:
            entries[name] = found
    return Catalogue(where, entries, faults)


def parse_entry(listed: object, where: str) -> Entry:
    """Read one adapter's part."""
    if not isinstance(listed, dict):
        raise _bad(where, "is no object")
    _known_schema(listed, where)
    try:
        versions = {number: _version(number, v) for tag, v in listed["versions"].items() if (number := _number(tag))}
        count = listed.get("count", len(versions))
        holds = listed.get("holds", {})
        found = Entry(
            adapter=_text(listed["adapter"]),
            publisher=_text(listed["publisher"]),
            base=_text(listed["base"]),
            channels={name: _number(tag) for name, tag in listed["channels"].items()},
            versions=versions,
            count=max(_natural(count), len(versions)),
            holds={name: _text(said.get("reason", "")) for name, said in holds.items()},
        )
        problem = _problem(found)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        what = f"lacks {error}" if isinstance(error, KeyError) else "has a value that schema 1 does not allow"
        raise _bad(where, what) from None
    if problem:
        raise _bad(where, problem)
    return found


def _version(number: int, said: Mapping[str, Any]) -> Listed:
    step, published = said.get("step"), said.get("published")
    engines = said.get("engines", {})
    waived = said.get("waived", [])
    if not (isinstance(engines, dict) and all(isinstance(e, dict) for e in engines.values())):
        raise TypeError
    if not (isinstance(waived, list) and all(isinstance(code, str) for code in waived)):
        raise TypeError
    found = Listed(
        number=number,
        commit=_text(said["commit"]),
        identity=_text(said["identity"]),
        serving_name=_text(said["serving_name"]),
        run=_text(said.get("run", "")),
        step=None if step is None else _natural(step),
        final=said.get("final") is True,
        yanked=said["yanked"] is True,
        yank_reason=_text(said.get("yank_reason", "")),
        erased=said.get("erased") is True,
        published=None if published is None else _natural(published),
        engines=engines,
        waived=tuple(waived),
    )
    named = _NAME.fullmatch(found.serving_name)
    if not (named and is_commit(found.commit) and _DIGEST.fullmatch(found.identity)):
        raise ValueError
    return found


def _problem(entry: Entry) -> str:
    if not is_hub_id(entry.adapter):
        return "names no adapter"
    if wrong := next((name for name in entry.channels if channel_fault(name)), None):
        return f"lists the channel {wrong[:100]!r}, which no channel may be called"
    return ""


def _object(data: bytes, where: str) -> Mapping[str, Any]:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        raise _bad(where, "is not JSON") from None
    if not isinstance(document, dict):
        raise _bad(where, "is no object")
    return document


def _known_schema(document: Mapping[str, Any], where: str) -> None:
    schema = document.get("schema")
    if not isinstance(schema, int) or isinstance(schema, bool) or schema < 1:
        raise _bad(where, "names no schema")
    if schema > index.SCHEMA:
        raise NewerSchemaError(f"{where} has schema {schema}; this adapterd knows {index.SCHEMA}", UPGRADE)


def _number(tag: object) -> int:
    number = tag_number(tag) if isinstance(tag, str) else None
    if number is None:
        raise ValueError
    return number


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _natural(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError
    return value


def _bad(where: str, what: str) -> VerificationError:
    return VerificationError(f"{where} {what}", _TELL)
