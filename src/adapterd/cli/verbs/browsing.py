"""list --hub and show --hub: what the Hub alone says, for a machine without a configuration."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adapterd import deploy
from adapterd.cli import say
from adapterd.cli.exits import Exit, UsageFaultError
from adapterd.cli.verbs import deploying, telling
from adapterd.cli.verbs.settings import find, hub_of, reference_of
from adapterd.cli.verbs.showing import is_path
from adapterd.core.engines import summary
from adapterd.core.naming import is_hub_id
from adapterd.deploy import Entry, Listed
from adapterd.ports import NotFound


def adapters(given: Path | None, namespace: str, endpoint: str | None, *, as_json: bool) -> int:
    """Every adapter of a namespace: by its index, or repo by repo where it has none."""
    repo = deploy.index_repo_of(namespace)
    if not is_hub_id(repo):
        raise UsageFaultError(f"{namespace!r} is no namespace", "as in acme, or the index repo itself: acme/its-index")
    faults: Mapping[str, Exception] = {}
    with hub_of(given, endpoint) as hub:
        try:
            catalogue, _ = deploy.read_catalogue(hub, repo)
        except NotFound:
            if "/" in namespace:
                raise
            say.complain(
                f"{namespace} has no index {repo}, so that its repos are asked one by one",
                f"hub.index_repo: {repo.rpartition('/')[2]} in the configuration of who publishes there",
            )
            listed = list(deploy.entries_of(hub, namespace))
        else:
            listed, faults = ([*catalogue.entries.values()], catalogue.faults) if catalogue else ([], {})
    for error in faults.values():
        say.complain(f"warning: {str(error).splitlines()[0]}")
    if as_json:
        say.document({"namespace": namespace, "adapters": [_adapter(entry) for entry in listed]})
        return Exit.DONE
    if not listed:
        say.complain(f"no adapter of {namespace} can be seen", "check the name, and that the token may read its repos")
    rows = []
    for entry in listed:
        told = _adapter(entry)
        channels = ", ".join(f"{name}={tag}{_held(entry, name)}" for name, tag in told["channels"].items())
        rows.append((entry.adapter, told["newest"] or "-", channels, entry.base or "a local model", entry.count))
    say.table(("adapter", "newest", "channels", "base model", "versions"), rows)
    return Exit.DONE


def is_of_hub(given: Path | None, what: str, *, asked: bool) -> bool:
    """Whether the Hub is to say what something is: it was asked for, or there is no registry to ask."""
    if asked and is_path(what):
        raise UsageFaultError(f"{what} is a directory; the Hub knows adapters", "leave --hub out")
    return asked or (bool(what) and find(given) is None and not is_path(what))


def show(given: Path | None, what: str, endpoint: str | None, *, as_json: bool) -> int:
    """A whole adapter, or one version of it."""
    reference = reference_of(what)
    if "@" not in what:
        with hub_of(given, endpoint) as hub:
            entry = deploy.entry_of(hub, reference.adapter)
        if as_json:
            say.document({**_adapter(entry), "publisher": entry.publisher, "versions": _versions(entry)})
        else:
            _tell(entry)
        return Exit.DONE
    with hub_of(given, endpoint) as hub:
        found = deploy.resolve(hub, reference)
    for warning in found.warnings:
        say.complain(f"warning: {warning}")
    manifest: dict[str, Any] = json.loads(found.manifest)
    if as_json:
        say.document({**deploying.document(found), "manifest": manifest})
    else:
        _tell_version(found, manifest)
    return Exit.DONE


def _adapter(entry: Entry) -> dict[str, Any]:
    kept = [number for number, version in entry.versions.items() if not version.erased]
    return {
        "adapter": entry.adapter,
        "base": entry.base or None,
        "newest": f"v{max(kept)}" if kept else None,
        "channels": {name: f"v{number}" for name, number in sorted(entry.channels.items())},
        "holds": dict(entry.holds),
        "count": entry.count,
    }


def _versions(entry: Entry) -> dict[str, Any]:
    return {
        f"v{number}": {
            "commit": version.commit,
            "identity": version.identity,
            "serving_name": version.serving_name,
            "run": version.run or None,
            "step": version.step,
            "final": version.final,
            "published": version.published,
            "yanked": version.yanked,
            "yank_reason": version.yank_reason or None,
            "erased": version.erased,
            "waived": list(version.waived),
            "engines": dict(version.engines),
        }
        for number, version in sorted(entry.versions.items(), reverse=True)
    }


def _held(entry: Entry, channel: str) -> str:
    return " (held)" if channel in entry.holds else ""


def _tell(entry: Entry) -> None:
    say.line(entry.adapter)
    say.line(f"base model  {entry.base or 'a local model'}")
    for name, number in sorted(entry.channels.items()):
        why = f": {entry.holds[name]}" if entry.holds.get(name) else ""
        say.line(f"channel     {name} holds v{number}{_held(entry, name)}{why if name in entry.holds else ''}")
    say.line()
    rows = [
        (
            version.serving_name,
            ", ".join(name for name, held in sorted(entry.channels.items()) if held == number),
            _standing(version),
            say.when(version.published or 0),
        )
        for number, version in sorted(entry.versions.items(), reverse=True)
    ]
    say.table(("serving name", "channels", "standing", "published"), rows)
    for number, version in sorted(entry.versions.items(), reverse=True):
        if version.yank_reason and not version.erased:
            say.wrapped(f"v{number} was yanked: ", version.yank_reason)
    _tell_engines(entry.versions)


def _tell_engines(versions: Mapping[int, Listed]) -> None:
    """What engines make of the versions, once for all of which they make the same."""
    alike: dict[tuple[tuple[str, str, str], ...], list[int]] = {}
    for number, version in sorted(versions.items(), reverse=True):
        if not version.erased and (told := tuple(summary(version.engines))):
            alike.setdefault(told, []).append(number)
    for numbers in alike.values():
        say.line()
        say.wrapped("what serving engines make of ", ", ".join(f"v{number}" for number in numbers) + ":")
        telling.serving(versions[numbers[0]].engines)


def _standing(version: Listed) -> str:
    if version.erased:
        return "erased"
    waived = f"waived: {', '.join(version.waived)}" if version.waived else ""
    return "; ".join(each for each in ("yanked" if version.yanked else "", waived) if each)


def _plain(value: object) -> str:
    """A value of the manifest as a person writes it."""
    if isinstance(value, dict):
        return "; ".join(f"{key}: {_plain(each)}" for key, each in value.items())
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _tell_version(found: deploy.Resolved, manifest: Mapping[str, Any]) -> None:
    say.line(f"{found.adapter}@{found.tag}" + (", yanked" if found.yanked else ""))
    base = f"{found.base_id or 'a local model'} at {found.base_revision}"
    for name, value in (
        ("commit", found.commit),
        ("identity", found.identity),
        ("base model", base),
        ("serving name", found.serving_name),
    ):
        say.wrapped(f"{name:<13} ", value)
    for key in ("peft", "provenance"):
        fields = manifest.get(key)
        for name, value in sorted(fields.items()) if isinstance(fields, dict) else ():
            if value not in (None, "", [], {}):
                say.wrapped(f"{name:<13} ", _plain(value))
    report = manifest.get("report")
    measured = report.get("measurements") if isinstance(report, dict) else None
    if isinstance(measured, dict) and measured:
        say.line("measured before it was published:")
        telling.measurements(measured)
    if manifest.get("engines"):
        say.line("serving engines:")
        telling.serving(manifest["engines"])
    for path, (sha256, size) in sorted(found.files.items()):
        say.line(f"{sha256}  {size:>12,}  {path}")
