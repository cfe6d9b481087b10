"""show: everything about one version, or what any directory is and what becomes of it."""

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from adapterd.cli import say
from adapterd.cli.exits import Exit
from adapterd.cli.verbs import plain
from adapterd.cli.verbs.explaining import explain
from adapterd.cli.verbs.settings import config_of, find, reader_of, reference_of
from adapterd.config import Config, load
from adapterd.core.errors import AdapterdError
from adapterd.core.naming import Reference
from adapterd.core.version import AdapterVersion
from adapterd.ports import NotFound, RegistryReader


def show(given: Path | None, what: str, *, as_json: bool) -> int:
    """Tell what a name or a path stands for."""
    if is_path(what):
        found = _path(given, Path(what).expanduser().absolute())
        tell = _tell_path
    else:
        reference = reference_of(what)
        with reader_of(config_of(given)) as registry:
            found = history(registry, version_of(registry, reference))
        tell = _tell_version
    if as_json:
        say.document(found)
    else:
        tell(found)
    return Exit.DONE


def is_path(what: str) -> bool:
    """Whether a person means a path: by its look, or because there is one of that name."""
    return what.startswith(("/", ".", "~")) or ("@" not in what and Path(what).exists())


def version_of(registry: RegistryReader, reference: Reference) -> AdapterVersion:
    """The version that a reference means, as the registry knows it; NotFound."""
    adapter = reference.adapter
    number = reference.number
    if reference.channel is not None:
        held = {c.channel: c.number for c in registry.channels(adapter)}
        number = held.get(reference.channel)
        if number is None:
            raise NotFound(
                f"the registry knows no version in channel {reference.channel} of {adapter}",
                f"`adapterd list {adapter}` shows its versions",
            )
    if reference.commit is not None:
        found = next((v for v in registry.versions(adapter) if v.commit == reference.commit), None)
    elif number is not None:
        found = registry.find(adapter, number=number)
    else:
        found = registry.find(adapter, identity=reference.identity)
    if found is None:
        raise NotFound(f"the registry knows no such version of {adapter}", "`adapterd list` shows what it knows")
    return found


def history(registry: RegistryReader, version: AdapterVersion) -> dict[str, Any]:
    """A version with its sightings, reports and events."""
    return {
        "version": plain.version(version),
        "labels": dict(version.labels),
        "repairs": [dict(repair) for repair in version.repairs],
        "sightings": [asdict(sighting) for sighting in registry.sightings(version.id)],
        "reports": [{"at": v.at, **v.report} for v in registry.validations(version.id)],
        "events": [{"at": e.at, "kind": e.kind, "detail": dict(e.detail)} for e in registry.events(version.id)],
    }


def _path(given: Path | None, path: Path) -> dict[str, Any]:
    """Explain a directory; where configuration and registry are at hand, also what became of it."""
    if not path.exists():
        raise NotFound(
            f"{path} does not exist", "check the path; what was there before is in `adapterd list --directories`"
        )
    if not path.is_dir():
        raise NotFound(f"{path} is a file", f"the directory that it lies in: adapterd show {path.parent}")
    found = {**explain(path), "root": None, "observation": None, "history": None}
    where = find(given)
    if where is None:
        return found
    try:
        config = load(where)
    except AdapterdError as error:
        if given is not None:
            raise
        say.complain(f"{where} cannot be used, so only the directory itself is explained: {error.message}", error.hint)
        return found
    # Without a registry there is still something to tell.
    with suppress(AdapterdError, ModuleNotFoundError):
        found |= _known(config, path)
    return found


def _known(config: Config, path: Path) -> dict[str, Any]:
    real = Path(os.path.realpath(path))
    for root in config.roots:
        for seen in (path, real):
            if seen.is_relative_to(root.path):
                below = str(seen.relative_to(root.path))
                with reader_of(config) as registry:
                    observation = registry.observation(str(root.path), below)
                    version = registry.version(observation.version) if observation and observation.version else None
                    return {
                        "root": str(root.path),
                        "observation": plain.observation(observation) if observation else None,
                        "history": history(registry, version) if version else None,
                    }
    return {}


def _tell_path(found: Mapping[str, Any]) -> None:
    code = found["code"]
    say.line(found["path"])
    say.line("an adapter directory" if code == "adapter" else f"no adapter directory to publish: {code}")
    say.line(f"  {found['message']}")
    if found["hint"]:
        say.line(f"  {found['hint']}")
    if config := found["config"]:
        rank = f", rank {config['rank']}" if config["rank"] else ""
        say.line(f"{config['peft_type']}{rank}, task {config['task'] or 'none'}, base model {config['base'] or 'none'}")
    for name, size in found["files"].items():
        say.line(f"{size:>14,}  {name}")
    if found["left_out"]:
        say.line(f"never copied: {', '.join(found['left_out'])}")
    if found["below"]:
        say.line("below it:")
    for each in found["below"]:
        say.line(f"  {each['path']}: {each['code']}")
    _tell_observation(found)


def _tell_observation(found: Mapping[str, Any]) -> None:
    seen = found["observation"]
    if seen is None:
        if found["root"]:
            say.line(f"below root {found['root']}; not seen by a scan yet")
        return
    say.line(f"below root {seen['root']}: {seen['state']}" + (f", {seen['reason']}" if seen["reason"] else ""))
    if seen["message"]:
        say.line(f"  {seen['message']}")
    if seen["hint"]:
        say.line(f"  Try: {seen['hint']}")
    if found["history"]:
        say.line()
        _tell_version(found["history"])


def _tell_version(found: Mapping[str, Any]) -> None:
    version = found["version"]
    say.line(f"{version['label']}: {version['stage']}" + (", stalled" if version["stalled"] else ""))
    if version["reason"]:
        say.line(f"  {version['reason']}: {version['message']}")
        say.line(f"  Try: {version['hint']}")
    for name in ("commit", "identity", "tree", "base", "run", "step"):
        if version[name] not in (None, ""):
            say.line(f"{name:<9} {version[name]}")
    for sighting in found["sightings"]:
        say.line(f"seen      {say.when(sighting['seen_at'])}  {Path(sighting['root']) / sighting['path']}")
    for report in found["reports"]:
        _tell_report(report)
    for event in found["events"]:
        detail = ", ".join(f"{key} {value}" for key, value in event["detail"].items() if key != "log_tail")
        say.line(f"{say.when(event['at'])}  {event['kind']}  {detail}".rstrip())
        _tell_tail(event["detail"])


def _tell_report(report: Mapping[str, Any]) -> None:
    where = f"{report.get('device', '')} {report.get('dtype', '')}".strip()
    say.line(f"{say.when(report['at'])}  report: {report.get('verdict')} under policy {report.get('policy')}, {where}")
    for each in [*report.get("reasons", []), *report.get("warnings", [])]:
        say.line(f"  {each['code']}: {each['message']}")
        say.line(f"  Try: {each['hint']}")
    for name, value in sorted(report.get("measurements", {}).items()):
        say.line(f"  {name:<24} {value:.6g}" if isinstance(value, float) else f"  {name:<24} {value}")
    if report.get("verdict") != "passed":
        _tell_tail(report)


def _tell_tail(of: Mapping[str, Any]) -> None:
    """The last words of a worker."""
    for text in str(of.get("log_tail") or "").splitlines():
        say.line(f"  | {text}")
