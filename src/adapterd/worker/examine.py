"""One adapter in its base: attached, compared, loaded, probed. What it leaves behind is not looked at here."""

import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from adapterd.core.examples import BUILT_IN
from adapterd.core.reasons import reason
from adapterd.core.variants import quantization_of
from adapterd.core.version import Reason
from adapterd.worker import attach, golden, probes, structure
from adapterd.worker.architecture import gguf_file
from adapterd.worker.case import Case
from adapterd.worker.devices import is_device_fault, ran_out
from adapterd.worker.inputs import Batch, UnknownInputError, Wanted, batch_for
from adapterd.worker.outputs import forward, largest_change
from adapterd.worker.probes import look
from adapterd.worker.structure import Structure
from adapterd.worker.tokenizers import Tokenizers
from adapterd.worker.versions import VERSIONS

_SPOT, _SPOT_TOKENS = 1, 16
"""Examples, and tokens of each, on which passes are repeated."""
_NEAR = 4
"""Outputs that move by less than this many steps of their type may be noise: then the null adapter is asked."""


def examine(case: Case, tokenizers: Tokenizers, tell: Callable[[str], None]) -> list[Reason]:
    """Attach the adapter to its base and make the passes, level by level, as far as nothing speaks against it."""
    base = case.resident
    tell("attaching")
    try:
        case.batch, case.spot = _batches(case, tokenizers)
    except UnknownInputError as exc:
        return [reason("unsupported_input", str(exc))]
    if case.structure is not None and (findings := look(case, probes.BASE)):
        return findings
    try:
        base.answer(case.spot, forward)
        case.before = base.answer(case.batch, forward)
    except Exception as exc:  # no adapter is in it yet
        if ran_out(exc) or is_device_fault(exc):
            raise
        traceback.print_exc()
        told = f"the base model alone cannot be run on {', '.join(case.batch.inputs)}: {type(exc).__name__}"
        return [reason("unsupported_input", told)]
    case.golden_base = _golden_base(case)
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
    tell("probing")
    with attach.watched(case.model, case.name) as idle:
        case.first = forward(case.model, case.batch)
    case.idle = tuple(sorted(idle))
    case.twice = (forward(case.model, case.spot), forward(case.model, case.spot))
    case.golden = _golden(case)
    if at_rest and _near(case):
        attach.put(case.model, at_rest, case.name)
        case.null = forward(case.model, case.batch)
    return look(case, probes.OUTPUTS)


def _batches(case: Case, tokenizers: Tokenizers) -> tuple[Batch, Batch]:
    """Tokenize the probe examples, and a part of them, with the adapter's tokenizer, or else the base's."""
    request, base = case.request, case.resident
    folder, trusted = Path(request.base.path), request.base.trust_remote_code
    own = tokenizers.of(case.snapshot)
    of_base = tokenizers.of(folder, gguf_file(folder), trusted=trusted)
    added: frozenset[int] = frozenset()
    if own.tokenizer is not None and own is not of_base:
        case.token_limit = own.limit
        added = own.ids - of_base.ids if of_base.tokenizer is not None else added
    case.trained = attach.trained_tokens(case.config) | added
    wanted = Wanted(
        task=case.task,
        tokens=request.tokens,
        rows=max(base.rows, 1),
        trained=tuple(case.trained),
        invocation=tuple(case.config.get("alora_invocation_tokens") or ()),
        classes=getattr(base.model.config, "label2id", None),
    )
    leading = (*wanted.invocation, *sorted(attach.trained_tokens(case.config)))
    case.prompts = golden.prompts(own.tokenizer or of_base.tokenizer, max(base.rows, 1), leading=leading)
    tokenizer, examples = own.tokenizer or of_base.tokenizer, request.examples or BUILT_IN
    some = replace(wanted, trained=(), tokens=min(request.tokens, _SPOT_TOKENS))
    return (
        batch_for(base.model, tokenizer, examples, wanted),
        batch_for(base.model, tokenizer, examples[:_SPOT], some),
    )


def _golden_base(case: Case) -> golden.Observed | None:
    """What the bare base answers on the golden prompts; asked once."""
    base, asked = case.resident, case.prompts
    if asked is None:
        return None
    if asked.digest not in base.golden:
        base.golden = {asked.digest: _asked(base.model, asked, case.task)}
        base.standing.retake()
    found: golden.Observed | None = base.golden[asked.digest]
    return found


def _golden(case: Case) -> dict[str, Any] | None:
    """The golden outputs of the adapter and the base, as they will stand in the manifest."""
    base = case.resident
    if case.prompts is None or case.golden_base is None or case.before is None:
        return None
    answered = _asked(case.model, case.prompts, case.task)
    return golden.document(
        case.prompts,
        case.golden_base,
        answered,
        device=base.device,
        dtype=base.dtype,
        versions=VERSIONS,
        noise=case.before.noise,
        quantization=quantization_of(base.key.base.quantization),
    )


def _near(case: Case) -> bool:
    """Whether the outputs moved so little that it might be rounding."""
    before, first, _ = case.outputs()
    if before.values.shape != first.values.shape or not (before.finite and first.finite):
        return False
    kind = getattr(torch, case.resident.dtype)
    step: float = torch.finfo(kind).eps
    return largest_change(before, first) <= _NEAR * step * before.largest


def _asked(model: Any, prompts: golden.Prompts, task: str) -> golden.Observed | None:  # noqa: ANN401 - a model, or a PeftModel
    """Ask for golden outputs; a model that cannot be asked so has none, which is no fault of the adapter."""
    try:
        return golden.observe(model, prompts, task=task)
    except Exception as exc:
        if ran_out(exc) or is_device_fault(exc):
            raise
        traceback.print_exc()  # into the report's log tail
        return None


def _of(case: Case) -> dict[str, torch.Tensor]:
    """The tensors that have a place in the adapter."""
    return {key: tensor for key, tensor in case.tensors.items() if key in case.shape().expected}
