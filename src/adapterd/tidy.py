"""What a person may let go of: prune the spool, prune the Hub by policy, erase versions; as plain JSON values."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from adapterd import moving
from adapterd.core.errors import AdapterdError
from adapterd.core.standing import Said
from adapterd.log import get_logger, redact
from adapterd.operate import targets
from adapterd.ports import NotFound
from adapterd.steps import erase as erasing
from adapterd.steps import export, prune, retain
from adapterd.steps.host import Host

if TYPE_CHECKING:
    from adapterd.core.erasing import Target

log = get_logger(__name__)

LONGEST_REASON = 500
"""Letters of an erasure's reason; it stands in the repo."""


class ReasonError(AdapterdError):
    """What was said as the reason cannot be used."""

    exit = 2


def erase(host: Host, references: Sequence[str], actor: str, why: str) -> dict[str, Any]:
    """Erase the versions that are named, adapter by adapter."""
    words = " ".join(redact(why).split())
    if not words or len(words) > LONGEST_REASON:
        text = "an erasure has a reason" if not words else f"its reason has {LONGEST_REASON} letters at most"
        raise ReasonError(text, '--reason "..."; it can be read by whoever may read the repo')
    by_adapter: dict[str, list[Target]] = {}
    for reference in references:
        by_adapter.setdefault(reference.partition("@")[0], []).extend(targets(host, reference))
    said = Said(actor, words, host.clock())
    erased = []
    for name, found in by_adapter.items():
        erased.append(_plain(asdict(erasing.erase(host, name, found, said))))
        _show(host, name)
    return {"erased": erased}


def _show(host: Host, adapter: str) -> None:
    """Let the index for deployers say it at once; where that fails, the daemon says it when it next looks."""
    if not (repo := export.repo_of(host)):
        return
    try:
        moving.refresh(host.hub(), repo, adapter)
    except NotFound:
        pass  # nobody keeps an index there
    except AdapterdError as error:
        log.warning("index_waits", adapter=adapter, message=error.message, hint=error.hint)


def prune_here(host: Host) -> dict[str, Any]:
    """Let go of what spool and registry do not need."""
    return {"tidied": asdict(retain.retain(host))}


def plan_here(host: Host) -> dict[str, Any]:
    """What `prune_here` would do now."""
    plan = retain.plan(host)
    snapshots = [
        {
            "adapter": fate.lying.adapter,
            "tree": fate.lying.tree,
            "version": fate.version.label if fate.version else None,
            "bytes": fate.lying.size,
            "stays": fate.stays,
            "why": fate.why,
        }
        for fate in plan.fates
    ]
    forgotten = [f"{root}/{path}" for root, paths in plan.forgotten.items() for path in paths]
    return {"snapshots": snapshots, "histories": plan.histories, "observations": forgotten}


def plan_hub(host: Host) -> dict[str, Any]:
    """What the policy would take from the Hub."""
    return {
        "adapters": [
            {
                "adapter": plan.adapter,
                "bytes": plan.bytes,
                "versions": [
                    {"tag": kept.version.tag, "label": kept.version.label, "stays": kept.stays, "why": kept.why}
                    for kept in plan.versions
                ],
            }
            for plan in prune.hub_plans(host)
        ]
    }


def prune_hub(host: Host, actor: str, why: str) -> dict[str, Any]:
    """Erase what the policy takes."""
    labels = [kept.version.label for plan in prune.hub_plans(host) for kept in plan.goes]
    return erase(host, labels, actor, why or "retention.hub") if labels else {"erased": []}


def _plain(value: Mapping[str, Any]) -> dict[str, Any]:
    return {key: list(each) if isinstance(each, tuple) else each for key, each in value.items()}
