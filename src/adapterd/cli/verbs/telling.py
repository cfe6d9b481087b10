"""How a version, its reports and its history are told in words."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from adapterd.cli import say
from adapterd.core import engines, pushes
from adapterd.core.retention import CUT
from adapterd.core.words import MEASUREMENTS, number, span

TAIL = 12
"""Lines of a worker's log that are told."""

_WIDTH = max(len(words) for _, words in MEASUREMENTS)
_MOMENTS = ("at", "until", "due_at")
_WORDS = {"was": "from"}


def version(found: Mapping[str, Any]) -> None:
    """All about one version."""
    version = found["version"]
    say.line(f"{version['label']}: {version['stage']}" + (", stalled" if version["stalled"] else ""))
    if stone := found["erased"]:
        said = stone["said"]
        say.line(f"  erased {say.when(said['at'])} by {said['actor']}: {said['reason']}")
    if version["reason"]:
        say.line(f"  {version['reason']}: {_inset(version['message'])}")
        say.line(f"  Try: {version['hint']}")
    if push := found["next_push"]:
        say.line(pushes.told(pushes.Push(**{**push, "message": push["message"] or ""}), time.time(), say.when))
    _held_back(found["held_back"])
    named = {**version, "base": found["base"] or version["base"]}
    for name in ("commit", "identity", "tree", "base", "run", "step"):
        if named[name] not in (None, ""):
            say.line(f"{name:<9} {named[name]}")
    if version["final"]:
        say.line("final     yes")
    for sighting in found["sightings"]:
        say.line(f"seen      {say.when(sighting['seen_at'])}  {Path(sighting['root']) / sighting['path']}")
    for each in found["reports"]:
        _report(each)
    for event in found["events"]:
        say.line(f"{say.when(event['at'])}  {event['kind']}  {_detail(event['detail'])}".rstrip())
        tail(event["detail"])


def _held_back(found: Sequence[Mapping[str, Any]]) -> None:
    for each in found:
        when = f", until {say.when(each['until'])}" if each["until"] else ""
        say.line(f"not taken by channel {each['channel']}{when}: {each['reason']}: {each['message']}")
        say.line(f"  Try: {each['hint']}")


def measurements(measured: Mapping[str, Any]) -> None:
    """What was measured, in the words of the status page."""
    for key, words in MEASUREMENTS:
        if key in measured:
            say.line(f"  {words:<{_WIDTH}}  {number(measured[key])}")
    for key in sorted(key for key in measured if key.startswith("gate.")):
        say.line(f"  {key:<{_WIDTH}}  {number(measured[key])}")


def serving(served: object) -> None:
    """What serving engines make of it."""
    for name, told, why in engines.summary(served):
        say.wrapped(f"  {name:<{_WIDTH}}  ", f"{told}{f': {why}' if why else ''}")


def tail(of: Mapping[str, Any]) -> None:
    """The last words of a worker."""
    for text in str(of.get("log_tail") or "").splitlines()[-TAIL:]:
        say.line(f"  | {text}")


def _report(report: Mapping[str, Any]) -> None:
    where = f"{report.get('device', '')} {report.get('dtype', '')}".strip()
    say.line(f"{say.when(report['at'])}  report: {report.get('verdict')} under policy {report.get('policy')}, {where}")
    for each in [*report.get("reasons", []), *report.get("warnings", [])]:
        say.line(f"  {each['code']}: {_inset(each['message'])}".rstrip(": "))
        if each["hint"]:
            say.line(f"  Try: {each['hint']}")
    for each in report.get("waivers") or ():
        say.line(f"  waived {each['code']} by {each.get('actor') or 'unknown'}: {each.get('reason', '')}")
    for each in report.get("gates") or ():
        say.line(f"  gate {each['command']}: exit code {each['exit']} after {span(each['seconds'])}")
    if report.get(CUT):
        say.line("  cut after retention.events_for; the manifest of a published version has all of it")
    measurements(report.get("measurements", {}))
    if report.get("verdict") == "passed":  # what is refused is nobody's to serve
        serving(report.get("engines"))
    if report.get("verdict") != "passed":
        tail(report)


def _inset(text: str) -> str:
    """A text whose further lines stand below its first."""
    return text.replace("\n", "\n    | ")


def _detail(of: Mapping[str, Any]) -> str:
    """An event's facts; those that are empty say nothing."""
    told = [
        f"{_WORDS.get(key, key)} {say.when(value) if key in _MOMENTS else number(value)}"
        for key, value in of.items()
        if key != "log_tail" and value not in (None, "")
    ]
    return ", ".join(told)
