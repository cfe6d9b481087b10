"""Channels: moving names for versions, each with a rule. Pure."""

from collections.abc import Collection, Iterable, Mapping
from enum import StrEnum
from typing import Any

from adapterd.core.adapter import is_payload
from adapterd.core.standing import erased_numbers, yanked
from adapterd.core.version import AdapterVersion, Stage


class Rule(StrEnum):
    """When a channel moves by itself."""

    FINALS = "finals"
    """Each new final save."""
    CANDIDATES = "candidates"
    """The last checkpoint of a run that ended without a final save."""
    MANUAL = "manual"
    """Never."""


def suited(
    rule: Rule,
    versions: Iterable[AdapterVersion],
    highest: int,
    standing: Mapping[str, Any],
    candidates: Collection[int] = (),
) -> tuple[AdapterVersion, ...]:
    """The versions that a rule could take next, newest first; what else a channel asks for is `core.rules`.

    Only versions newer than the highest that the channel ever held are considered, none that is yanked or erased.
    `finals` never takes a checkpoint; `candidates` takes those whose row is among `candidates`: the last checkpoints
    of runs that ended without a final save.
    """
    if rule is Rule.MANUAL:
        return ()
    out = yanked(standing) | erased_numbers(standing)
    found = [
        v
        for v in versions
        if v.stage is Stage.PUBLISHED
        and v.number is not None
        and v.number > highest
        and v.number not in out
        and (v.final if rule is Rule.FINALS else v.id in candidates)
    ]
    return tuple(sorted(found, key=lambda v: v.number or 0, reverse=True))


_LOADED = (".safetensors", ".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".gguf", ".model", ".jinja", ".py")


def loader_reads(path: str) -> bool:
    """Whether a loader would read a file of this name: weights, configs, tokenizers, pickles, code."""
    return is_payload(path) or path.endswith(_LOADED) or (path.endswith(".json") and "/" not in path)


def drift(paths: Collection[str], payload: Collection[str], own: Collection[str]) -> tuple[str, ...]:
    """The files on a channel's head that a loader would read and that no version of ours put there."""
    return tuple(sorted(p for p in set(paths) - set(payload) - set(own) if loader_reads(p)))
