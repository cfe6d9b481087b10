"""The page of one adapter: its channels, and each version with its reports, places and history."""

from collections.abc import Mapping, Sequence
from typing import Any

from adapterd.core import engines
from adapterd.core.words import MEASUREMENTS, number, utc
from adapterd.ports import Event, Sighting, Validation
from adapterd.status.markup import Markup, join, page, tag
from adapterd.status.parts import channels, label, loss, moment, pill, section, source, stage, standing, table
from adapterd.status.view import NEWEST, AdapterView, Chapter

_TONES = {"passed": "good", "rejected": "bad", "stalled": "bad"}
_LONGEST = 300  # characters of one detail in the history


def adapter(view: AdapterView) -> str:
    """The whole page."""
    record = view.record
    facts = (("base model", record.base), ("PEFT type", record.peft_type), ("task", record.task), ("root", record.root))
    note = f"the newest {NEWEST}; `adapterd list` shows all" if len(view.chapters) == NEWEST else "newest first"
    body = join(
        tag("header", tag("a", "adapterd", href="/"), tag("span", "/", cls="faint"), tag("h1", record.name)),
        _facts(facts),
        section("Channels", channels(view.channels, view.now, named=False)) if view.channels else "",
        section(
            "Versions",
            tag("div", *(_chapter(part, view.now, first=n == 0) for n, part in enumerate(view.chapters)), cls="card"),
            note=note,
        ),
    )
    return page(f"{record.name} · adapterd", body)


def _chapter(chapter: Chapter, now: float, *, first: bool) -> Markup:
    """One version: its line, the rest on demand."""
    version = chapter.line.version
    head = tag(
        "summary",
        label(version),
        stage(version),
        pill("erased", "bad") if chapter.erased else "",
        tag("code", version.reason) if version.reason else "",
        tag("span", loss(chapter.line)),
        tag("span", source(version), cls="faint"),
        tag("span", moment(version.updated_at, now), cls="faint"),
    )
    facts = (
        ("identity", tag("code", version.identity)),
        ("tree", tag("code", version.tree)),
        ("commit", tag("code", version.commit) if version.commit else None),
        ("base model", version.base),
        ("attempts", str(version.attempts) if version.attempts else None),
    )
    content = (
        _facts(facts),
        _why(chapter, now),
        *(_report(validation, now) for validation in reversed(chapter.validations)),
        _places(chapter.sightings, now),
        _history(chapter.events),
    )
    return tag("details", head, tag("div", *content), open="" if first or version.stalled else None)


def _why(chapter: Chapter, now: float) -> Markup:
    """What it waits for, stalls on, or was refused for."""
    version = chapter.line.version
    if not version.reason:
        return Markup("")
    tone = "bad" if version.stalled or version.stage.value == "rejected" else "wait"
    when = None if version.stalled or version.due_at <= now else Markup(tag("span", "next at ", utc(version.due_at)))
    name = "Stalled" if version.stalled else version.stage.value.capitalize()
    return join(tag("h3", "Why"), standing(name, version.reason, version.message, version.hint, tone, when))


def _report(validation: Validation, now: float) -> Markup:
    """The key numbers of one report."""
    report = validation.report
    measured = report.get("measurements")
    numbers: Mapping[str, Any] = measured if isinstance(measured, Mapping) else {}
    facts = [
        ("verdict", join(pill(validation.verdict, _TONES.get(validation.verdict)), " ", moment(validation.at, now))),
        ("policy", tag("code", validation.policy)),
        ("device", " ".join(str(report.get(key, "")) for key in ("device", "dtype")).strip() or None),
        *((label, number(numbers[key])) for key, label in MEASUREMENTS if key in numbers),
        *((key, number(numbers[key])) for key in sorted(numbers) if key.startswith("gate.")),
        *(("gate", _gate(one)) for one in report.get("gates") or ()),
        *(("waived", _waived(one)) for one in report.get("waivers") or ()),
        *(("reason", _told(one)) for one in report.get("reasons", ())),
        *(("warning", _told(one)) for one in report.get("warnings", ())),
        *((name, f"{told}: {why}" if why else told) for name, told, why in engines.summary(report.get("engines"))),
    ]
    return join(tag("h3", "Report"), _facts(facts))


def _told(found: object) -> Markup:
    """A finding of a report: its code and its text."""
    if not isinstance(found, Mapping):
        return join(found)
    return join(tag("code", found.get("code", "")), " ", found.get("message", ""))


def _gate(entry: object) -> Markup:
    """What a gate of the operator's own said."""
    if not isinstance(entry, Mapping):
        return join(entry)
    return join(tag("code", entry.get("command", "")), " exit code ", str(entry.get("exit", "")))


def _waived(waiver: object) -> Markup:
    """A reason that a person set aside: its code, who, and why."""
    if not isinstance(waiver, Mapping):
        return join(waiver)
    return join(tag("code", waiver.get("code", "")), " by ", waiver.get("actor", ""), ": ", waiver.get("reason", ""))


def _places(sightings: Sequence[Sighting], now: float) -> Markup:
    """Where its content was seen."""
    rows = [
        [tag("span", f"{seen.root}/{seen.path}", cls="mono"), "final" if seen.final else "", moment(seen.seen_at, now)]
        for seen in sightings
    ]
    return (
        join(tag("h3", "Seen at"), table(["directory", "", "seen"], rows, [None, "tight", "tight"]))
        if rows
        else Markup("")
    )


def _history(events: Sequence[Event]) -> Markup:
    """Each move."""
    rows = [
        [
            utc(event.at),
            tag("b", event.kind),
            " · ".join(f"{key} {_short(value)}" for key, value in event.detail.items()),
        ]
        for event in events
    ]
    return (
        join(tag("h3", "History"), table(["at", "event", "detail"], rows, ["tight", "tight", None]))
        if rows
        else Markup("")
    )


def _short(value: object) -> str:
    """A detail, cut where it is a log."""
    said = number(value)
    return said if len(said) <= _LONGEST else f"{said[:_LONGEST]}…"


def _facts(facts: Sequence[tuple[str, object]]) -> Markup:
    """Names and values; those without a value are left out."""
    return tag("dl", *(join(tag("dt", name), tag("dd", value)) for name, value in facts if value not in (None, "")))
