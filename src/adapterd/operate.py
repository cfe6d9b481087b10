"""What a person may do to the line: retry, waive, adopt.

The daemon runs it for the control socket; without a daemon the command line runs it under the writer's lock.
"""

import json
import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

from adapterd.core import naming
from adapterd.core import publication as pub
from adapterd.core.erasing import Target
from adapterd.core.errors import AdapterdError
from adapterd.core.reasons import BY_CODE, WAIVABLE
from adapterd.core.retention import is_erased
from adapterd.core.standing import Document, Said, erasures, publishers, tombstones, with_publishers
from adapterd.core.version import LIVE, AdapterVersion, Stage
from adapterd.log import get_logger, redact
from adapterd.ports import Hub, NotFound, RepoRecord
from adapterd.steps import repo as repos
from adapterd.steps import standing
from adapterd.steps.erase import target_of
from adapterd.steps.host import Host
from adapterd.steps.waivers import WAIVED

log = get_logger(__name__)


LONGEST_WAIVER = 500
"""Letters of a waiver's reason; it is published."""

_USAGE, _DENIED = 2, 6


class UnknownVersionError(AdapterdError):
    """Nothing in the registry answers to the name."""

    exit = 5


class ErasedError(AdapterdError):
    """What was asked for was erased, and stays so."""

    exit = 6


class SnapshotGoneError(AdapterdError):
    """There are no bytes to go on with; the directory has to be taken in again."""

    exit = 4


def find(host: Host, reference: str) -> list[AdapterVersion]:
    """The versions that a reference, a directory's path, or ``--all`` means to `retry`.

    An adapter without ``@`` means all of its versions that wait for a person, or for a Hub that was away. Raises
    UnknownVersionError.
    """
    if reference == "--all":
        return [v for v in host.registry.versions() if _stands(v)]
    if reference.startswith("/"):
        for root in host.config.roots:
            path = Path(reference)
            if path.is_relative_to(root.path):
                seen = host.registry.observation(str(root.path), str(path.relative_to(root.path)))
                found = host.registry.version(seen.version) if seen and seen.version else None
                return [found] if found else []
        raise UnknownVersionError(f"{reference} lies in no configured root", "`adapterd status` lists the roots")
    try:
        parsed = naming.parse_reference(reference)
    except ValueError as error:
        raise UnknownVersionError(str(error), "namespace/name, namespace/name@v3 or namespace/name@id:HEX") from error
    if parsed.number or parsed.identity:
        one = host.registry.find(parsed.adapter, number=parsed.number, identity=parsed.identity)
        matching = [one] if one else []
    else:
        known = host.registry.versions(parsed.adapter)
        matching = [v for v in known if _stands(v)]
        if not known and not host.registry.channels(parsed.adapter):
            raise UnknownVersionError(f"the registry knows no {reference}", "`adapterd list` shows what it knows")
        return matching
    if not matching:
        raise UnknownVersionError(f"the registry knows no {reference}", "`adapterd list` shows what it knows")
    return matching


def _stands(version: AdapterVersion) -> bool:
    """Whether a person may mean it: it waits for one, was rejected, or waits for a Hub that was away."""
    away = version.stage in LIVE and version.reason in ("hub_paused", "hub_unreachable")
    return version.stalled or version.stage is Stage.REJECTED or away


def to_validate_again(host: Host, reference: str) -> list[AdapterVersion]:
    """The published versions that a reference means: one, or without ``@`` all that channels of the adapter hold.

    Raises UnknownVersionError.
    """
    try:
        parsed = naming.parse_reference(reference)
    except ValueError as error:
        raise UnknownVersionError(str(error), "namespace/name, or namespace/name@v3") from error
    held = {c.channel: c.number for c in host.registry.channels(parsed.adapter)}
    numbers = {parsed.number} if parsed.number else set(held.values())
    if "@" in reference and parsed.channel is not None:
        numbers = {held.get(parsed.channel)}
    found = [host.registry.find(parsed.adapter, number=number) for number in sorted(filter(None, numbers))]
    versions = [version for version in found if version is not None and version.stage is Stage.PUBLISHED]
    if not versions:
        text = f"the registry knows no published version of {reference}"
        raise UnknownVersionError(text, f"`adapterd list {parsed.adapter}` shows its versions")
    return versions


