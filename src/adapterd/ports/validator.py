"""The Validator port: measures a snapshot in its base model, in a process that may die."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from adapterd.core.version import Reason


@dataclass(frozen=True, slots=True)
class BaseModel:
    """A base model at hand: its Hub id (or ``""``), exact commit (or ``"local"``), folder, and dtype to load it in."""

    id: str
    revision: str
    path: str
    dtype: str = "auto"


@dataclass(frozen=True, slots=True)
class ProbeRequest:
    """What the worker shall measure: one snapshot in one base model on one device.

    `seconds` is the deadline for the whole of it, including the load of the base model.
    """

    snapshot: str
    base: BaseModel
    devices: tuple[str, ...] = ("auto",)
    dtype: str = "auto"
    texts: tuple[str, ...] = ()
    tokens: int = 64
    seconds: float = 600.0


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What the worker measured. `core.verdict` decides what it means.

    Attributes:
        findings: faults that a probe established, each with the code of a reason.
        measurements: numbers, and short strings, by name; plain JSON values.
        device: where the forward passes ran, e.g. ``cpu`` or ``cuda:0``.
        versions: library name to version.
        base_fingerprint: digest of the base's config and weight files.
        log_tail: the last lines that the worker wrote to stdout and stderr.
    """

    findings: tuple[Reason, ...]
    measurements: Mapping[str, Any]
    device: str
    dtype: str
    versions: Mapping[str, str] = field(default_factory=dict)
    base_fingerprint: str = ""
    log_tail: str = ""


class Validator(Protocol):
    """Measures a snapshot in its base model, in a process that may die. One call at a time per instance."""

    def probe(self, request: ProbeRequest) -> ProbeResult:
        """Measure. Raises WorkerDied or DeviceBusy; a broken adapter is a finding, never an exception."""
        ...

    def tick(self) -> None:
        """Called now and then by the lane: an idle worker past its time exits and gives back its memory."""
        ...

    def close(self) -> None:
        """End the worker and its whole process group."""
        ...
