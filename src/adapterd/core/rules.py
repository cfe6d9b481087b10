"""What a channel asks of a version before it takes it by itself: a metric that is not worse, time in another channel.

Pure. Decisions follow from what is known now and are made anew each time: nothing is attempted, counted or given up.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol

from adapterd.core.channels import Rule
from adapterd.core.expected import number
from adapterd.core.reasons import reason
from adapterd.core.standing import held
from adapterd.core.version import AdapterVersion, Reason
from adapterd.core.words import span, utc

ENTERED, LEFT = "channel_entered", "channel_left"
"""Lines of a version's history: a channel holds it from now on; it holds another one."""

FAILED, PASSED = "revalidation_failed", "revalidation_passed"
"""Lines of a published version's history: it was validated again."""

LOOKED_AT = 20
"""Of the versions that a rule could take, the newest so many are looked at."""

LOWER, HIGHER = "lower", "higher"

BETTER: Mapping[str, str] = MappingProxyType(
    {
        "loss_adapter": LOWER,
        "latency_ms": LOWER,
        "kl": LOWER,
        "bytes": LOWER,
        "parameters": LOWER,
        "peak_rss": LOWER,
        "peak_device_bytes": LOWER,
    }
)
"""Measurements of which everybody means the same direction; for others a channel says which is better."""

OWN = "gate."
"""Before the names of the numbers that an operator's own gates gave."""

_SAME = ("base", "revision", "texts", "tokens", "variant", "trained_on")
"""Terms of a policy that a number measured on the probes depends on."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What one channel asks for.

    Attributes:
        rule: which versions it takes at all.
        metric: a measurement that may not be worse than that of the version it holds; empty for none.
        better: ``lower`` or ``higher``.
        tolerance: how much worse still counts as not worse, in the metric's own unit.
        soak_in: a channel that must have held the version before, for `soak_for` seconds; empty for none.
    """

    rule: Rule
    metric: str = ""
    better: str = LOWER
    tolerance: float = 0.0
    soak_in: str = ""
    soak_for: float = 0.0


class Row(Protocol):
    """What is looked at of a validation."""

    @property
    def verdict(self) -> str:
        """``passed`` or ``rejected``."""

    @property
    def report(self) -> Mapping[str, Any]:
        """The report."""


class Line(Protocol):
    """What is looked at of a line of a version's history."""

    @property
    def at(self) -> float:
        """Seconds since the epoch."""

    @property
    def kind(self) -> str:
        """Which kind of line."""

    @property
    def detail(self) -> Mapping[str, Any]:
        """The rest of it."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one version beside its row: its reports and its history, oldest first."""

    reports: Sequence[Row] = ()
    history: Sequence[Line] = ()


NOTHING = Known()


@dataclass(frozen=True, slots=True)
class Back:
    """A version that a channel does not take, and why; `until` when that ends by itself, where that is known."""

    version: AdapterVersion
    reason: Reason
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Wish:
    """The version that a channel takes now, None where it stays as it is; and newer ones that it does not take."""

    version: AdapterVersion | None
    back: tuple[Back, ...] = ()


@dataclass(frozen=True, slots=True)
class Present:
    """What a channel is now: its name, the number it holds, what is known of that version, and the repo's standing."""

    channel: str
    number: int | None = None
    known: Known = NOTHING
    standing: Mapping[str, Any] = field(default_factory=dict)


def wish(
    terms: Terms, present: Present, suited: Sequence[AdapterVersion], known: Mapping[int, Known], now: float
) -> Wish:
    """Decide what a channel takes of what suits its rule.

    Args:
        terms: what it asks for.
        present: what it is.
        suited: newest first (`core.channels.suited`); the newest `LOOKED_AT` are looked at.
        known: of each of these, by its row.
        now: seconds since the epoch.
    """
    back: list[Back] = []
    for version in suited[:LOOKED_AT]:
        against = _against(terms, present, version, known.get(version.id, NOTHING), now)
        if against is None and present.channel in held(present.standing):
            text = f"{version.tag} would go to {present.channel}, which is held"
            against = Back(version, reason("channel_held", text))
        if against is None:
            return Wish(version, tuple(back))
        back.append(against)
        if against.reason.code == "channel_held":
            break
    return Wish(None, tuple(back))


