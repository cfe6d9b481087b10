"""Which checkpoints are left out: by the root's word, or while the budget of the Hub is tight.

It is decided at the version that would be superseded, each time that it is taken up. What has a number, is a final, or
was asked for by a person is never left out.
"""

from collections.abc import Mapping, Sequence

from adapterd.config import Root
from adapterd.core.reasons import reason
from adapterd.core.version import AdapterVersion, Reason, Stage
from adapterd.steps.host import Host
from adapterd.steps.settle import ASKED

PASSED = (Stage.VALIDATED, Stage.PUBLISHED)


def superseding(host: Host, version: AdapterVersion, root: Root | None) -> Reason | None:
    """Why a checkpoint is coalesced away: another of its run passed, and not all are wanted, or not all fit."""
    if version.final or version.number is not None or root is None:
        return None
    allowed = host.config.hub.budget.coalesce
    others = [o for o in host.registry.versions(version.adapter) if o.run == version.run and o.stage in PASSED]
    if root.checkpoints != "all":
        why, choice = "", "newest"
    elif allowed != "never" and tight(host, version.adapter):
        why, choice = "; the Hub's budget is tight", allowed
        # What waits for a person may never get there.
        others = [o for o in others if not o.stalled]
    else:
        return None
    found = _better(host, version, others) if choice == "best" else _later(version, others)
    if not found or any(event.kind == ASKED for event in host.registry.events(version.id)):
        return None
    return reason("superseded", f"{found}{why}")


def tight(host: Host, adapter: str = "") -> bool:
    """Whether less of the Hub may be used than the versions that are validated need, or those of an adapter."""
    # Counting goes over all versions; most of the time there is none that is due.
    some = host.registry.next_due(Stage.VALIDATED, host.clock()) is not None
    due = host.registry.counts().get(Stage.VALIDATED, 0) if some else 0
    of_adapter = 0
    if adapter:
        of_adapter = sum(not v.stalled for v in host.registry.versions(adapter, Stage.VALIDATED))
    return host.pace.tight(due, adapter, of_adapter)


def _later(version: AdapterVersion, others: Sequence[AdapterVersion]) -> str:
    """What is newer, in words."""
    newer = next((o for o in others if o.intake > version.intake), None)
    return f"{newer.label} of the same run {version.run} came after it and passed" if newer else ""


def _better(host: Host, version: AdapterVersion, others: Sequence[AdapterVersion]) -> str:
    """What has a lower loss on the probes, in words; of equals the newer. Without a loss, what is newer."""
    if (mine := _loss(host, version)) is None:
        return _later(version, others)
    for other in others:
        loss = _loss(host, other)
        if loss is not None and (loss, -other.intake) < (mine, -version.intake):
            return f"{other.label} of the same run {version.run} has a loss of {loss:.4g}, this one {mine:.4g}"
    return ""


def _loss(host: Host, version: AdapterVersion) -> float | None:
    """The loss on the probes, by the newest report on the version's tree."""
    reports = [v.report for v in host.registry.validations(version.id) if v.tree == version.tree]
    measured = reports[-1].get("measurements") if reports else None
    loss = measured.get("loss_adapter") if isinstance(measured, Mapping) else None
    return float(loss) if isinstance(loss, int | float) else None
