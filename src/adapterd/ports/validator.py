"""The Validator port: measures a snapshot in its base model, in a process that may die."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from adapterd.core.examples import Example
from adapterd.core.version import Reason


@dataclass(frozen=True, slots=True)
class BaseModel:
    """A base model at hand, and how it is loaded.

    Attributes:
        id: its Hub id, or an empty string.
        revision: its exact commit, or ``local``.
        path: the folder it lies in.
        dtype: type to load it in; ``auto`` is its own.
        device_map: ``auto``, ``balanced`` or ``sequential`` to spread it over devices; empty for one device.
        max_memory: most bytes it may take by device, as in ``{"0": ..., "cpu": ...}``; with `device_map` alone.
        quantization: keyword arguments of transformers' BitsAndBytesConfig; empty for none.
        trained_on: folders of adapters that were merged into it, in this order, before the adapter was trained.
        trust_remote_code: whether code of its own folder may run, in the worker alone.
    """

    id: str
    revision: str
    path: str
    dtype: str = "auto"
    device_map: str = ""
    max_memory: Mapping[str, int] = field(default_factory=dict)
    quantization: Mapping[str, Any] = field(default_factory=dict)
    trained_on: tuple[str, ...] = ()
    trust_remote_code: bool = False


@dataclass(frozen=True, slots=True)
class ProbeRequest:
    """What the worker shall measure: one snapshot in one base model on one device.

    Attributes:
        devices: in order of preference; the next one is tried when those before it had no room for `max_wait`.
        examples: what the passes are made on; none means the built-in texts.
        tokens: of each example that are used.
        seconds: deadline for the whole of it, including the load of the base model.
        waited: seconds that the version has waited for a device so far.
        max_wait: seconds to wait for each device before the next of the list may be used.
        structural: whether keys and shapes are enough where no listed device could ever hold the base.
        golden: golden outputs of a published version (`core.golden`), to be produced again and compared with.
    """

    snapshot: str
    base: BaseModel
    devices: tuple[str, ...] = ("auto",)
    dtype: str = "auto"
    examples: tuple[Example, ...] = ()
    tokens: int = 64
    seconds: float = 600.0
    waited: float = 0.0
    max_wait: float = 0.0
    structural: bool = False
    golden: Mapping[str, Any] | None = None


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
        level: ``full``, or ``structural`` where no pass was made since no device can hold the base.
        golden: golden outputs on the built-in texts (`core.golden`); None where none were made.
    """

    findings: tuple[Reason, ...]
    measurements: Mapping[str, Any]
    device: str
    dtype: str
    versions: Mapping[str, str] = field(default_factory=dict)
    base_fingerprint: str = ""
    log_tail: str = ""
    level: str = "full"
    golden: Mapping[str, Any] | None = None


class Validator(Protocol):
    """Measures a snapshot in its base model, in a process that may die. One call at a time per instance."""

    def probe(self, request: ProbeRequest) -> ProbeResult:
        """Measure. A broken adapter is a finding, never an exception.

        Raises WorkerDied, or DeviceBusy: as NoSuchDevice or DeviceTooSmall where waiting does not help.
        """
        ...

    def tick(self) -> None:
        """Called now and then by the lane: an idle worker past its time exits and gives back its memory."""
        ...

    def close(self) -> None:
        """End the worker and its whole process group."""
        ...
