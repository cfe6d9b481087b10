"""How a follower stands: what a turn came to, and the status that is made of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapterd.core.errors import AdapterdError
from adapterd.core.following import View


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is not as it shall be: with an adapter, by its stable name, or with an engine; `error` says why."""

    name: str
    engine: str
    error: AdapterdError


@dataclass(frozen=True, slots=True)
class Report:
    """What a turn came to: the names that are at rest, those that are not, and every trouble."""

    settled: tuple[str, ...]
    waiting: tuple[str, ...]
    troubles: tuple[Trouble, ...]


def status(view: View, report: Report) -> Mapping[str, Any]:
    """What `follow.json` says."""
    return {
        "at": round(view.now, 3),
        "adapters": {
            one.name: {
                "adapter": one.adapter,
                "wanted": one.want,
                "serving": view.aliases.get(one.name, ""),
                "settled": one.name in report.settled,
                "troubles": [_said(t) for t in report.troubles if t.name == one.name],
            }
            for one in view.followed
        },
        "engines": {
            key: {
                "answers": listing is not None,
                "loaded": sorted(listing.ours) if listing is not None else [],
                "troubles": [_said(t) for t in report.troubles if t.engine == key and not t.name],
            }
            for key, listing in view.engines.items()
        },
        "troubles": [_said(t) for t in report.troubles if not t.name and not t.engine],
    }


def _said(trouble: Trouble) -> dict[str, str]:
    where = {"engine": trouble.engine} if trouble.engine and trouble.name else {}
    return {"error": trouble.error.message, "hint": trouble.error.hint, **where}
