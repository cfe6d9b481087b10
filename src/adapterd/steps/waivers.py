"""Appeal: a person's word that one reason shall not count for one version, in its history and in its reports."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from adapterd.core.reasons import BY_CODE, Severity
from adapterd.core.verdict import Verdict
from adapterd.core.version import AdapterVersion
from adapterd.ports import Event, RegistryReader

WAIVED = "waived"
"""Kind of the event in a version's history."""


@dataclass(frozen=True, slots=True)
class Waiver:
    """Which code, who said so, why, and when (seconds since the epoch). The actor never leaves this host."""

    code: str
    actor: str
    reason: str
    at: float


def given(events: Iterable[Event]) -> dict[str, Waiver]:
    """The waivers in a version's history by code; the latest word counts."""
    return {
        str(event.detail["code"]): Waiver(
            str(event.detail["code"]), str(event.detail.get("actor", "")), str(event.detail.get("reason", "")), event.at
        )
        for event in events
        if event.kind == WAIVED and event.detail.get("code")
    }


def needed(given: Mapping[str, Waiver], verdict: Verdict) -> list[dict[str, Any]]:
    """Those without which the verdict would be another, for the report."""
    found = {w.code for w in verdict.warnings if BY_CODE[w.code].severity is not Severity.WARN}
    return [asdict(waiver) for code, waiver in given.items() if code in found]


def codes_of(registry: RegistryReader, version: AdapterVersion) -> Sequence[str]:
    """The codes that were waived for a published version: by its passing report, else by its history alone."""
    waivers = given(registry.events(version.id))
    reports = [v.report for v in registry.validations(version.id) if v.verdict == "passed"]
    if reports:
        return sorted(str(w["code"]) for w in reports[-1].get("waivers") or ())
    return sorted(waivers)
