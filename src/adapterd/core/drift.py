"""What Hub, registry, spool and index say x each other -> where they differ. Pure: readings in, findings out."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from adapterd.core import publication as pub
from adapterd.core.index import Part
from adapterd.core.reasons import BY_CODE
from adapterd.core.standing import erased_numbers, erasures
from adapterd.core.version import AdapterVersion, Stage

File = tuple[int, str, str | None]
"""Size, git blob id, and the sha256 where a file is stored as LFS."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference: the code of its reason, what it is about, and what was seen."""

    code: str
    subject: str
    message: str

    @property
    def hint(self) -> str:
        """What to do."""
        return BY_CODE[self.code].hint


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the registry has of one adapter; `seen` are other publishers' versions by identity."""

    adapter: str
    versions: Sequence[AdapterVersion]
    seen: Mapping[str, Any] = field(default_factory=dict)
    standing: Mapping[str, Any] = field(default_factory=dict)
    private: bool | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """One reading of its repo.

    Attributes:
        tags: number to commit.
        standing: the parsed document; None where it cannot be believed, with `standing_fault`.
        drifted: channel to what is wrong with it.
        committed: version commits whose tags are not there, as number and commit; read where all is compared.
    """

    tags: Mapping[int, str]
    private: bool
    standing: Mapping[str, Any] | None = field(default_factory=dict)
    standing_fault: str = ""
    drifted: Mapping[str, str] = field(default_factory=dict)
    committed: Sequence[tuple[int, str]] = ()


def published(recorded: Recorded) -> list[AdapterVersion]:
    """The versions that the Hub must show."""
    return sorted(
        (v for v in recorded.versions if v.stage is Stage.PUBLISHED and v.number), key=lambda v: v.number or 0
    )


def vanished(recorded: Recorded) -> tuple[Finding, ...]:
    """The repo is not there."""
    count = len(published(recorded))
    if not count:
        return ()
    return (Finding("repo_vanished", recorded.adapter, f"the repo held {count} published versions and is gone"),)


def of_repo(recorded: Recorded, shown: Shown, wanted_private: bool) -> tuple[Finding, ...]:  # noqa: FBT001 - a setting
    """Where a repo is not what the registry knows of it. What was erased is rightly gone."""
    standing = recorded.standing if shown.standing is None else shown.standing
    erased = erasures(standing) | erasures(recorded.standing)
    found = [*_tags(recorded, shown, erased), *_unknown(recorded, shown)]
    for channel, fault in sorted(shown.drifted.items()):
        found.append(Finding("channel_drift", f"{recorded.adapter}@{channel}", fault))
    if shown.private not in (wanted_private, recorded.private):
        is_ = "private" if shown.private else "public"
        found.append(Finding("visibility_differs", recorded.adapter, f"the repo is {is_}"))
    if shown.standing is None:
        found.append(Finding("standing_differs", recorded.adapter, shown.standing_fault))
    elif shown.standing != recorded.standing:
        keys = sorted(k for k in {*standing, *recorded.standing} if standing.get(k) != recorded.standing.get(k))
        said = f"{pub.STANDING_FILE} has other {', '.join(keys)} than the registry last saw"
        found.append(Finding("standing_differs", recorded.adapter, said))
    return tuple(found)


def _tags(recorded: Recorded, shown: Shown, erased: Collection[str]) -> Iterable[Finding]:
    for version in published(recorded):
        there = shown.tags.get(version.number or 0)
        if version.identity in erased:
            if there is not None:
                said = f"its tag {version.tag} is still on {there[:12]}"
                yield Finding("erasure_unfinished", version.label, said)
        elif there is None:
            yield Finding("tag_missing", version.label, f"tag {version.tag} is gone; it was on {version.commit}")
        elif there != version.commit:
            said = f"tag {version.tag} names {there}, and {version.commit} was published"
            yield Finding("tag_moved", version.label, said)


def _unknown(recorded: Recorded, shown: Shown) -> Iterable[Finding]:
    """Versions on the Hub that nothing here knows. A number that was reserved is on its way."""
    ours = {v.number for v in recorded.versions if v.number}
    theirs = {int(number): str(commit) for number, commit in recorded.seen.values()}
    gone = erased_numbers(shown.standing or {})
    for number, commit in sorted(shown.tags.items()):
        if number in ours:
            continue
        subject = f"{recorded.adapter}@v{number}"
        if theirs.get(number) == commit:
            continue
        if number in gone:
            yield Finding("erasure_unfinished", subject, f"its tag is still on {commit[:12]}")
        elif number in theirs:
            said = f"tag v{number} names {commit}, and another publisher had put it on {theirs[number]}"
            yield Finding("tag_moved", subject, said)
        else:
            yield Finding(
                "version_unknown", subject, f"tag v{number} names {commit}, of which the registry has nothing"
            )
    for number, commit in shown.committed:
        if number not in ours | gone:
            said = f"commit {commit[:12]} says v{number}, and neither a tag nor the registry knows it"
            yield Finding("version_unknown", f"{recorded.adapter}@v{number}", said)


def manifest_fault(data: bytes, version: AdapterVersion, there: Mapping[str, File]) -> str:
    """How a published manifest is not about a version, or not about the bytes beside it; empty where it is both."""
    try:
        document = json.loads(data)
        said = (document["adapter"], document["number"], document["identity"]["digest"])
        files = {str(path): (int(file["size"]), str(file["sha256"])) for path, file in document["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return f"{pub.MANIFEST} is no manifest"
    if said != (version.adapter, version.number, version.identity):
        return f"{pub.MANIFEST} is about {said[0]}@v{said[1]}, identity {str(said[2])[:12]}"
    payload = {path: file for path, file in there.items() if path not in pub.OWN_FILES}
    if odd := sorted(payload.keys() ^ files.keys()):
        return f"{odd[0]} is {'not listed' if odd[0] in payload else 'missing'}"
    for path, (size, digest) in sorted(files.items()):
        is_size, _, sha256 = payload[path]
        if is_size != size or sha256 not in (None, digest):
            return f"{path} has other bytes than {pub.MANIFEST} lists"
    return ""


def of_index(wanted: Sequence[Part], generation: int, data: bytes | None, name: str) -> tuple[Finding, ...]:
    """Where the index document on this host is not what the registry says.

    One of an earlier generation is not compared: the export that follows writes it anew.
    """
    if data is None:
        return (Finding("index_differs", name, "it is missing"),) if wanted else ()
    try:
        document = json.loads(data)
        written, adapters = int(document["generation"]), dict(document["adapters"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return (Finding("index_differs", name, "it is no index"),)
    if written < generation:
        return ()
    should = {part.adapter: part.summary() for part in wanted}
    names = sorted(n for n in {*adapters, *should} if adapters.get(n) != should.get(n))
    return (Finding("index_differs", name, f"it says something else of {names[0]}"),) if names else ()


def counted(findings: Iterable[Finding]) -> dict[str, int]:
    """How many there are of each code."""
    counts: dict[str, int] = {}
    for finding in findings:
        counts[finding.code] = counts.get(finding.code, 0) + 1
    return counts
