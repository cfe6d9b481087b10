"""status: how daemon and line stand, and what waits for a person."""

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from adapterd import ruling
from adapterd.cli import say
from adapterd.cli.exits import Exit
from adapterd.cli.verbs import plain
from adapterd.cli.verbs.listing import ON_HUB
from adapterd.cli.verbs.settings import config_of, reader_of
from adapterd.config import Config, places
from adapterd.control import NoDaemonError, call
from adapterd.core import pushes
from adapterd.core.version import LIVE, Stage
from adapterd.core.words import ago, bytes_, until
from adapterd.ports import RegistryReader

MOST = 20
"""How many rejected versions and refused directories are told; `adapterd list` tells all."""


def status(given: Path | None, *, as_json: bool) -> int:
    """Ask the daemon where there is one, and the registry in any case."""
    config = config_of(given, ON_HUB)
    health = _health(places(config, os.environ, Path.home()).socket)
    with reader_of(config) as registry:
        found: dict[str, Any] = {"daemon": health, "counts": dict(registry.counts()), **_standing(registry)}
        found |= _channels(registry, config)
        found["erased"] = sum(len(plain.erased(registry, adapter.name)) for adapter in registry.adapters())
        found["next_push"] = pushes.document(push := pushes.first(registry.versions(stage=Stage.VALIDATED)))
    if as_json:
        say.document(found)
    else:
        _tell(found, push)
    return Exit.DONE


def _health(socket: Path) -> dict[str, Any] | None:
    """What the daemon says of itself; None where none runs."""
    try:
        answer = call(socket, "status", {}, timeout=10.0)
    except NoDaemonError:
        return None
    return dict(answer.get("health", {}))


def _standing(registry: RegistryReader) -> dict[str, list[dict[str, Any]]]:
    """What waits, and whom for."""
    live = [v for stage in LIVE for v in registry.versions(stage=stage)]
    seen, channels = registry.observations(), registry.channels()
    return {
        "stalled": [plain.version(v) for v in live if v.stalled],
        "stalled_channels": [plain.channel(c) for c in channels if c.stalled],
        "stalled_directories": [plain.observation(o) for o in seen if o.state == "stalled"],
        "waiting": [plain.version(v) for v in live if v.reason and not v.stalled],
        "waiting_channels": [plain.channel(c) for c in channels if c.reason and not c.stalled],
        "waiting_directories": [plain.observation(o) for o in seen if o.state == "waiting"],
        "rejected": [plain.version(v) for v in registry.versions(stage=Stage.REJECTED)],
        "refused_directories": [plain.observation(o) for o in seen if o.state == "refused"],
    }


def _channels(registry: RegistryReader, config: Config) -> dict[str, list[dict[str, Any]]]:
    """What channels do not take by themselves, and what they hold although it does not pass any more."""
    wanting = ruling.wanting(registry, config, time.time())
    return {
        "held_back": [each for one in wanting for each in plain.held_back(one)],
        "failing": [
            {
                "adapter": failing.version.adapter,
                "label": failing.version.label,
                "channels": list(failing.channels),
                "reason": failing.reason.code,
                "message": failing.reason.message,
                "hint": failing.reason.hint,
            }
            for failing in ruling.failing(registry)
        ],
    }


def _tell(found: Mapping[str, Any], push: pushes.Push | None) -> None:
    daemon = found["daemon"]
    if daemon is None:
        say.line("daemon: not running")
    else:
        alive = "ready" if daemon.get("ready") and daemon.get("alive") else "not ready"
        say.line(f"daemon: running, {alive}, publisher {daemon.get('publisher', '')}, {daemon.get('version', '')}")
        for root in daemon.get("roots", []):
            say.line(f"root {root['path']}: {root['known']} adapter directories, events {root['events']}")
            _problem(root["message"], root["hint"])
        if spool := daemon.get("spool"):
            most = f" of {bytes_(spool['most'])}" if spool.get("most") else ""
            free = f", {bytes_(spool['free'])} free on its disk" if spool.get("free") is not None else ""
            say.line(f"spool: {bytes_(spool['used'])}{most}{free}")
        if audit := daemon.get("audit"):
            drift = sum(audit["drift"].values())
            say.line(f"audit: {drift or 'no'} drift found, {ago(audit['at'], time.time())}")
        for problem in daemon.get("problems", {}).values():
            say.line("problem:")
            _problem(problem["message"], problem["hint"])
    counts = found["counts"]
    say.line("versions: " + _counted({k: n for k, n in counts.items() if not k.startswith("observed_")}))
    if found["erased"]:
        say.line(f"erased: {found['erased']}")
    say.line(
        "directories: " + _counted({k.removeprefix("observed_"): n for k, n in counts.items() if k[:9] == "observed_"})
    )
    if text := pushes.told(push, time.time(), say.when):
        say.line(text)
    _tell_hub((daemon or {}).get("hub") or {})
    _tell_standing(found)


def _tell_hub(hub: Mapping[str, Any]) -> None:
    """What the Hub still allows, and what is paused; nothing where the daemon does not say."""
    if "requests" not in hub:
        return
    say.line(f"Hub: {hub['requests']['left']} requests left of {hub['requests']['limit']} in five minutes")
    for each in hub["paused"]:
        say.line(f"paused, {each['action'] or 'all calls'}, tried again {until(each['until'], time.time())}")
        _problem(each["message"], None)


def _tell_standing(found: Mapping[str, Any]) -> None:
    """What a person must act on with what to try; the rest in a line or two each."""
    _titled("waiting for a person:", found["stalled"] + found["stalled_channels"] + found["stalled_directories"])
    for item in found["stalled"] + found["stalled_channels"] + found["stalled_directories"]:
        say.line(f"{_name(item)}: {item['reason']}")
        _problem(item["message"], item["hint"])
    _titled("published, and does not pass any more:", found["failing"])
    for item in found["failing"]:
        held = f", held by {', '.join(item['channels'])}" if item["channels"] else ""
        say.line(f"{item['label']}{held}: {item['reason']}")
        _problem(item["message"], item["hint"])
    _titled("held back from channels:", found["held_back"])
    for item in found["held_back"]:
        when = f", {until(item['until'], time.time())} ({say.when(item['until'])})" if item["until"] else ""
        say.line(f"{item['adapter']}@{item['channel']}: {item['reason']}{when}")
        _problem(item["message"], None if item["until"] else item["hint"])
    now = time.time()
    waiting = found["waiting"] + found["waiting_channels"] + found["waiting_directories"]
    _titled("waiting:", waiting)
    for item in waiting:
        due = item.get("due_at") or 0.0
        when = f", {until(due, now)} ({say.when(due)})" if due > now else ""
        say.line(f"{_name(item)}: {item['reason'] or 'waiting'}{when}")
        _problem(item["message"], None)
    over = found["rejected"] + found["refused_directories"]
    _titled("rejected:", over)
    for item in over[:MOST]:
        say.line(f"{_name(item)}: {item['reason']}: {item['message']}")
    if len(over) > MOST:
        say.line(f"and {len(over) - MOST} more; `adapterd list ADAPTER` and `adapterd list --directories` show all")


def _titled(title: str, items: Sequence[object]) -> None:
    if items:
        say.line()
        say.line(title)


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in counts.items() if number) or "none"


def _name(item: Mapping[str, Any]) -> str:
    if "label" in item:
        return str(item["label"])
    return f"{item['adapter']}@{item['channel']}" if "channel" in item else str(Path(item["root"]) / item["path"])


def _problem(message: str | None, hint: str | None) -> None:
    if message:
        say.line(f"  {message}")
    if hint:
        say.line(f"  Try: {hint}")
