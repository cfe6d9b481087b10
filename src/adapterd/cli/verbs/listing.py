"""list: adapters, the versions of one, or the directories seen."""

from pathlib import Path
from typing import Any

from adapterd.cli import say
from adapterd.cli.exits import Exit
from adapterd.cli.verbs import plain
from adapterd.cli.verbs.settings import config_of, reader_of, reference_of
from adapterd.core.version import Stage
from adapterd.ports import AdapterRecord, NotFound, RegistryReader

ON_HUB = "`adapterd list --hub NAMESPACE` lists what is on the Hub"
"""What needs no configuration."""


def adapters(given: Path | None, adapter: str | None, *, as_json: bool) -> int:
    """Every adapter, or one adapter's versions."""
    instead = f"`adapterd show {adapter}` asks the Hub" if adapter else ON_HUB
    with reader_of(config_of(given, instead)) as registry:
        if adapter is None:
            _adapters(registry, as_json=as_json)
        else:
            _versions(registry, reference_of(adapter).adapter, as_json=as_json)
    return Exit.DONE


def directories(given: Path | None, *, as_json: bool) -> int:
    """Every adapter directory seen, and what became of it."""
    with reader_of(config_of(given)) as registry:
        seen = registry.observations()
    if as_json:
        say.document({"directories": [plain.observation(o) for o in seen]})
        return Exit.DONE
    rows = [(Path(o.root) / o.path, o.state, o.adapter, o.reason, o.message) for o in seen]
    say.table(("directory", "state", "adapter", "reason", "message"), rows)
    return Exit.DONE


def _adapters(registry: RegistryReader, *, as_json: bool) -> None:
    found = [_adapter(registry, record) for record in registry.adapters()]
    if as_json:
        say.document({"adapters": found})
        return
    rows = []
    for each in found:
        channels = ", ".join(f"{name}={tag}" for name, tag in each["channels"].items())
        counts = (each["waiting"], each["stalled"], each["rejected"])
        rows.append((each["adapter"], each["newest"] or "-", channels, each["base"], *counts))
    say.table(("adapter", "newest", "channels", "base model", "on the way", "stalled", "rejected"), rows)


def _adapter(registry: RegistryReader, record: AdapterRecord) -> dict[str, Any]:
    versions = registry.versions(record.name)
    erased = plain.erased(registry, record.name)
    kept = (v for v in versions if v.identity not in erased)
    newest = max((v.number for v in kept if v.number and v.commit), default=None)
    return {
        "adapter": record.name,
        "root": record.root,
        "base": record.base,
        "peft_type": record.peft_type,
        "task": record.task or None,
        "newest": f"v{newest}" if newest else None,
        "channels": {c.channel: f"v{c.number}" for c in registry.channels(record.name) if c.number},
        "waiting": sum(str(v.stage) in ("staged", "validated") and not v.stalled for v in versions),
        "stalled": sum(v.stalled for v in versions),
        "rejected": sum(v.stage is Stage.REJECTED for v in versions),
    }


def _versions(registry: RegistryReader, adapter: str, *, as_json: bool) -> None:
    versions = registry.versions(adapter)
    channels, erased = registry.channels(adapter), plain.erased(registry, adapter)
    if not versions:
        raise NotFound(f"the registry knows no {adapter}", "`adapterd list` shows what it knows")
    if as_json:
        found = {
            "versions": [plain.version(v, erased=v.identity in erased) for v in versions],
            "channels": [plain.channel(c) for c in channels],
        }
        say.document({"adapter": versions[0].adapter, **found})
        return
    held: dict[int | None, list[str]] = {}
    for channel in channels:
        held.setdefault(channel.number, []).append(channel.channel)
    rows = [
        (
            v.tag or f"id:{v.identity[:12]}",
            plain.standing(v, erased=v.identity in erased),
            ", ".join(held.get(v.number, [])) if v.number else "",
            plain.origin(v),
            say.when(v.updated_at),
            v.message,
        )
        for v in versions
    ]
    say.table(("version", "stage", "channels", "from", "changed", "message"), rows)
