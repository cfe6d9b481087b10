"""The public index that deployers read: adapters, their versions, their channels. Pure.

In the index repo each adapter has a part, a file that its publisher writes. ``index.json`` there gathers all of them,
so that one request tells of every adapter; it follows from the parts alone, whoever writes it. The one beside a
registry is made in the same way from that registry's own parts.
"""

import json
import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapterd.core.naming import is_hub_id, serving_name, tag_number
from adapterd.core.publication import git_blob
from adapterd.core.standing import Document, erased_numbers, holds, yanks
from adapterd.core.version import AdapterVersion, Stage

SCHEMA = 1
REPO = "adapterd-index"
"""The index repo's name in a namespace, where nobody says another."""
GATHERED = "index.json"
NEWEST = 10
"""How many versions of an adapter ``index.json`` has beside those that channels hold and those that are yanked."""

_FOLDER, _END = "adapters/", ".json"
_PUBLISHED_ONCE = ("published", "engines", "waived")
"""Keys of a version that a rebuilt registry no longer knows."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a registry knows of a published version beside its row.

    Attributes:
        waived: codes that a person set aside.
        engines: the verdicts of its report, as `verdicts` gives them.
        published: when, in seconds since the epoch; None where that is not known.
    """

    waived: Sequence[str] = ()
    engines: Mapping[str, Any] | None = None
    published: float | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """One adapter's part, kept small: a registry keeps one of every adapter in memory.

    Attributes:
        blob: the git blob of its bytes.
        packed: its bytes as `render` gives them, compressed.
        brief: its `summary`, compressed.
    """

    adapter: str
    blob: str
    packed: bytes
    brief: bytes

    @property
    def path(self) -> str:
        """Where it lies in the index repo."""
        return path_of(self.adapter)

    def value(self) -> dict[str, Any]:
        """All of it."""
        return dict(json.loads(zlib.decompress(self.packed)))

    def summary(self) -> dict[str, Any]:
        """What ``index.json`` has of it."""
        return dict(json.loads(zlib.decompress(self.brief)))


def packed(entry: Mapping[str, Any]) -> Part:
    """A part as it is kept."""
    data = render(entry)
    blob = git_blob(data)
    brief = _compact(summary(entry, blob))
    return Part(str(entry["adapter"]), blob, zlib.compress(data), zlib.compress(brief))


def adapter_entry(
    adapter: str,
    publisher: str,
    base: str,
    versions: Iterable[AdapterVersion],
    channels: Mapping[str, int],
    standing: Document,
    told: Mapping[int, Told] | None = None,
) -> dict[str, Any]:
    """One adapter's part: every published version by tag, every channel by name; `told` is by the registry's row."""
    listed = sorted((v for v in versions if v.stage is Stage.PUBLISHED and v.number), key=lambda v: v.number or 0)
    known = told or {}
    entry = {
        "schema": SCHEMA,
        "adapter": adapter,
        "publisher": publisher,
        "base": base,
        "versions": {v.tag: _version(adapter, v, known.get(v.id, Told())) for v in listed},
    }
    return with_standing(entry, channels, standing)


def verdicts(engines: object) -> dict[str, Any]:
    """Of the verdicts in a report what a part has: whether each engine takes it, and with which flags."""
    return {
        name: {key: said[key] for key in ("takes", "effect", "versions", "flags") if key in said}
        for name, said in (engines.items() if isinstance(engines, Mapping) else ())
        if isinstance(said, Mapping)
    }


def _version(adapter: str, version: AdapterVersion, told: Told) -> dict[str, Any]:
    return {
        "commit": version.commit,
        "identity": version.identity,
        "run": version.run,
        "step": version.step,
        "final": version.final,
        "serving_name": serving_name(adapter, version.number or 0, version.identity),
        **({"waived": list(told.waived)} if told.waived else {}),
        **({"engines": told.engines} if told.engines else {}),
        **({"published": int(told.published)} if told.published else {}),
    }


def with_standing(entry: Mapping[str, Any], channels: Mapping[str, int], standing: Document) -> dict[str, Any]:
    """The part with these channels, and with the yanks, holds and erasures of this standing document."""
    out, gone = yanks(standing), erased_numbers(standing)
    versions = {}
    for tag, version in entry["versions"].items():
        number = tag_number(tag) or 0
        kept = {key: value for key, value in version.items() if key != "yank_reason"}
        why = out[number].reason if number in out else ""
        versions[tag] = {
            **kept,
            "yanked": number in out,
            "erased": number in gone,
            **({"yank_reason": why} if why else {}),
        }
    return {
        **entry,
        "channels": {name: f"v{number}" for name, number in sorted(channels.items())},
        "holds": {name: {"reason": said.reason, "at": int(said.at)} for name, said in sorted(holds(standing).items())},
        "versions": versions,
    }


def moves_of(entry: Mapping[str, Any]) -> object:
    """What a person may have changed of a part on the Hub: channels, holds and yanks."""
    out = {tag for tag, version in _objects(entry.get("versions")).items() if version.get("yanked") is True}
    return entry.get("channels"), entry.get("holds", {}), out


