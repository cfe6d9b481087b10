"""One request from its files to its numbers, level by level, over the resident base."""

import gc
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import Any

import torch

from adapterd.core.adapter import CONFIG
from adapterd.core.examples import BUILT_IN
from adapterd.core.reasons import reason
from adapterd.core.version import Reason
from adapterd.ports import ProbeRequest, ProbeResult
from adapterd.worker import attach, probes, structure
from adapterd.worker.architecture import LABELLED, Loader, NoClassError, gguf_file, loader_for, others, plain_config
from adapterd.worker.base import BaseKey, ResidentBase, fingerprint, load
from adapterd.worker.case import Case
from adapterd.worker.devices import choose, is_device_fault, needed, ran_out, spread
from adapterd.worker.files import BadFileError, read_config, read_weights
from adapterd.worker.inputs import Batch, Wanted, batch_for
from adapterd.worker.outputs import forward, largest_change
from adapterd.worker.probes import look, names
from adapterd.worker.room import BusyError
from adapterd.worker.structure import Frame, NoValuesError, Structure, Structures
from adapterd.worker.tokenizers import Tokenizers

VERSIONS = {"python": python_version()} | {
    name: version(name) for name in ("torch", "transformers", "peft", "safetensors")
}
_LONGEST = 400
"""Characters of an exception's text that are kept."""
_SPOT = 2
"""Examples on which passes are repeated."""
_NEAR = 4
"""Outputs that move by less than this many steps of their type may be noise: then the null adapter is asked."""


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
    _base: ResidentBase | None = None
    _share: dict[int | str, int] = field(default_factory=dict)
    _structures: Structures = field(default_factory=Structures)
    _tokenizers: Tokenizers = field(default_factory=Tokenizers)
    _count: int = 0

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
        return self._result(request, findings, case.measurements, start, case.base)

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
        request = case.request
        kept = self._base
        if kept is not None and kept.key != self._key(case, kept.key.device):
            self._drop()
            kept = None
        device = self._device(request, kept.key.device if kept is not None else None)
        key = self._key(case, device)
        if kept is not None and kept.key != key:
            self._drop()
        kept = None  # nothing here holds on to a base that is dropped
        try:
            return self._in_base(case, key)
        except Exception as exc:
            if not ran_out(exc):
                raise
            self._drop()
            case.model = case.base = None
            if device == "cpu":
                raise MemoryError(str(exc)) from exc
            self.spent = True  # what failed half-way may hold memory of the device as long as this process lives
            raise BusyError(f"{device}: it ran out of memory in the middle of the measurement") from exc

    def _device(self, request: ProbeRequest, resident: str | None) -> str:
        """The device for the base; where it is spread over several, the first of them, which takes the inputs."""
        size = needed(request.base, request.dtype if request.dtype != "auto" else request.base.dtype)
        if not request.base.device_map:
            return choose(request.devices, size, request.waited, request.max_wait, resident=resident)
        if resident is not None:
            return resident
        self._share = spread(request.devices, size, request.base.max_memory)
        first = next(iter(self._share))
        return f"cuda:{first}" if isinstance(first, int) else first

    def _key(self, case: Case, device: str) -> BaseKey:
        """Say which base this adapter needs."""
        base, loader = case.request.base, case.loader
        if loader is None:
            raise RuntimeError("no class was chosen")
        dtype = case.request.dtype if case.request.dtype != "auto" else base.dtype
        labels = names.label_count(case.held) if loader.task in LABELLED else None
        rows, known = names.embedding_rows(case.held), _vocabulary(Path(base.path))
        return BaseKey(base, dtype, device, loader, labels, rows if known is not None and rows != known else None)

    def _in_base(self, case: Case, key: BaseKey) -> list[Reason]:
        """Load the adapter into the base, probe it, and take it out again."""
        began = time.perf_counter()
        try:
            case.base = self._resident(key, case)
        except Exception as exc:
            if ran_out(exc):
                raise
            text = f"the base model cannot be loaded: {_told(exc, case.request)}"
            return [
                reason("base_not_at_hand", text, "see the log tail in `adapterd show`; repair or fetch the base again")
            ]
        case.measurements["seconds_base"] = round(time.perf_counter() - began, 3)
        case.dirty = attach.changes_base(case.config) or case.base.key.rows is not None
        try:
            findings = self._attached(case)
        except Exception as exc:
            if ran_out(exc) or is_device_fault(exc):
                raise
            case.dirty = True
            findings = [reason("load_failed", _told(exc, case.request))]
        return findings + self._removed(case)

    def _attached(self, case: Case) -> list[Reason]:
        """Level by level, as far as there is nothing to say against it."""
        base = case.resident
        self.tell("attaching")
        case.batch, case.spot = self._batches(case)
        if case.structure is not None and (findings := look(case, probes.BASE)):
            return findings
        base.answer(case.spot, forward)
        case.before = base.answer(case.batch, forward)
        case.model = attach.inject(base.model, attach.read(case.snapshot), case.name)
        case.tensors = attach.converted(case.model, case.weights, case.name)
        if case.structure is None:
            case.held = structure.shapes(case.tensors)
            expected = attach.expected(case.model, case.name)
            case.structure = Structure(structure.shapes(expected), base.shapes)
            if findings := look(case, probes.STRUCTURE) or look(case, probes.BASE):
                return findings
        at_rest = attach.at_rest(case.model, case.name)
        case.begun = attach.begun(case.model, case.name)
        resized = base.key.rows is not None  # embeddings of the base's own size are the base's, bit by bit
        attach.load(case.model, case.tensors if resized else _of(case), case.weights, case.name)
        if findings := look(case, probes.LOADED):
            return findings
        self.tell("probing")
        with attach.watched(case.model, case.name) as idle:
            case.first = forward(case.model, case.batch)
        case.idle = tuple(sorted(idle))
        case.twice = (forward(case.model, case.spot), forward(case.model, case.spot))
        if at_rest and self._near(case):
            attach.put(case.model, at_rest, case.name)
            case.null = forward(case.model, case.batch)
        return look(case, probes.OUTPUTS)

    def _near(self, case: Case) -> bool:
        """Whether the outputs moved so little that it might be rounding."""
        before, first, _ = case.outputs()
        if before.values.shape != first.values.shape or not (before.finite and first.finite):
            return False
        kind = getattr(torch, case.resident.dtype)
        step: float = torch.finfo(kind).eps
        return largest_change(before, first) <= _NEAR * step * before.largest

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
            self._drop()
        return findings

    def _resident(self, key: BaseKey, case: Case) -> ResidentBase:
        """Give the base, warm if it is the same as before, and with as many embeddings as the adapter brings."""
        if self._base is None or self._base.key != key:
            self._drop()
            self.tell("loading_base")
            self._base = load(key, self._share)
        rows = names.embedding_rows(case.held)
        if rows is not None and rows != self._base.rows:
            self._drop()
            self._base = load(replace(key, rows=rows), self._share)
        return self._base

    def _batches(self, case: Case) -> tuple[Batch, Batch]:
        """Tokenize the probe examples, and a part of them, with the adapter's tokenizer, or else the base's."""
        request, base = case.request, case.resident
        folder, trusted = Path(request.base.path), request.base.trust_remote_code
        own = self._tokenizers.of(case.snapshot)
        of_base = self._tokenizers.of(folder, gguf_file(folder), trusted=trusted)
        added: frozenset[int] = frozenset()
        if own.tokenizer is not None and own is not of_base:
            case.token_limit = own.limit
            added = own.ids - of_base.ids if of_base.tokenizer is not None else added
        case.trained = attach.trained_tokens(case.config) | added
        wanted = Wanted(
            task=case.task,
            tokens=request.tokens,
            rows=base.rows,
            trained=tuple(case.trained),
            invocation=tuple(case.config.get("alora_invocation_tokens") or ()),
            classes=getattr(base.model.config, "label2id", None),
        )
        tokenizer, examples = own.tokenizer or of_base.tokenizer, request.examples or BUILT_IN
        some = replace(wanted, trained=())
        return (
            batch_for(base.model, tokenizer, examples, wanted),
            batch_for(base.model, tokenizer, examples[:_SPOT], some),
        )

    def _drop(self) -> None:
        """Give the base's memory back."""
        self._base = None
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _result(
        self,
        request: ProbeRequest,
        findings: list[Reason],
        measurements: dict[str, Any],
        start: float,
        base: ResidentBase | None = None,
    ) -> ProbeResult:
        """Put together what was found."""
        measurements = {name: value for name, value in measurements.items() if value is not None}
        measurements["peak_rss"] = peak_memory()
        if base is not None and base.key.device.startswith("cuda"):
            measurements["peak_device_bytes"] = torch.cuda.max_memory_allocated(base.key.device)
        digest = fingerprint(request.base, self.hashes) if base is not None else ""
        measurements["seconds"] = round(time.perf_counter() - start, 3)
        return ProbeResult(
            findings=tuple(findings),
            measurements=measurements,
            device=base.key.device if base is not None else "",
            dtype=base.dtype if base is not None else "",
            versions=VERSIONS,
            base_fingerprint=digest,
        )


def peak_memory() -> int:
    """The most memory that this process had so far, in bytes; what a parent had before it is not counted."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def _of(case: Case) -> dict[str, torch.Tensor]:
    """The tensors that have a place in the adapter."""
    return {key: tensor for key, tensor in case.tensors.items() if key in case.shape().expected}


def _vocabulary(folder: Path) -> int | None:
    """How many embeddings the base's config names; None where it names none."""
    fields = plain_config(folder)
    inner = fields.get("text_config")
    size = fields.get("vocab_size") or (inner.get("vocab_size") if isinstance(inner, dict) else None)
    return size if isinstance(size, int) else None


def _told(exc: Exception, request: ProbeRequest) -> str:
    """Give class and first line of an exception, without this host's paths."""
    text = str(exc)
    for path, name in ((request.snapshot, "the adapter"), (request.base.path, "the base model")):
        text = text.replace(f"{path}/", "").replace(path, name)
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return f"{type(exc).__name__}: {line[:_LONGEST]}" if line else type(exc).__name__
