"""show: everything about one version, or what any directory is and what becomes of it."""

import os
import shlex
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from adapterd import ruling
from adapterd.cli import say
from adapterd.cli.exits import Exit, UsageFaultError
from adapterd.cli.verbs import plain, telling
from adapterd.cli.verbs.explaining import explain
from adapterd.cli.verbs.settings import config_of, find, reader_of, reference_of
from adapterd.config import Config, load
from adapterd.core import pushes
from adapterd.core.errors import AdapterdError
from adapterd.core.naming import Reference, is_hub_id
from adapterd.core.reasons import BY_CODE
from adapterd.core.standing import tombstones
from adapterd.core.version import AdapterVersion
from adapterd.core.words import span
from adapterd.ports import NotFound, RegistryReader

_PASSED_OVER = ("no_adapter", "full_model", "sharded_state")


def show(given: Path | None, what: str, *, as_json: bool) -> int:
    """Tell what a name or a path stands for."""
    if not what:
        raise UsageFaultError("show takes the name of a version, or a directory", "adapterd show . explains this one")
    if is_path(what):
        found = _path(given, Path(what).expanduser().absolute())
        tell = _tell_path
    else:
        reference = reference_of(what)
        config = config_of(given)
        with reader_of(config) as registry:
            if "@" not in what and not _knows(registry, reference.adapter):
                raise NotFound(
                    f"{what} is neither a directory here nor an adapter that the registry knows",
                    "`adapterd list` shows the adapters, `adapterd list --directories` the directories",
                )
            found = history(registry, version_of(registry, reference), config)
        tell = telling.version
    if as_json:
        say.document(found)
    else:
        tell(found)
    return Exit.DONE


def is_path(what: str) -> bool:
    """Whether a person means a path: by its look, or because there is one of that name."""
    named = "/" in what and not is_hub_id(what)
    return what.startswith(("/", ".", "~")) or ("@" not in what and (named or Path(what).exists()))


def _knows(registry: RegistryReader, adapter: str) -> bool:
    """Whether the registry has heard of the adapter."""
    return any(known.name.casefold() == adapter.casefold() for known in registry.adapters()) or bool(
        registry.versions(adapter, limit=1)
    )


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
        raise NotFound(f"the registry knows no such version of {adapter}", _newest(registry, adapter))
    return found


def _newest(registry: RegistryReader, adapter: str) -> str:
    newest = max((v.number for v in registry.versions(adapter) if v.number and v.commit), default=None)
    if newest is None:
        return "`adapterd list` shows what it knows"
    return f"its newest version is v{newest}; `adapterd list {adapter}` shows all"


def history(registry: RegistryReader, version: AdapterVersion, config: Config) -> dict[str, Any]:
    """A version with its sightings, reports and events, its series' base, and the channels that do not take it."""
    repo = registry.repo(version.adapter)
    stones = tombstones(repo.standing) if repo is not None else ()
    stone = next((stone for stone in stones if stone.identity == version.identity), None)
    bound = next((a.base for a in registry.adapters() if a.name == version.adapter and a.base != "local"), None)
    return {
        "version": plain.version(version, erased=stone is not None),
        "erased": asdict(stone) if stone else None,
        "next_push": pushes.document(pushes.of(version)),
        "base": bound or None,
        "labels": dict(version.labels),
        "repairs": [dict(repair) for repair in version.repairs],
        "held_back": _held_back(registry, version, config),
        "sightings": [asdict(sighting) for sighting in registry.sightings(version.id)],
        "reports": [{"at": v.at, **v.report} for v in registry.validations(version.id)],
        "events": [{"at": e.at, "kind": e.kind, "detail": dict(e.detail)} for e in registry.events(version.id)],
    }


def _held_back(registry: RegistryReader, version: AdapterVersion, config: Config) -> list[dict[str, Any]]:
    wanting = ruling.wanting(registry, config, time.time(), version.adapter)
    told = [each for one in wanting for each in plain.held_back(one)]
    return [each for each in told if each["number"] == version.number]


def _path(given: Path | None, path: Path) -> dict[str, Any]:
    """Explain a directory; where configuration and registry are at hand, also what became of it."""
    if not path.exists():
        raise NotFound(
            f"{path} does not exist", "check the path; what was there before is in `adapterd list --directories`"
        )
    if not path.is_dir():
        raise NotFound(f"{path} is a file", f"the directory that it lies in: adapterd show {path.parent}")
    config = _usable(given)
    pickles = config is not None and config.validation.convert_pickle
    found = {**explain(path, pickles=pickles), "root": None, "observation": None, "history": None, "patience": None}
    if config is None:
        return found
    found["patience"] = config.settle.patience
    # Without a registry there is still something to tell.
    with suppress(AdapterdError):
        try:
            found |= _known(config, path)
        except ModuleNotFoundError as error:
            say.complain(
                f"what became of it is in the registry, which needs {error.name}, which is not installed",
                "pip install 'adapterd[host]'",
            )
    return found


def _usable(given: Path | None) -> Config | None:
    """The configuration; None where there is none, or where nobody named the one that is wrong."""
    where = find(given)
    if where is None:
        return None
    try:
        return load(where)
    except AdapterdError as error:
        if given is not None:
            raise
        say.complain(f"{where} cannot be used, so only the directory itself is explained: {error.message}", error.hint)
        return None


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
                        "history": history(registry, version, config) if version else None,
                    }
    return {}


def _tell_path(found: Mapping[str, Any]) -> None:
    code, message, hint = _diagnosis(found)
    say.line(found["path"])
    say.line("an adapter directory" if code == "adapter" else f"no adapter directory to publish: {code}")
    say.line(f"  {message}")
    if hint:
        say.line(f"  {hint}")
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


def _diagnosis(found: Mapping[str, Any]) -> tuple[str, str, str]:
    """What is wrong with the directory now; the registry alone knows that nobody goes on writing it."""
    seen = found["observation"]
    if found["code"] == "half_written" and seen and seen["state"] == "refused":
        return seen["reason"], seen["message"], seen["hint"]
    return found["code"], found["message"], found["hint"]


def _tell_observation(found: Mapping[str, Any]) -> None:
    seen, code = found["observation"], found["code"]
    if seen is None:
        if found["root"]:
            becomes = "a scan passes it over" if code in _PASSED_OVER else "not seen by a scan yet"
            say.line(f"below root {found['root']}; {becomes}")
        return
    whole = code == "adapter"
    why = f", {seen['reason']}" if whole and seen["reason"] and seen["reason"] != seen["state"] else ""
    if seen["state"] == "waiting" and not whole and code != "open_for_writing":
        why = f"; it is judged finally after settle.patience ({span(found['patience'])}) without a change"
    say.line(f"below root {seen['root']}: {seen['state']}{why}")
    if whole and seen["message"]:
        say.line(f"  {seen['message']}")
    by_state = BY_CODE[seen["state"]].hint if seen["state"] in BY_CODE else ""
    if whole and (hint := seen["hint"] or by_state):
        say.line(f"  Try: {hint.replace('sync DIR', 'sync ' + shlex.quote(found['path']))}")
    if found["history"]:
        say.line()
        telling.version(found["history"])