def keeping(entry: Mapping[str, Any], present: Mapping[str, Any]) -> dict[str, Any]:
    """The part with what the present one knows of the very same versions, and a rebuilt registry does not."""
    before = present.get("versions")
    versions = dict(entry["versions"])
    for tag, version in versions.items():
        was = before.get(tag) if isinstance(before, Mapping) else None
        if isinstance(was, Mapping) and (was.get("commit"), was.get("identity")) == (
            version["commit"],
            version["identity"],
        ):
            versions[tag] = {**{key: was[key] for key in _PUBLISHED_ONCE if key in was}, **version}
    return {**entry, "versions": versions}


def document(parts: Iterable[Part], generation: int) -> bytes:
    """``index.json`` beside a registry: what the index repo's says of these parts, and the registry's generation."""
    named = sorted((part.adapter, zlib.decompress(part.brief)) for part in parts)
    adapters = b",".join(_compact(name) + b":" + brief for name, brief in named)
    return b'{"adapters":{%b},"generation":%d,"schema":%d}\n' % (adapters, generation, SCHEMA)


def summary(part: Mapping[str, Any], blob: str) -> dict[str, Any]:
    """What ``index.json`` has of a part: the versions that a follower may be sent to, and which file it is made from.

    Its `part` is the git blob of that file, its `count` the number of all versions where some are left out. Of the
    engines' verdicts it has the words alone.
    """
    versions, channels = _objects(part.get("versions")), part.get("channels")
    newest = sorted(versions, key=lambda tag: tag_number(tag) or 0)[-NEWEST:]
    held = [tag for tag in channels.values() if isinstance(tag, str)] if isinstance(channels, Mapping) else []
    chosen = {tag: _brief(v) for tag, v in versions.items() if tag in newest or tag in held or v.get("yanked")}
    short = {**part, "part": blob} | ({"versions": chosen} if versions else {})
    return short | ({"count": len(versions)} if len(chosen) < len(versions) else {})


def _brief(version: Mapping[str, Any]) -> dict[str, Any]:
    """A version with the words of each engine's verdict alone."""
    engines = _objects(version.get("engines"))
    words = {name: {key: said[key] for key in ("takes", "effect") if key in said} for name, said in engines.items()}
    return {**version, "engines": words} if words else dict(version)


def gathered(summaries: Mapping[str, Mapping[str, Any]]) -> bytes:
    """``index.json`` of an index repo, from the summaries of its parts by path.

    A part that names another adapter than its path does, or none, is left out.
    """
    named = [(path, str(said.get("adapter")), said) for path, said in sorted(summaries.items())]
    adapters = {name: said for path, name, said in named if is_hub_id(name) and path_of(name) == path}
    return _compact({"adapters": adapters, "schema": SCHEMA}) + b"\n"


def summaries_of(data: bytes) -> dict[str, Mapping[str, Any]]:
    """The summaries in ``index.json``, by the git blob of their part; empty where the bytes hold none."""
    adapters = _read(data).get("adapters")
    found = adapters.values() if isinstance(adapters, dict) else ()
    return {entry["part"]: entry for entry in found if isinstance(entry, dict) and isinstance(entry.get("part"), str)}


def part_of(data: bytes) -> Mapping[str, Any]:
    """A part; an empty one where the bytes are none."""
    return _read(data)


def is_of(part: Mapping[str, Any], adapter: str) -> bool:
    """Whether a part is one of this adapter's that can be changed here."""
    named = str(part.get("adapter")).casefold() == adapter.casefold()
    return named and part.get("schema") == SCHEMA and bool(_objects(part.get("versions")))


def path_of(adapter: str) -> str:
    """Where an adapter's part lies in the index repo."""
    return f"{_FOLDER}{adapter.rpartition('/')[2]}{_END}"


def is_part(path: str) -> bool:
    """Whether a file of the index repo is a part."""
    return path.startswith(_FOLDER) and path.endswith(_END) and path.count("/") == 1


def names_in(paths: Collection[str]) -> list[str]:
    """The names, without a namespace, of the adapters whose parts are among these files."""
    return [path.removeprefix(_FOLDER).removesuffix(_END) for path in paths if is_part(path)]


def render(value: Mapping[str, Any]) -> bytes:
    """JSON bytes in a fixed order."""
    return (json.dumps(value, indent=2, sort_keys=True) + "\n").encode()


def _compact(value: object) -> bytes:
    """JSON bytes in a fixed order, without a space."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def publisher_of(data: bytes) -> str:
    """Who wrote an adapter's part; empty where the bytes do not say."""
    found = _read(data).get("publisher")
    return found if isinstance(found, str) else ""


def generation_of(data: bytes) -> int:
    """The registry's generation that a whole index shows; -1 where the bytes do not say."""
    found = _read(data).get("generation")
    return found if isinstance(found, int) else -1


def _objects(value: object) -> dict[str, dict[str, Any]]:
    """An object of objects; empty where it is none."""
    fits = isinstance(value, dict) and all(isinstance(each, dict) for each in value.values())
    return value if fits else {}  # type: ignore[return-value]  # just looked at


def _read(data: bytes) -> Mapping[str, Any]:
    """An object of JSON; empty where it is none: an index is written anew, whatever lies there."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
