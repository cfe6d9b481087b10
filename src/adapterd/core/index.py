"""The public index document that deployers read: adapters, their versions, their channels. Pure."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from adapterd.core.naming import serving_name
from adapterd.core.standing import erased_numbers, yanked
from adapterd.core.version import AdapterVersion, Stage

SCHEMA = 1


def adapter_entry(
    adapter: str,
    publisher: str,
    base: str,
    versions: Iterable[AdapterVersion],
    channels: Mapping[str, int],
    standing: Mapping[str, Any],
    waived: Mapping[int, Sequence[str]] | None = None,
) -> dict[str, Any]:
    """One adapter's part: every published version by tag, every channel by name.

    `waived` are the codes that a person set aside, by the registry's row.
    """
    aside = waived or {}
    out, gone = yanked(standing), erased_numbers(standing)
    listed = sorted((v for v in versions if v.stage is Stage.PUBLISHED and v.number), key=lambda v: v.number or 0)
    return {
        "schema": SCHEMA,
        "adapter": adapter,
        "publisher": publisher,
        "base": base,
        "channels": {name: f"v{number}" for name, number in sorted(channels.items())},
        "versions": {
            v.tag: {
                "commit": v.commit,
                "identity": v.identity,
                "run": v.run,
                "step": v.step,
                "final": v.final,
                "yanked": v.number in out,
                "erased": v.number in gone,
                "serving_name": serving_name(adapter, v.number or 0, v.identity),
                **({"waived": list(aside[v.id])} if aside.get(v.id) else {}),
            }
            for v in listed
        },
    }


def document(entries: Sequence[Mapping[str, Any]], generation: int) -> bytes:
    """The whole index, beside the registry."""
    return render({"schema": SCHEMA, "generation": generation, "adapters": {str(e["adapter"]): e for e in entries}})


def render(value: Mapping[str, Any]) -> bytes:
    """JSON bytes in a fixed order."""
    return (json.dumps(value, indent=2, sort_keys=True) + "\n").encode()


def publisher_of(data: bytes) -> str:
    """Who wrote an adapter's part; empty where the bytes do not say."""
    found = _read(data).get("publisher")
    return found if isinstance(found, str) else ""


def generation_of(data: bytes) -> int:
    """The registry's generation that a whole index shows; -1 where the bytes do not say."""
    found = _read(data).get("generation")
    return found if isinstance(found, int) else -1


def _read(data: bytes) -> Mapping[str, Any]:
    """An object of JSON; empty where it is none: an index is written anew, whatever lies there."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