def failing(reports: Sequence[Row]) -> Reason | None:
    """Why a version's last report says no; None where it passed, or where there is none."""
    if not reports or reports[-1].verdict == "passed":
        return None
    codes = [str(each.get("code")) for each in reports[-1].report.get("reasons") or () if isinstance(each, Mapping)]
    said = ", ".join(dict.fromkeys(codes)) or reports[-1].verdict
    return reason("revalidation_failed", f"it was validated again and did not pass: {said}")


def _against(terms: Terms, present: Present, version: AdapterVersion, known: Known, now: float) -> Back | None:
    """What speaks against a version now."""
    if failed := failing(known.reports):
        return Back(version, failed)
    if terms.soak_in and (soaking := _soaking(terms, version, known.history, now)):
        return soaking
    if terms.metric and present.number is not None and (worse := _worse(terms, present, known)):
        return Back(version, reason("channel_gated", f"{version.tag}: {worse}"))
    return None


def _worse(terms: Terms, present: Present, known: Known) -> str:
    """How a version is worse than the one that the channel holds, or cannot be compared; empty where it is not."""
    metric, there = terms.metric, f"v{present.number}, which {present.channel} holds,"
    mine, row = _measured(known.reports, metric)
    if mine is None or row is None:
        return f"no {metric} was measured"
    theirs, _ = _measured(present.known.reports, metric)
    if theirs is None:
        return f"it has {metric} {mine:.6g}; of {there} none was measured here"
    theirs, _ = _measured(present.known.reports, metric, like=row)
    if theirs is None:
        return f"it has {metric} {mine:.6g}; that of {there} was measured in another base or on other probes"
    if (mine <= theirs + terms.tolerance) if terms.better == LOWER else (mine >= theirs - terms.tolerance):
        return ""
    allowed = f", tolerance {terms.tolerance:g}" if terms.tolerance else ""
    return f"{metric} is {mine:.6g}, that of {there} {theirs:.6g}; {terms.better} is better{allowed}"


def _measured(reports: Sequence[Row], metric: str, like: Row | None = None) -> tuple[float | None, Row | None]:
    """A number of the newest passing report that has it, and the report; of those measured like another one alone."""
    for row in reversed(reports):
        value = number(row.report.get("measurements") or {}, metric)
        alike = like is None or metric.startswith(OWN) or _terms(row) == _terms(like)
        if row.verdict == "passed" and value is not None and alike:
            return value, row
    return None, None


def _terms(row: Row) -> tuple[Any, ...]:
    terms = row.report.get("policy_terms")
    return tuple(terms.get(name) for name in _SAME) if isinstance(terms, Mapping) else ()


@dataclass(frozen=True, slots=True)
class _Stay:
    """How long a channel held a version: since when, until when (None: it does), and which number came then."""

    since: float
    until: float | None = None
    to: int | None = None


def _soaking(terms: Terms, version: AdapterVersion, history: Iterable[Line], now: float) -> Back | None:
    """Why a version was not held in another channel for long enough; None where it was."""
    where, least = terms.soak_in, terms.soak_for
    stays = _stays(history, where)
    last = stays[-1] if stays else None
    if last is None:
        text = f"{version.tag} must first be held in {where} for {span(least)}, and was never there"
        return Back(version, reason("channel_soaking", text))
    if last.to is not None and last.to < (version.number or 0):
        text = f"{where} was taken back from {version.tag} to v{last.to}"
        return Back(version, reason("channel_soaking", text))
    if any((now if stay.until is None else stay.until) - stay.since >= least for stay in stays):
        return None
    if last.until is None:
        until = last.since + least
        text = f"{version.tag} is in {where} since {utc(last.since)}, and must be there for {span(least)}"
        return Back(version, reason("channel_soaking", text), until)
    text = f"{version.tag} was in {where} for {span(last.until - last.since)} only; {span(least)} are asked for"
    return Back(version, reason("channel_soaking", text))


def _stays(history: Iterable[Line], channel: str) -> list[_Stay]:
    stays: list[_Stay] = []
    for line in history:
        if line.detail.get("channel") != channel:
            continue
        if line.kind == ENTERED:
            stays.append(_Stay(line.at))
        elif line.kind == LEFT and stays and stays[-1].until is None:
            to = line.detail.get("to")
            stays[-1] = _Stay(stays[-1].since, line.at, to if isinstance(to, int) else None)
    return stays
