"""prune --hub: which versions the policy would take from the Hub, and how many bytes that is. It only looks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from adapterd.core import messages
from adapterd.core import publication as pub
from adapterd.core.retention import HubRules, Kept, Series, on_hub
from adapterd.core.standing import erased_numbers, yanked
from adapterd.core.version import Stage
from adapterd.ports import Hub, NotFound, Refs, RepoRecord
from adapterd.steps import repo as repos
from adapterd.steps.host import Host


@dataclass(frozen=True, slots=True)
class HubPlan:
    """What becomes of one adapter's versions on the Hub; `bytes` of large objects would go with those that go."""

    adapter: str
    versions: Sequence[Kept]
    bytes: int

    @property
    def goes(self) -> tuple[Kept, ...]:
        """Those that go."""
        return tuple(kept for kept in self.versions if not kept.stays)


def hub_plans(host: Host, adapters: Sequence[str] = ()) -> list[HubPlan]:
    """Decide about every published version, of all adapters or some.

    A channel's history on the Hub says what it ever held. Errors of the Hub port pass through; a repo that is gone
    holds nothing.
    """
    hub, kept = host.hub(), host.config.retention.hub
    rules, plans = HubRules(kept.keep, kept.keep_for, kept.keep_finals), []
    for adapter in adapters or [record.name for record in host.registry.adapters()]:
        versions = host.registry.versions(adapter, Stage.PUBLISHED)
        if not versions:
            continue
        try:
            refs = hub.refs(adapter)
        except NotFound:
            continue
        record = repos.standing(hub, host.registry.repo(adapter) or RepoRecord(adapter), refs)
        held = _held(hub, adapter, refs) if kept.keep is not None else frozenset[int]()
        series = Series(versions, held, yanked(record.standing), erased_numbers(record.standing))
        decided = on_hub(series, rules, host.clock())
        plans.append(HubPlan(adapter, decided, _bytes(hub, adapter, refs, decided)))
    return plans


def _held(hub: Hub, adapter: str, refs: Refs) -> frozenset[int]:
    """The numbers of what any channel holds or ever held."""
    said = (
        (branch, messages.trailers(commit.message))
        for branch, head in refs.branches.items()
        if branch not in (pub.BRANCH, pub.STANDING_BRANCH)
        for commit in hub.log(adapter, head)
    )
    return frozenset(
        trailers.number for branch, trailers in said if trailers is not None and trailers.channel == branch
    )


def _bytes(hub: Hub, adapter: str, refs: Refs, decided: Sequence[Kept]) -> int:
    """Bytes of the large objects that only those name that go."""
    goes = {kept.version.tag for kept in decided if not kept.stays}
    if not goes:
        return 0
    trees = {ref: _objects(hub, adapter, commit) for ref, commit in refs.tags.items()}
    stays = {digest for ref, objects in trees.items() if ref not in goes for digest in objects}
    found = {digest: size for ref in goes & trees.keys() for digest, size in trees[ref].items()}
    return sum(size for digest, size in found.items() if digest not in stays)


def _objects(hub: Hub, adapter: str, commit: str) -> Mapping[str, int]:
    return {file.sha256: file.size for file in hub.tree(adapter, commit).values() if file.sha256 is not None}
