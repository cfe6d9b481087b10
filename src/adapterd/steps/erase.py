"""erase: versions go from the Hub and from this host, for good. A person asked; nothing of it happens by itself.

In this order, and each step finds out first whether it is done already, so that after a crash anywhere the same again
completes it: tombstones; rows of what is not published; branches moved off; tags; large objects; spool.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from adapterd.core import erasing, messages, naming
from adapterd.core import publication as pub
from adapterd.core.erasing import Erased, Target
from adapterd.core.reasons import reason
from adapterd.core.standing import Said, Tombstone, erased_numbers, erasures, with_tombstones, yanked
from adapterd.core.version import AdapterVersion
from adapterd.log import get_logger
from adapterd.ports import ChannelRecord, Conflict, Hub, NotFound, Refs, RemoteFile, RepoRecord, Transient
from adapterd.steps import standing
from adapterd.steps.emptying import move_off
from adapterd.steps.host import Host

log = get_logger(__name__)

TRIES = 5
"""How often the branches are looked at again where somebody else is faster."""

Tree = Mapping[str, RemoteFile]


@dataclass
class _Repo:
    """One repo while versions of it are erased; trees are read once, since commits never change."""

    hub: Hub
    name: str
    trees: dict[str, Tree] = field(default_factory=dict)

    def tree(self, commit: str) -> Tree:
        """The files of a commit."""
        if commit not in self.trees:
            self.trees[commit] = self.hub.tree(self.name, commit)
        return self.trees[commit]


def target_of(host: Host, version: AdapterVersion) -> Target:
    """What is to be erased of a version that the registry knows."""
    places = tuple(dict.fromkeys(f"{s.root}/{s.path}" for s in host.registry.sightings(version.id) if s.root))
    return Target(version.identity, version.id, version.number, version.commit or "", (version.tree,), places)


def erase(host: Host, adapter: str, targets: Sequence[Target], said: Said) -> Erased:
    """Erase versions of one adapter.

    Raises Conflict where a version is in hand just now, or where others commit faster again and again; NotFound where
    a published version's repo is gone; and what the Hub port raises. The same again completes what was begun.
    """
    hub = host.hub()
    repo = _Repo(hub, adapter)
    there = _exists(hub, adapter, targets)
    with host.sending.alone(adapter):
        record = _bury(host, adapter, targets, said) if there else RepoRecord(adapter)
        _leave_the_line(host, targets, said)
        if not there:
            done = Erased(adapter, tuple(t.name for t in targets), {}, (), {}, {}, 0, ())
        else:
            done = _from_hub(host, repo, record, _committed(hub, adapter, targets), said)
    done = replace(done, snapshots=_clear(host, adapter, targets))
    log.warning(
        "versions_erased", adapter=adapter, versions=done.names, message=said.reason, bytes=sum(done.objects.values())
    )
    return done


def _exists(hub: Hub, adapter: str, targets: Sequence[Target]) -> bool:
    """Whether there is a repo; NotFound where there was one that held a target."""
    try:
        hub.refs(adapter)
    except NotFound:
        if any(target.commit for target in targets):
            raise
        return False
    return True


def _bury(host: Host, adapter: str, targets: Sequence[Target], said: Said) -> RepoRecord:
    """Put up the tombstones: from now on nobody publishes, promotes or resolves them."""
    stones = [Tombstone(t.identity, t.number, t.commit, said) for t in targets]
    title = f"Erased {', '.join(t.name for t in targets)}"
    edit = partial(with_tombstones, stones=stones)
    return standing.change(host, adapter, edit, f"{title}\n\nBy {said.actor}. {said.reason}".strip())[0]


def _leave_the_line(host: Host, targets: Sequence[Target], said: Said) -> None:
    """Take what is not published off the line, and write it into every history."""
    why = f"erased by {said.actor}" + (f": {said.reason}" if said.reason else "")
    for target in targets:
        if target.row is not None:
            host.registry.erase(target.row, reason("erased", why), host.clock(), said.actor)


def _committed(hub: Hub, adapter: str, targets: Sequence[Target]) -> tuple[Target, ...]:
    """The targets, with the commits of those that were committed and never recorded as published."""
    if all(target.commit for target in targets):
        return tuple(targets)
    head = hub.refs(adapter).branches.get(pub.BRANCH)
    log_ = hub.log(adapter, head) if head else ()
    found = {said.identity: c.id for c in log_ if (said := messages.trailers(c.message))}
    return tuple(replace(t, commit=t.commit or found.get(t.identity, "")) for t in targets)


def _from_hub(host: Host, repo: _Repo, record: RepoRecord, targets: Sequence[Target], said: Said) -> Erased:
    hub = repo.hub
    committed = [target for target in targets if target.commit]
    own = {target.commit: repo.tree(target.commit) for target in committed}
    moved = _move_off(host, repo, record, committed, said)
    tags = _untag(hub, repo.name, committed)
    objects, shared = _delete_objects(repo, own, record)
    files = {path for tree in own.values() for path, file in tree.items() if file.sha256 is None}
    config = host.config
    index = f"{config.hub.namespace}/{config.hub.index_repo}" if config.hub.index_repo else ""
    left = erasing.not_recalled(repo.name, targets, files - {".gitattributes"}, index, config.registry.backups)
    return Erased(repo.name, tuple(t.name for t in targets), moved, tags, objects, shared, 0, left)


def _move_off(host: Host, repo: _Repo, record: RepoRecord, targets: Sequence[Target], said: Said) -> dict[str, str]:
    """Move every branch that holds one of them to what it may hold, or empty it; branch to tag or nothing."""
    manifests = {repo.tree(t.commit)[pub.MANIFEST].blob: t for t in targets if pub.MANIFEST in repo.tree(t.commit)}
    out = erased_numbers(record.standing) | yanked(record.standing)
    moved: dict[str, str] = {}
    for _ in range(TRIES):
        refs, left = repo.hub.refs(repo.name), False
        for branch, head in sorted(refs.branches.items()):
            there = repo.tree(head)
            held = manifests.get(there[pub.MANIFEST].blob) if pub.MANIFEST in there else None
            if branch == pub.STANDING_BRANCH or held is None:
                continue
            history = [told for c in repo.hub.log(repo.name, head) if (told := messages.trailers(c.message))]
            if branch not in (pub.BRANCH, *host.config.channels) and all(s.channel != branch for s in history):
                continue  # somebody's own branch: it uses the bytes, and is nobody's to move
            try:
                erasure = messages.Erasure(held.name, said.actor, said.reason)
                moved[branch] = _off(repo, refs, branch, (history, erasure), out)
            except Conflict:
                left = True
        if not left:
            _record_channels(host, repo, targets)
            return moved
    raise Conflict(f"others commit to {repo.name} again and again", "the same again in a moment")


def _record_channels(host: Host, repo: _Repo, targets: Sequence[Target]) -> None:
    """Let the registry know where the channels are now that it believes to hold one of them."""
    numbers, branches = {target.number for target in targets}, repo.hub.refs(repo.name).branches
    for record in host.registry.channels(repo.name):
        if record.number in numbers and (head := branches.get(record.channel)):
            told = (c.message for c in repo.hub.log(repo.name, head))
            holds, highest = messages.channel_history(told, record.channel)
            fresh = ChannelRecord(repo.name, record.channel, holds, head, max(record.highest, highest))
            host.registry.save_channel(fresh)


def _off(
    repo: _Repo,
    refs: Refs,
    branch: str,
    what: tuple[Sequence[messages.Trailers], messages.Erasure],
    out: frozenset[int],
) -> str:
    """Move one branch off the version that it holds, by its history; the tag that it holds now."""
    hub, name, head = repo.hub, repo.name, refs.branches[branch]
    tags = naming.version_numbers(refs.tags)
    history, erasure = what
    number = erasing.former(branch, history, tags, out)
    former = next((said for said in history if said.number == number), None)
    at = tags[number] if number is not None else ""
    commit = move_off(hub, name, branch, head, repo.tree(head), (at, repo.tree(at) if at else {}), former, erasure)
    log.warning("branch_moved_off", adapter=name, channel=branch, number=number, commit=commit)
    return f"v{number}" if number is not None else ""


def _untag(hub: Hub, name: str, targets: Sequence[Target]) -> tuple[str, ...]:
    """Delete the tags that name the commits, whatever number they say."""
    commits = {target.commit for target in targets}
    tags = [tag for tag, commit in sorted(hub.refs(name).tags.items()) if commit in commits]
    for tag in tags:
        try:
            hub.delete_tag(name, tag)
        except NotFound:
            continue  # an attempt whose answer was lost
    return tuple(tags)


def _delete_objects(repo: _Repo, own: Mapping[str, Tree], record: RepoRecord) -> tuple[dict[str, int], dict[str, str]]:
    """Delete for good what no remaining tag or branch names; what went, and what stays with who uses it."""
    hub, name = repo.hub, repo.name
    wanted = {file.sha256: file.size for tree in own.values() for file in tree.values() if file.sha256 is not None}
    if not wanted or not set(wanted) & set(stored := hub.lfs_files(name)):
        return {}, {}
    goes, shared = erasing.doomed(wanted, _used(repo, record, wanted), stored)
    if goes:
        hub.delete_lfs(name, goes)
        if left := set(goes) & set(hub.lfs_files(name)):
            raise Transient(f"the Hub still holds {len(left)} large files of {name}", "the same again in a moment")
        if broken := _used(repo, record, goes):
            # Another publisher committed just then: its own upload was left out because the bytes were still there.
            who = ", ".join(sorted(set(broken.values())))
            raise Transient(f"{who} of {name} named bytes that were just deleted", f"pull {who}; publish it anew")
    return goes, shared


def _used(repo: _Repo, record: RepoRecord, wanted: Mapping[str, int]) -> dict[str, str]:
    """Which of the objects tags, branches, and commits that wait for their tag name, each with one of those."""
    refs = repo.hub.refs(repo.name)
    found: dict[str, str] = {}
    names = [*sorted(refs.tags.items()), *sorted(refs.branches.items())]
    if head := refs.branches.get(pub.BRANCH):
        done, gone = set(refs.tags.values()), erasures(record.standing)
        log_ = [
            (c.id, messages.trailers(c.message)) for c in repo.hub.log(repo.name, head, record.versions_head or None)
        ]
        names += [(f"v{s.number}", commit) for commit, s in log_ if s and commit not in done and s.identity not in gone]
    for ref, commit in names:
        for file in repo.tree(commit).values():
            if file.sha256 is not None and file.sha256 in wanted:
                found.setdefault(file.sha256, ref)
    return found


def _clear(host: Host, adapter: str, targets: Sequence[Target]) -> int:
    """Clear the spool of every copy of them."""
    identities = {target.identity for target in targets}
    trees = {tree for target in targets for tree in target.trees}
    trees |= {tree for a, tree, said in host.spool.sidecars() if a == adapter and said.get("identity") in identities}
    count = 0
    with host.spool.deciding:
        for tree in sorted(trees):
            if host.spool.holds(adapter, tree):
                host.spool.discard(adapter, tree)
                count += 1
    return count
