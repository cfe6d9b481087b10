"""One request from its files to its numbers, over the resident base."""

import gc
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from hashlib import sha256
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
from adapterd.worker import attach, probes
from adapterd.worker.base import SEQ_CLS, BaseKey, ResidentBase, fingerprint, gguf_file, load, task_of, weight_bytes
from adapterd.worker.case import Case
from adapterd.worker.devices import candidates, is_device_fault, missing, ran_out, room
from adapterd.worker.files import BadFileError, read_config, read_weights
from adapterd.worker.outputs import TOKENIZER_FILES, Batch, encode, find_tokenizer, forward
from adapterd.worker.probes import look

VERSIONS = {"python": python_version()} | {
    name: version(name) for name in ("torch", "transformers", "peft", "safetensors")
}
_LONGEST = 400
"""Characters of an exception's text that are kept."""
_TOKENIZERS = 3
"""How many tokenizers are kept beside the newest."""


class BusyError(Exception):
    """No listed device has room now; `absent` tells that this host has none of them."""

    def __init__(self, message: str, *, absent: bool) -> None:
        """Keep the two apart."""
        super().__init__(message)
        self.absent = absent


@dataclass
class Bench:
    """Measures one adapter after the other, and keeps what the next one can use.

    Attributes:
        tell: called with what is being done, for the one who waits.
        hashes: digests of base files by file identity.
    """

    tell: Callable[[str], None] = lambda _: None
    hashes: dict[str, str] = field(default_factory=dict)
    _base: ResidentBase | None = None
    _tokenizers: dict[str, Any] = field(default_factory=dict)
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
            return self._result(request, [reason(exc.code, str(exc))], {}, start)
        self._count += 1
        case = Case(request, config, weights, name=f"probe{self._count}")
        findings = look(case, probes.FILES)
        if not findings:
            findings = self._on_a_device(case)
        return self._result(request, findings, case.measurements, start, case.base)

    def _on_a_device(self, case: Case) -> list[Reason]:
        """Measure on the first listed device that has room."""
        folder = Path(case.request.base.path)
        if not folder.is_dir():
            return [reason("base_not_at_hand", "the folder of the base model is not there")]
        if (folder / CONFIG).exists():
            text = (
                f"the folder of the base model holds an adapter too ({CONFIG}), which transformers would load with it"
            )
            return [
                reason("base_not_at_hand", text, "give a folder with the base model alone under base_models[].path")
            ]
        task = task_of(case.config, folder)
        case.measurements["task"] = task
        if task not in ("CAUSAL_LM", "SEQ_CLS", "FEATURE_EXTRACTION"):
            return [reason("unsupported_task", f"the task type is {task or 'not named, and the base does not tell'}")]
        refusals = []
        devices = candidates(case.request.devices)
        for device in devices:
            key = self._key(case, device, task)
            resident = self._base is not None and self._base.key == key
            if not resident:
                self._drop()
            refusal = None if resident else room(device, weight_bytes(folder))
            if refusal is None:
                try:
                    return self._in_base(case, key)
                except Exception as exc:
                    if not ran_out(exc):
                        raise
                    self._drop()
                    case.model = case.base = None
                    if device == "cpu":
                        raise MemoryError(str(exc)) from exc
                    refusal = "ran out of memory"
            refusals.append(f"{device}: {refusal}")
        raise BusyError("; ".join(refusals) or "no device is listed", absent=all(map(missing, devices)))

    def _key(self, case: Case, device: str, task: str) -> BaseKey:
        """Say which base this adapter needs."""
        base = case.request.base
        dtype = case.request.dtype if case.request.dtype != "auto" else base.dtype
        labels = probes.label_count(case.weights) if task == SEQ_CLS else None
        case.measurements["labels"] = labels
        return BaseKey(base.path, base.revision, dtype, device, task, labels)

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
        case.batch = self._batch(case)
        if findings := look(case, probes.BASE):
            return findings
        case.before = base.answer(case.batch, forward)
        case.model = attach.inject(base.model, case.snapshot, case.name)
        case.expected = attach.expected(case.model, case.name)
        if findings := look(case, probes.STRUCTURE):
            return findings
        resized = base.key.rows is not None  # embeddings of the base's own size are the base's, bit by bit
        attach.load(case.model, case.weights, case.weights.tensors if resized else case.expected, case.name)
        if findings := look(case, probes.LOADED):
            return findings
        self.tell("probing")
        case.first = forward(case.model, case.batch)
        case.second = forward(case.model, case.batch)
        return look(case, probes.OUTPUTS)

    def _removed(self, case: Case) -> list[Reason]:
        """Put the base back and look whether it is what it was; if there is any doubt, throw it away."""
        self.tell("removing")
        case.model = None
        case.resident.standing.restore()
        if case.first is not None and case.batch is not None and not case.dirty:
            case.after = forward(case.resident.model, case.batch)
        findings = look(case, probes.REMOVED)
        if findings or case.dirty:
            self._drop()
        return findings

    def _resident(self, key: BaseKey, case: Case) -> ResidentBase:
        """Give the base, warm if it is the same as before, and with as many embeddings as the adapter brings."""
        if self._base is None or self._base.key != key:
            self._drop()
            self.tell("loading_base")
            self._base = load(key)
        rows = probes.embedding_rows(case.weights)
        if rows is not None and rows != self._base.rows:
            self._drop()
            self._base = load(replace(key, rows=rows))
        return self._base

    def _batch(self, case: Case) -> Batch:
        """Tokenize the probe texts with the adapter's tokenizer, or else the base's."""
        folder, base = Path(case.request.base.path), case.resident
        own, of_base = self._tokenizer(case.snapshot), self._tokenizer(folder, gguf_file(folder))
        if own is not None and own is not of_base:
            case.token_limit = max(own.get_vocab().values(), default=-1) + 1
        texts, pad = (
            tuple(e.prompt + e.completion for e in case.request.examples or BUILT_IN),
            base.model.config.pad_token_id,
        )
        return encode(own or of_base, texts, case.request.tokens, base.rows, pad)

    def _tokenizer(self, folder: Path, gguf: str | None = None) -> Any:  # noqa: ANN401 - transformers' tokenizer, or None
        """Give a folder's tokenizer; the adapters of one base mostly bring the same."""
        files = [folder / name for name in TOKENIZER_FILES if (folder / name).exists()]
        key = sha256(b"".join(sha256(path.read_bytes()).digest() for path in files)).hexdigest() if files else gguf
        if key is None:
            return None
        if key not in self._tokenizers:
            kept = list(self._tokenizers.items())[-_TOKENIZERS:]
            self._tokenizers = dict(kept) | {key: find_tokenizer(folder, gguf)}
        return self._tokenizers[key]

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
        measurements["peak_rss"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
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


def _told(exc: Exception, request: ProbeRequest) -> str:
    """Give class and first line of an exception, without this host's paths."""
    text = str(exc)
    for path, name in ((request.snapshot, "the adapter"), (request.base.path, "the base model")):
        text = text.replace(f"{path}/", "").replace(path, name)
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return f"{type(exc).__name__}: {line[:_LONGEST]}" if line else type(exc).__name__
