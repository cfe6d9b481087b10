"""What the registry knows, as plain JSON values."""

from typing import Any

from adapterd.core.standing import erasures
from adapterd.core.version import AdapterVersion
from adapterd.ports import ChannelRecord, Observation, RegistryReader
from adapterd.ruling import Wanting


def version(of: AdapterVersion, *, erased: bool = False) -> dict[str, Any]:
    """One adapter version."""
    return {
        "adapter": of.adapter,
        "label": of.label,
        "stage": str(of.stage),
        "number": of.number,
        "tag": of.tag or None,
        "commit": of.commit,
        "identity": of.identity,
        "tree": of.tree,
        "intake": of.intake,
        "run": of.run,
        "step": of.step,
        "final": of.final,
        "erased": erased,
        "base": of.base,
        "stalled": of.stalled,
        "reason": of.reason or None,
        "message": of.message or None,
        "hint": of.hint or None,
        "attempts": of.attempts,
        "due_at": of.due_at,
        "created_at": of.created_at,
        "updated_at": of.updated_at,
    }


def observation(of: Observation) -> dict[str, Any]:
    """One adapter directory, as it was last seen."""
    return {
        "root": of.root,
        "path": of.path,
        "state": of.state,
        "adapter": of.adapter or None,
        "run": of.run,
        "checkpoint": of.checkpoint,
        "version": of.version,
        "reason": of.reason or None,
        "message": of.message or None,
        "hint": of.hint or None,
        "first_seen": of.first_seen,
        "changed_at": of.changed_at,
    }


def channel(of: ChannelRecord) -> dict[str, Any]:
    """One channel, as it was last known."""
    return {
        "adapter": of.adapter,
        "channel": of.channel,
        "number": of.number,
        "commit": of.commit or None,
        "highest": of.highest,
        "due_at": of.due_at,
        "stalled": of.stalled,
        "reason": of.reason or None,
        "message": of.message or None,
        "hint": of.hint or None,
    }


def held_back(of: Wanting) -> list[dict[str, Any]]:
    """The versions that a channel does not take by itself, each with the reason."""
    return [
        {
            "adapter": of.record.adapter,
            "channel": of.record.channel,
            "holds": of.record.number,
            "number": back.version.number,
            "until": back.until,
            "reason": back.reason.code,
            "message": back.reason.message,
            "hint": back.reason.hint,
        }
        for back in of.back
    ]


def erased(registry: RegistryReader, adapter: str) -> frozenset[str]:
    """The identities of an adapter's versions that were erased, by its standing document."""
    repo = registry.repo(adapter)
    return frozenset() if repo is None else erasures(repo.standing)


def standing(of: AdapterVersion, *, erased: bool = False) -> str:
    """Stage and standing of a version in a few words."""
    if erased:
        return f"{of.stage}, erased"
    if of.stalled:
        return f"{of.stage}, stalled"
    return f"{of.stage}, waits" if of.reason and str(of.stage) in ("staged", "validated") else str(of.stage)


def origin(of: AdapterVersion) -> str:
    """Run and step, as a person would say it."""
    if of.final:
        return f"{of.run} (final)"
    return f"{of.run} step {of.step}" if of.step is not None else of.run
