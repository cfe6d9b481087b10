"""What is kept, and what goes: snapshots, histories, versions on the Hub. Pure; every answer says why."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from adapterd.core.index import verdicts
from adapterd.core.rules import BETTER, OWN
from adapterd.core.version import LIVE, AdapterVersion, Stage
from adapterd.core.words import span

PASSING = ("gate_failed", "sighted", "waiting", "worker_died")
"""Kinds of lines in a history that are cut once the version is done; moves and what people said stay."""

STANDING = ("baseline", "stalled", "waiting")
"""States of observations that are never forgotten."""

_OF_REPORT = (
    "base_fingerprint",
    "device",
    "dtype",
    "level",
    "policy",
    "policy_terms",
    "verdict",
    "versions",
    "waivers",
)
_NUMBERS = frozenset({"effect", "loss_base", *BETTER})
"""Measurements that later versions, and channels, compare with; beside those of an operator's own gates."""

CUT = "cut"
"""Marks a report that was cut."""


@dataclass(frozen=True, slots=True)
class Lying:
    """A snapshot as it lies in the spool.

    Attributes:
        identity: of its sidecar; empty where it has none.
        size: of its files, in bytes.
        at: when it was put there, seconds since the epoch.
    """

    adapter: str
    tree: str
    identity: str
    size: int
    at: float