def retry(host: Host, reference: str, actor: str, why: str) -> list[str]:
    """Set stalled or rejected versions and stalled channels going again, under today's policy; their names.

    What waits only for a Hub that was away goes at once, too.
    """
    host.pace.look_again()
    versions = find(host, reference)
    now = host.clock()
    moved = []
    hopeless: list[AdapterdError] = []
    for version in versions:
        with host.spool.deciding:
            if problem := _hopeless(host, version):
                hopeless.append(problem)
                continue
            if why:
                host.registry.note(version.id, "retry_asked", {"actor": actor, "reason": why}, now)
            moved.append(host.registry.retry(version.id, now, actor).label)
    adapter = reference.partition("@")[0]
    for channel in host.registry.channels():
        if channel.stalled and (reference == "--all" or channel.adapter == adapter):
            fresh = replace(channel, stalled=False, attempts=0, due_at=0.0, reason="", message="", hint="")
            host.registry.save_channel(fresh)
            moved.append(f"{channel.adapter}@{channel.channel}")
    if reference == "--all" or reference.startswith("/"):
        moved += _look_again(host, reference)
    if hopeless and not moved and reference != "--all":
        raise hopeless[0]
    return moved


def _hopeless(host: Host, version: AdapterVersion) -> AdapterdError | None:
    """Why a version that left the line cannot go again; None where it can."""
    repo = host.registry.repo(version.adapter)
    if is_erased(version) or (repo is not None and version.identity in erasures(repo.standing)):
        return ErasedError(f"{version.label} was erased", "nothing: what was erased is never published again")
    if version.stage not in (Stage.REJECTED, Stage.SUPERSEDED) or host.spool.holds(version.adapter, version.tree):
        return None
    places = [str(Path(s.root) / s.path) for s in host.registry.sightings(version.id)]
    here = next((place for place in places if Path(place).is_dir()), places[-1] if places else "DIR")
    return SnapshotGoneError(f"the snapshot of {version.label} was tidied away", f"adapterd sync {shlex.quote(here)}")


class WaiverError(AdapterdError):
    """A reason cannot be set aside: `exit` is the exit code that says why not."""

    def __init__(self, message: str, hint: str, code: int) -> None:
        """Keep the exit code."""
        super().__init__(message, hint)
        self.exit = code


def waive(host: Host, code: str, reference: str, actor: str, why: str) -> str:
    """Set one reason aside for one version that is not published, and set it going again; its name.

    Raises:
        WaiverError: the code is unknown or is never waived, the version was not refused for it, or no reason is given.
        UnknownVersionError: there is no such version.
    """
    words = " ".join(redact(why).split())
    if not words or len(words) > LONGEST_WAIVER:
        text = "a waiver has a reason" if not words else f"a waiver's reason has {LONGEST_WAIVER} letters at most"
        raise WaiverError(text, f'adapterd waive {code} {reference} --reason "..."', _USAGE)
    if code not in BY_CODE:
        raise WaiverError(f"there is no reason {code}", f"those that may be waived: {_waivable()}", _USAGE)
    if code not in WAIVABLE:
        raise WaiverError(f"{code} is never waived", f"those that may be waived: {_waivable()}", _DENIED)
    version = _one(host, reference)
    if otherwise := _not_refused_for(host, version, code):
        message = f"{version.label} was not refused for {code}: {otherwise}"
        raise WaiverError(message, f"adapterd show {version.label}", UnknownVersionError.exit)
    if problem := _hopeless(host, version):
        raise problem
    host.registry.note(version.id, WAIVED, {"code": code, "actor": actor, "reason": words}, host.clock())
    log.warning("reason_waived", adapter=version.adapter, version=version.label, reason=code, message=words)
    return host.registry.retry(version.id, host.clock(), actor).label


def _not_refused_for(host: Host, version: AdapterVersion, code: str) -> str:
    """How a version stands instead; empty where its last report names the code."""
    if version.stage is Stage.PUBLISHED:
        return "it is published"
    reports = host.registry.validations(version.id)
    if not reports:
        return "there is no report on it"
    codes = list(dict.fromkeys(str(r["code"]) for r in reports[-1].report["reasons"]))
    return "" if code in codes else f"its last report names {', '.join(codes) or 'no reason'}"


