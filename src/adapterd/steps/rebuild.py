"""rebuild: an empty registry learns from the Hub and the spool what a lost one knew.

Refs and manifests are enough for numbers, identities and channels, `standing.json` for yanks, holds and erasures, the
commit messages for numbers whose tags are gone, the sidecars in the spool for what the Hub lacks. It only reads the
Hub. Whatever else lies on disk is baseline afterwards: the registry that knew why it was left out is gone.
"""

import json
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from adapterd.core import adapter as ad
from adapterd.core import card, messages, naming, standing
from adapterd.core import publication as pub
from adapterd.core.facts import losses, section
from adapterd.core.trainerstate import is_loss
from adapterd.moving import RepoStalledError
from adapterd.ports import ChannelRecord, Conflict, Draft, Hub, NotFound, Refs, RemoteCommit, RemoteFile, RepoRecord
from adapterd.steps import repo as repos
from adapterd.steps.again import restore_spool
from adapterd.steps.history import MEASURED
from adapterd.steps.host import Host
from adapterd.steps.patience import patient
from adapterd.steps.waivers import WAIVED

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Terms:
    """How a rebuild reads.

    Attributes:
        named: repos that a person or the spool names.
        found: repos that may be ours: those that are not are passed over without a word.
        successor: this publisher is new on the host, and takes over all versions that it finds as its own record.
        pause: waits out a rate limit.
    """

    named: Collection[str]
    found: Collection[str] = ()
    successor: bool = False
    pause: Callable[[float], object] = time.sleep


@dataclass(slots=True)
class _Repo:
    """What was learned of one repo on the way."""

    adapter: str
    restored: int = 0
    highest: int = 0
    seen: dict[str, list[Any]] = field(default_factory=dict)


def rebuild(host: Host, adapters: Collection[str], say: Say) -> tuple[int, int]:
    """As `restore`, with the repos by name."""
    return restore(host, Terms(adapters), say)


def restore(host: Host, terms: Terms, say: Say) -> tuple[int, int]:
    """Fill an empty registry; how many versions were restored, and how many staged again.

    `say` is told a line per repo, and one for each tag that is no version. Errors of the port pass through: what was
    filled until then is to be thrown away.
    """
    hub, restored = patient(host.hub(), terms.pause, say), 0
    for adapter in sorted({*terms.named, *terms.found}):
        try:
            refs = hub.refs(adapter)
        except NotFound:
            if adapter in terms.named:
                say(f"{adapter}: no repo on the Hub")
            continue
        try:
            record = repos.standing(hub, RepoRecord(adapter), refs)
        except RepoStalledError as stalled:
            if adapter in terms.named:
                raise
            say(f"{adapter}: left out: {stalled.message}")
            continue
        if adapter not in terms.named and not _ours(host, hub, record, refs):
            continue
        restored += _repo(host, hub, record, refs, terms, say)
    staged = restore_spool(host)
    for root in host.config.roots:
        host.registry.await_baseline(str(root.path))
    return restored, staged


def _ours(host: Host, hub: Hub, record: RepoRecord, refs: Refs) -> bool:
    """Whether a repo's standing document or its newest version names this publisher."""
    if host.publisher in standing.publishers(record.standing):
        return True
    head = refs.branches.get(pub.BRANCH, "")
    try:
        return bool(head) and json.loads(hub.read(record.adapter, head, pub.MANIFEST))["publisher"] == host.publisher
    except (NotFound, ValueError, KeyError, TypeError):
        return False


def _repo(host: Host, hub: Hub, record: RepoRecord, refs: Refs, terms: Terms, say: Say) -> int:
    """Restore one repo: how many versions."""
    adapter, learned, erased = record.adapter, _Repo(record.adapter), standing.erasures(record.standing)
    numbers = naming.version_numbers(refs.tags)
    for number, commit in sorted(numbers.items()):
        try:
            manifest = json.loads(hub.read(adapter, commit, pub.MANIFEST))
            _version(host, learned, manifest, number, commit, hub.tree(adapter, commit), erased, terms)
        except (NotFound, Conflict, ValueError, KeyError, TypeError, AttributeError):
            # A tag by hand, or somebody's own commit: no reason to leave the versions beside it out.
            say(f"{adapter}: tag v{number} is left alone, it is no version that adapterd published")
    log = hub.log(adapter, pub.BRANCH) if pub.BRANCH in refs.branches else ()
    said = [t for commit in log if (t := messages.trailers(commit.message))]
    _say_untagged(adapter, log, set(numbers.values()), erased, say)
    moved = [_channel(host, hub, adapter, name, head) for name, head in sorted(refs.branches.items()) if _moves(name)]
    shown = [
        *numbers,
        *(t.number for t in said),
        *standing.yanked(record.standing),
        *moved,
        *standing.erased_numbers(record.standing),
    ]
    host.registry.count_from(adapter, max(shown, default=0))
    private = hub.is_private(adapter)
    if private is not host.config.hub.private:
        # Whether a person accepted that once, nothing tells any more.
        say(f"{adapter}: is {'private' if private else 'public'}; publishing waits for `adapterd adopt {adapter}`")
    host.registry.save_repo(
        RepoRecord(
            adapter,
            seen=learned.seen,
            standing=record.standing,
            standing_head=record.standing_head,
            adopted=host.publisher in standing.publishers(record.standing),
        )
    )
    others = f", {len(learned.seen)} of other publishers" if learned.seen else ""
    say(f"{adapter}: {learned.restored} versions{others}")
    return learned.restored


