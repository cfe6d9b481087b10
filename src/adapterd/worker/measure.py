"""One request from its files to its numbers, level by level, over the resident base."""

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from adapterd.core.adapter import CONFIG
from adapterd.core.reasons import reason
from adapterd.core.version import Reason
from adapterd.ports import ProbeRequest, ProbeResult
from adapterd.worker import attach, probes, structure
from adapterd.worker.architecture import LABELLED, Loader, NoClassError, loader_for, others
from adapterd.worker.base import BaseKey, fingerprint
from adapterd.worker.case import Case
from adapterd.worker.devices import is_device_fault, ran_out
from adapterd.worker.examine import examine
from adapterd.worker.files import BadFileError, read_config, read_weights
from adapterd.worker.outputs import forward
from adapterd.worker.probes import look, names
from adapterd.worker.residence import Residence
from adapterd.worker.room import BusyError, TooSmallError
from adapterd.worker.structure import Frame, NoValuesError, Structures
from adapterd.worker.tokenizers import Tokenizers
from adapterd.worker.versions import VERSIONS

_LONGEST = 400
"""Characters of an exception's text that are kept."""


@dataclass
class Bench:
    """Measures one adapter after the other, and keeps what the next one can use.

    Attributes:
        tell: called with what is being done, for the one who waits.
        hashes: digests of base files by file identity.
        spent: whether this process should measure no other adapter: the base was changed, or may have been.
    """

    tell: Callable[[str], None] = lambda _: None
    hashes: dict[str, str] = field(default_factory=dict)
    spent: bool = False
    residence: Residence = field(init=False)
    _structures: Structures = field(default_factory=Structures)
    _tokenizers: Tokenizers = field(default_factory=Tokenizers)
    _count: int = 0

    def __post_init__(self) -> None:
        """Begin without a base."""
        self.residence = Residence(self.tell)

    def measure(self, request: ProbeRequest) -> ProbeResult:
        """Measure one snapshot. A fault of the adapter is a finding.

        Raises:
            BusyError: no listed device has room.
            MemoryError: the host has not enough of it.
        """
        start = time.perf_counter()
        self.tell("reading_files")
        snapshot = Path(request.snapshot)
        try:
            config, weights = read_config(snapshot), read_weights(snapshot)
        except BadFileError as exc:
            return self._result(request, [reason(exc.code, str(exc), exc.hint)], {}, start)
        self._count += 1
        case = Case(request, config, weights, name=f"probe{self._count}", held=structure.held(weights))
        findings = look(case, probes.FILES)
        findings = findings or self._base_at_hand(case) or self._structure(case)
        if not findings:
            findings = self._on_a_device(case)
        return self._result(request, findings, case.measurements, start, case)

    def _base_at_hand(self, case: Case) -> list[Reason]:
        """Look whether there is a base at all, and how it is to be loaded."""
        base = case.request.base
        folder = Path(base.path)
        if not folder.is_dir():
            return [reason("base_not_at_hand", "the folder of the base model is not there")]
        if (folder / CONFIG).exists():
            text = (
                f"the folder of the base model holds an adapter too ({CONFIG}), which transformers would load with it"
            )
            return [
                reason("base_not_at_hand", text, "give a folder with the base model alone under base_models[].path")
            ]
        try:
            case.loader = loader_for(case.config, folder, trusted=base.trust_remote_code)
        except NoClassError as exc:
            return [reason(exc.code, str(exc))]
        case.measurements["task"] = case.task
        return []

    def _structure(self, case: Case) -> list[Reason]:
        """Hold the file against the injected adapter, without any values; nothing where that cannot be built."""
        self.tell("comparing_structure")
        folder = Path(case.request.base.path)
        chosen = case.loader
        if chosen is None:
            raise RuntimeError("no class was chosen")
        findings: list[Reason] = []
        try:
            findings = self._compared(case, chosen)
            for other in others(chosen, folder) if findings else ():
                if not self._compared(case, other):
                    case.loader = other
                    return []
        except NoValuesError:
            case.structure = None
        except Exception as exc:
            if ran_out(exc):
                raise
            findings = [reason("load_failed", _told(exc, case.request))]
        return findings

    def _compared(self, case: Case, loader: Loader) -> list[Reason]:
        """Look at the structure of the adapter in a base that is loaded with this class."""
        labels = names.label_count(case.held) if case.task in LABELLED else None
        base = case.request.base
        frame = Frame(Path(base.path), loader, labels, names.embedding_rows(case.held), base.trust_remote_code)
        case.held = structure.held(case.weights)
        case.structure = self._structures.of(case.config, case.snapshot, frame)
        if case.held.keys() != case.structure.expected.keys():
            case.held = structure.converted(case.weights, case.snapshot, frame)
        case.measurements["labels"] = labels
        return look(case, probes.STRUCTURE)

    def _on_a_device(self, case: Case) -> list[Reason]:
        """Measure on the listed device whose turn it is; running out of an accelerator's memory is waiting for it."""
        try:
            key = self.residence.key(case)
        except TooSmallError as exc:
            if not case.request.structural or case.structure is None:
                raise
            case.level = "structural"
            return [reason("structural_only", str(exc))]
        try:
            return self._in_base(case, key)
        except Exception as exc:
            if not ran_out(exc):
                raise
            self.residence.drop()
            case.model = case.base = None
            if key.device == "cpu":
                raise MemoryError(str(exc)) from exc
            self.spent = True  # what failed half-way may hold memory of the device as long as this process lives
            raise BusyError(f"{key.device}: it ran out of memory in the middle of the measurement") from exc

    def _in_base(self, case: Case, key: BaseKey) -> list[Reason]:
        """Load the adapter into the base, probe it, and take it out again."""
        began = time.perf_counter()
        try:
            case.base = self.residence.base(key, case)
        except Exception as exc:
            if ran_out(exc) or is_device_fault(exc):
                raise
            text = f"the base model cannot be loaded: {_told(exc, case.request)}"
            return [
                reason("base_not_at_hand", text, "see the log tail in `adapterd show`; repair or fetch the base again")
            ]
        case.measurements["seconds_base"] = round(time.perf_counter() - began, 3)
        case.dirty = attach.changes_base(case.config) or case.base.key.rows is not None
        try:
            findings = examine(case, self._tokenizers, self.tell)
        except Exception as exc:
            if ran_out(exc) or is_device_fault(exc):
                raise
            case.dirty = True
            findings = [reason("load_failed", _told(exc, case.request))]
        return findings + self._removed(case)

    def _removed(self, case: Case) -> list[Reason]:
        """Put the base back and look whether it is what it was; with any doubt, this worker has done its work."""
        self.tell("removing")
        case.model = None
        case.resident.standing.restore()
        if case.twice is not None and case.spot is not None and not case.dirty:
            case.after = forward(case.resident.model, case.spot)
        findings = look(case, probes.REMOVED)
        if findings or case.dirty:
            self.spent = True
            self.residence.drop()
        return findings

    def _result(
        self,
        request: ProbeRequest,
        findings: list[Reason],
        measurements: dict[str, Any],
        start: float,
        case: Case | None = None,
    ) -> ProbeResult:
        """Put together what was found."""
        base = case.base if case is not None else None
        measurements = {name: value for name, value in measurements.items() if value is not None}
        measurements["peak_rss"] = peak_memory()
        if base is not None and base.key.device.startswith("cuda"):
            measurements["peak_device_bytes"] = torch.cuda.max_memory_allocated(base.key.device)
        digest = fingerprint(request.base, self.hashes) if base is not None else ""
        measurements["seconds"] = round(time.perf_counter() - start, 3)
        return ProbeResult(
            findings=tuple(findings),
            measurements=measurements,
            device=base.device if base is not None else "",
            dtype=base.dtype if base is not None else "",
            versions=VERSIONS,
            base_fingerprint=digest,
            level=case.level if case is not None else "full",
            golden=case.golden if case is not None and not findings else None,
        )


def peak_memory() -> int:
    """The most memory that this process had so far, in bytes; what a parent had before it is not counted."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def _told(exc: Exception, request: ProbeRequest) -> str:
    """Give class and first line of an exception, without this host's paths."""
    text = str(exc)
    for path, name in ((request.snapshot, "the adapter"), (request.base.path, "the base model")):
        text = text.replace(f"{path}/", "").replace(path, name)
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return f"{type(exc).__name__}: {line[:_LONGEST]}" if line else type(exc).__name__