def _waivable() -> str:
    return ", ".join(sorted(WAIVABLE))


def _one(host: Host, reference: str) -> AdapterVersion:
    """The one version that a reference names: never whichever is refused just now."""
    if not reference.startswith("/") and not re.search(r"@(id:|v[0-9])", reference):
        hint = "ADAPTER@id:HEX, as `adapterd list ADAPTER` shows it, or its directory"
        raise WaiverError(f"{reference or 'nothing'} names no single version", hint, _USAGE)
    found = find(host, reference)
    if len(found) != 1:
        raise UnknownVersionError(
            f"the registry knows no version of {reference}", "`adapterd list` shows what it knows"
        )
    return found[0]


def _look_again(host: Host, reference: str) -> list[str]:
    """Forget what is known of stalled or refused directories, so that the next scan takes them up anew."""
    again = [
        seen
        for seen in host.registry.observations()
        if seen.state in ("stalled", "refused") and reference in ("--all", str(Path(seen.root) / seen.path))
    ]
    host.registry.observe(
        [replace(seen, state="waiting", reason="", message="", hint="", fingerprint="") for seen in again]
    )
    return [str(Path(seen.root) / seen.path) for seen in again]


def adopt(host: Host, adapter: str, actor: str, why: str) -> str:
    """Make a repo ours: add this publisher's id to its standing document, and remember it. The commit or ``""``.

    The publishers that its manifests name stay listed beside ours.
    """
    hub = host.hub()
    theirs = _publisher_at(hub, adapter, hub.refs(adapter).branches.get(pub.BRANCH, ""))
    ids = {host.publisher, *([theirs] if theirs else [])}
    said = Said(actor, why, host.clock())

    def listed(document: Document) -> dict[str, Any]:
        alone = theirs == host.publisher and not publishers(document)
        return dict(document) if alone or ids <= publishers(document) else with_publishers(document, ids, said)

    message = f"Publisher {host.publisher} adopted this repo\n\nBy {actor}. {why}".strip()
    record, commit = standing.change(host, adapter, listed, message)
    private = hub.is_private(adapter)
    host.registry.save_repo(replace(record, adopted=True, private=private))
    if host.registry.versions(adapter):
        retry(host, adapter, actor, why)
    return commit


def _publisher_at(hub: Hub, adapter: str, head: str) -> str:
    if not head:
        return ""
    try:
        return str(json.loads(hub.read(adapter, head, pub.MANIFEST)).get("publisher", ""))
    except (NotFound, ValueError, AttributeError):
        return ""


def targets(host: Host, reference: str) -> list[Target]:
    """The version that ADAPTER@vN or ADAPTER@id:HEX names, to be erased; UnknownVersionError.

    One that the registry no longer knows is named by its tombstone, or by the manifest under its tag.
    """
    try:
        parsed = naming.parse_reference(reference)
    except ValueError as error:
        raise UnknownVersionError(str(error), "namespace/name@v3 or namespace/name@id:HEX") from error
    if parsed.number is None and parsed.identity is None:
        raise UnknownVersionError(f"{reference} names no single version", "namespace/name@v3 or namespace/name@id:HEX")
    adapter, number, prefix = parsed.adapter, parsed.number, parsed.identity
    known = host.registry.find(adapter, number=number, identity=prefix)
    if known is not None:
        return [target_of(host, known)]
    hub = host.hub()
    refs = hub.refs(adapter)
    record = repos.standing(hub, host.registry.repo(adapter) or RepoRecord(adapter), refs)
    for stone in tombstones(record.standing):
        if number == stone.number if prefix is None else stone.identity.startswith(prefix):
            return [Target(stone.identity, None, stone.number, stone.commit)]
    commit = refs.tags.get(f"v{number}")
    try:
        manifest = json.loads(hub.read(adapter, commit, pub.MANIFEST)) if commit else {}
        return [Target(str(manifest["identity"]["digest"]), None, number, commit or "")]
    except (NotFound, ValueError, KeyError, TypeError):
        raise UnknownVersionError(f"there is no {reference}", f"adapterd list {adapter}") from None