@dataclass(frozen=True, slots=True)
class Rules:
    """How much is kept, and how long in seconds."""

    snapshots: int
    snapshots_for: float
    rejected_for: float


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of a snapshot, and why."""

    lying: Lying
    stays: bool
    why: str
    version: AdapterVersion | None = None


def fates(
    lying: Iterable[Lying],
    versions: Collection[AdapterVersion],
    holding: Collection[tuple[str, int]],
    erased: Mapping[str, Collection[str]],
    rules: Rules,
    now: float,
) -> tuple[Fate, ...]:
    """Decide about every snapshot.

    Args:
        lying: what the spool holds.
        versions: every version that the registry knows.
        holding: adapter and number of what channels hold.
        erased: the identities that were erased, by adapter.
        rules: how much is kept.
        now: seconds since the epoch.
    """
    by_tree = {(v.adapter, v.tree): v for v in versions}
    by_identity = {(v.adapter, v.identity): v for v in versions}
    newest = _newest(versions, rules.snapshots)
    found = []
    for each in lying:
        own = by_tree.get((each.adapter, each.tree))
        version = own or by_identity.get((each.adapter, each.identity))
        identity = version.identity if version else each.identity
        if identity in erased.get(each.adapter, ()) or (version is not None and is_erased(version)):
            stays, why = False, "it was erased"
        elif version is None:
            stays, why = _without_row(each, rules, now)
        elif version.stage in LIVE:
            stays, why = True, "it is stalled" if version.stalled else f"it is {version.stage}"
        elif own is None:
            stays, why = False, f"another copy of {version.label}, which is {version.stage}"
        else:
            stays, why = _done(version, rules, now, newest=version.id in newest, held=_held(version, holding, rules))
        found.append(Fate(each, stays, why, version))
    return tuple(found)


def is_erased(version: AdapterVersion) -> bool:
    """Whether a version that is not published was erased."""
    return version.stage is Stage.REJECTED and version.reason == "erased"


def _newest(versions: Iterable[AdapterVersion], count: int) -> frozenset[int]:
    """The rows of the newest published versions of each adapter."""
    published: dict[str, list[AdapterVersion]] = {}
    for version in versions:
        if version.stage is Stage.PUBLISHED:
            published.setdefault(version.adapter, []).append(version)
    return frozenset(
        v.id for series in published.values() for v in sorted(series, key=lambda v: v.number or 0, reverse=True)[:count]
    )


def _held(version: AdapterVersion, holding: Collection[tuple[str, int]], rules: Rules) -> bool:
    """Whether a channel holds it, which is what would be validated anew; who keeps no snapshots keeps none of these."""
    return rules.snapshots > 0 and (version.adapter, version.number) in holding


def _done(version: AdapterVersion, rules: Rules, now: float, *, newest: bool, held: bool) -> tuple[bool, str]:
    if version.stage is Stage.PUBLISHED and newest:
        return True, f"it is among the newest {rules.snapshots} that are published"
    if version.stage is Stage.PUBLISHED and held:
        return True, "a channel holds it"
    longest = rules.rejected_for if version.stage is Stage.REJECTED else rules.snapshots_for
    left = version.updated_at + longest - now
    return (True, f"{version.stage}; {span(left)} left") if left > 0 else (False, f"it is {version.stage}")


def _without_row(each: Lying, rules: Rules, now: float) -> tuple[bool, str]:
    if each.identity:
        return True, "the registry does not know it yet; the next start takes it up"
    left = each.at + max(rules.snapshots_for, 3600.0) - now  # it may be under way to its row
    return (True, "nothing refers to it yet") if left > 0 else (False, "nothing refers to it")


def cut(report: Mapping[str, Any]) -> dict[str, Any]:
    """A report cut to its verdicts: codes, policy, engines, and what later versions are compared with.

    A cut one stays.
    """
    if report.get(CUT):
        return dict(report)
    measured = report.get("measurements")
    known = measured if isinstance(measured, Mapping) else {}
    numbers = {name: value for name, value in known.items() if name in _NUMBERS or str(name).startswith(OWN)}
    return {
        **{name: report[name] for name in _OF_REPORT if name in report},
        "reasons": _codes(report.get("reasons")),
        "warnings": _codes(report.get("warnings")),
        "measurements": numbers,
        "engines": verdicts(report.get("engines")),
        CUT: True,
    }


def _codes(found: object) -> list[dict[str, str]]:
    listed = found if isinstance(found, Sequence) else ()
    return [{"code": str(each["code"]), "message": "", "hint": ""} for each in listed if isinstance(each, Mapping)]


@dataclass(frozen=True, slots=True)
class HubRules:
    """Which versions stay on the Hub: the newest `keep` (None: all), those younger than `keep_for` seconds, finals."""

    keep: int | None
    keep_for: float
    keep_finals: bool


@dataclass(frozen=True, slots=True)
class Series:
    """One adapter's published versions, and what is known of them; versions are named by number.

    Attributes:
        held: what a channel holds or ever held.
        yanked: withdrawn ones, which do not count among the newest.
        erased: what is gone already.
    """

    versions: Sequence[AdapterVersion]
    held: Collection[int] = ()
    yanked: Collection[int] = ()
    erased: Collection[int] = ()


@dataclass(frozen=True, slots=True)
class Kept:
    """Whether a version stays on the Hub, and why."""

    version: AdapterVersion
    stays: bool
    why: str


def on_hub(series: Series, rules: HubRules, now: float) -> tuple[Kept, ...]:
    """Decide about every published version that is still there: what goes first, yanked ones before others."""
    there = [v for v in series.versions if v.stage is Stage.PUBLISHED and v.number not in series.erased]
    order = sorted(there, key=lambda v: v.number or 0, reverse=True)
    counted = [v.id for v in order if v.number not in series.yanked]
    newest = frozenset(counted if rules.keep is None else counted[: rules.keep])
    found = [_on_hub(v, series, rules, now, newest=v.id in newest) for v in order]
    return tuple(sorted(found, key=lambda k: (k.stays, k.version.number not in series.yanked, k.version.number or 0)))


def _on_hub(version: AdapterVersion, series: Series, rules: HubRules, now: float, *, newest: bool) -> Kept:
    stands: list[tuple[bool, str]] = [
        (rules.keep is None, "retention.hub.keep is not set"),
        (version.number in series.held, "a channel holds it, or held it"),
        (newest, f"it is among the newest {rules.keep}"),
        (rules.keep_finals and version.final, "it is a final save"),
        (now < version.updated_at + rules.keep_for, f"it is younger than {span(rules.keep_for)}"),
    ]
    why = next((why for holds, why in stands if holds), "")
    gone = "it was yanked" if version.number in series.yanked else f"newer ones are there, {rules.keep} of them stay"
    return Kept(version, bool(why), why or gone)


class Seen(Protocol):
    """What is looked at of an observation."""

    @property
    def root(self) -> str:
        """The configured root."""

    @property
    def path(self) -> str:
        """Relative to it."""

    @property
    def state(self) -> str:
        """What became of it."""

    @property
    def changed_at(self) -> float:
        """When it changed last, seconds since the epoch."""


def forgettable(observations: Iterable[Seen], before: float, gone: Callable[[str, str], bool]) -> dict[str, list[str]]:
    """Paths by root whose observations may go: unchanged since, and not there any more.

    A baseline stays whatever became of its directory: if that came back, it would be published as new.
    """
    found: dict[str, list[str]] = {}
    for seen in observations:
        done = seen.changed_at < before and seen.state not in STANDING
        if done and gone(seen.root, seen.path):
            found.setdefault(seen.root, []).append(seen.path)
    return found
