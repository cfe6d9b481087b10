"""What a person may do to the line: retry, waive, adopt.

The daemon runs it for the control socket; without a daemon the command line runs it under the writer's lock.
"""

import json
import re
from dataclasses import replace
from pathlib import Path

from adapterd.core import naming
from adapterd.core import publication as pub
from adapterd.core.errors import AdapterdError
from adapterd.core.index import render
from adapterd.core.reasons import BY_CODE, WAIVABLE
from adapterd.core.version import LIVE, AdapterVersion, Stage
from adapterd.log import get_logger, redact
from adapterd.ports import AddBytes, Hub, NotFound, RepoRecord
from adapterd.steps import repo as repos
from adapterd.steps.host import Host
from adapterd.steps.waivers import WAIVED

log = get_logger(__name__)


LONGEST_WAIVER = 500
"""Letters of a waiver's reason; it is published."""

_USAGE, _DENIED = 2, 6


class UnknownVersionError(AdapterdError):
    """Nothing in the registry answers to the name."""

    exit = 5


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


def retry(host: Host, reference: str, actor: str, why: str) -> list[str]:
    """Set stalled or rejected versions and stalled channels going again, under today's policy; their names.

    What waits only for a Hub that was away goes at once, too.
    """
    host.pace.look_again()
    versions = find(host, reference)
    now = host.clock()
    moved = []
    for version in versions:
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
    return moved


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
    refs = hub.refs(adapter)
    record = host.registry.repo(adapter) or RepoRecord(adapter)
    record = repos.standing(hub, record, refs)
    theirs = _publisher_at(hub, adapter, refs.branches.get(pub.BRANCH, ""))
    ids = {host.publisher, *([theirs] if theirs else [])}
    commit = ""
    alone = theirs == host.publisher and not pub.publishers(record.standing)
    if not alone and not ids <= pub.publishers(record.standing):
        document = pub.with_publisher(record.standing, ids, actor, why, host.clock())
        head = refs.branches.get(pub.STANDING_BRANCH, "")
        if not head:
            if not (head := refs.branches.get("main", "")):
                raise NotFound(f"{adapter} has no branch main to start from", "make the branch on the Hub")
            hub.create_branch(adapter, pub.STANDING_BRANCH, head)
        message = f"Publisher {host.publisher} adopted this repo\n\nBy {actor}. {why}".strip()
        commit = hub.commit(
            adapter, pub.STANDING_BRANCH, head, [AddBytes(pub.STANDING_FILE, render(document))], message
        )
        record = replace(record, standing=document, standing_head=commit)
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
