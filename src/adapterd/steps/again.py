"""Take up what lies in the spool: at a start what a crash left without its row, at a rebuild everything."""

from collections.abc import Mapping
from typing import Any

from adapterd.core.standing import erasures
from adapterd.log import get_logger
from adapterd.ports import Draft
from adapterd.steps.host import Host

log = get_logger(__name__)

_FIELDS = frozenset(Draft.__slots__)


def stage_again(host: Host) -> int:
    """Every snapshot in the spool that the registry does not know becomes a STAGED version, in its old order.

    At a start it takes up what a crash left between the snapshot and its row; the directory may be gone since.
    """
    staged = 0
    for draft, order in _drafts(host):
        if order is None or host.registry.find(draft.adapter, identity=draft.identity) is None:
            if _is_told(host, draft):
                continue
            host.registry.bind(draft.adapter, draft.root, "", "", "")
            _, new = host.registry.intake(draft, host.clock())
            staged += new
    return staged


def _is_told(host: Host, draft: Draft) -> bool:
    """Whether the registry knows that this content was seen at this place.

    A crash may leave a snapshot of known content whose sighting, perhaps as the final save, nothing else tells of.
    """
    known = host.registry.find(draft.adapter, identity=draft.identity)
    seen = host.registry.sightings(known.id) if known is not None else ()
    return any((sighting.root, sighting.path) == (draft.root, draft.path) for sighting in seen)


def restore_spool(host: Host) -> int:
    """Tell an empty registry what the spool knows; how many versions were staged.

    What the Hub holds gets back where it was seen, and what that told of it; the rest is staged with the intake
    number that it had.
    """
    staged = 0
    for draft, order in _drafts(host):
        host.registry.bind(draft.adapter, draft.root, "", "", "")
        _, new = host.registry.intake(draft, host.clock(), order=order)
        staged += new
    return staged


def _drafts(host: Host) -> list[tuple[Draft, int | None]]:
    """What the sidecars say, in the order of intake; what never had a row comes last, what was erased stays away."""
    found = []
    for adapter, tree, sidecar in host.spool.sidecars():
        draft = _draft(sidecar)
        if draft is None or (draft.tree, draft.adapter) != (tree, adapter):
            log.warning("sidecar_unreadable", adapter=adapter, tree=tree)
            continue
        repo = host.registry.repo(adapter)
        if repo is not None and draft.identity in erasures(repo.standing):
            log.info("erased_snapshot_left", adapter=adapter, tree=tree)
            continue
        order = sidecar.get("intake")
        found.append((draft, order if isinstance(order, int) and order > 0 else None))
    return sorted(found, key=lambda item: (item[1] is None, item[1] or 0))


def _draft(sidecar: Mapping[str, Any]) -> Draft | None:
    try:
        return Draft(**{key: value for key, value in sidecar.items() if key in _FIELDS})
    except TypeError:
        return None