def _say_untagged(
    adapter: str, log: Iterable[RemoteCommit], tagged: Collection[str], erased: Collection[str], say: Say
) -> None:
    """Name the commits that no tag names: the spool's copy finishes them, or nobody."""
    for commit in log:
        said = messages.trailers(commit.message)
        if said is not None and commit.id not in tagged and said.identity not in erased:
            what = f"commit {commit.id[:12]} says v{said.number} and has no tag"
            say(f"{adapter}: {what}; it is finished if the spool still holds its snapshot")


def _moves(branch: str) -> bool:
    """Whether a branch may be a channel."""
    return branch not in (pub.BRANCH, pub.STANDING_BRANCH)


def _channel(host: Host, hub: Hub, adapter: str, channel: str, head: str) -> int:
    """A branch's history is its channel's history: what it holds, and the highest that it ever held."""
    holds, highest = messages.channel_history((c.message for c in hub.log(adapter, head)), channel)
    if highest:
        host.registry.save_channel(ChannelRecord(adapter, channel, holds, head, highest))
    return highest


def _version(
    host: Host,
    learned: _Repo,
    manifest: Mapping[str, Any],
    number: int,
    commit: str,
    there: Mapping[str, RemoteFile],
    erased: Collection[str],
    terms: Terms,
) -> None:
    """Restore what one tag names, if its manifest is about it. Whatever is wrong with that raises."""
    files = {path: (str(f["sha256"]), int(f["size"])) for path, f in manifest.get("files", {}).items()}
    if manifest["number"] != number or any(there[path].sha256 not in (None, files[path][0]) for path in files):
        raise ValueError(f"the manifest at v{number} is not about v{number}")
    identity = str(manifest["identity"]["digest"])
    if identity in erased:
        return
    if manifest["publisher"] != host.publisher and not terms.successor:
        learned.seen[identity] = [number, commit]
        return
    draft = _draft(learned.adapter, manifest, identity, files)
    order = manifest.get("provenance", {}).get("intake")
    version = host.registry.restore(
        draft, number, commit, host.clock(), order=order if isinstance(order, int) and order > 0 else None
    )
    for waiver in card.public(manifest.get("report") or {})["waivers"]:
        host.registry.note(version.id, WAIVED, waiver, host.clock())
    if measured := losses(number, section(section(manifest, "report"), "measurements")):
        noted = {"loss_adapter": measured.adapter, "loss_base": measured.base}
        host.registry.note(version.id, MEASURED, noted, host.clock())
    learned.restored += 1


def _draft(adapter: str, manifest: Mapping[str, Any], identity: str, files: Mapping[str, tuple[str, int]]) -> Draft:
    """A version as its manifest has it; which root it came from, the Hub does not know."""
    provenance, peft, base = manifest.get("provenance", {}), manifest.get("peft", {}), manifest.get("base", {})
    return Draft(
        adapter=adapter,
        identity=identity,
        tree=ad.tree_digest(files),
        root="",
        path=str(provenance.get("checkpoint") or "."),
        run=str(provenance.get("run", "")),
        checkpoint=ad.checkpoint_number(str(provenance.get("checkpoint") or "")),
        step=provenance.get("step"),
        final=bool(provenance.get("final")),
        base=str(base.get("id", "")),
        peft_type=str(peft.get("type", "")),
        task=str(peft.get("task") or ""),
        fingerprint="",
        labels=provenance.get("labels", {}),
        trained={name: float(value) for name, value in provenance.get("trained", {}).items() if is_loss(value)},
    )
