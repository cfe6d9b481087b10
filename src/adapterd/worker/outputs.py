"""One forward pass, and what two sets of outputs say about each other."""

import math
import time
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from peft import PeftModel
from torch.nn import functional

from adapterd.worker.inputs import IGNORED, Batch

_ROWS = 64
"""Positions compared at a time: a whole batch over a large vocabulary, in float32, would double the memory."""
_PER_POSITION = 3


@dataclass(frozen=True, slots=True)
class Outputs:
    """What a model answers: logits or hidden states per counted position, or logits per text; on the CPU.

    `noise` is the largest difference between two passes of the same model: zero where it is deterministic. `sums` are
    kept the first time they are asked for.
    """

    values: torch.Tensor
    seconds: float
    noise: float = 0.0
    sums: dict[str, torch.Tensor] = field(default_factory=dict)

    @property
    def finite(self) -> bool:
        """Whether there is no NaN and no Inf."""
        return math.isfinite(self.largest)

    @property
    def largest(self) -> float:
        """The largest absolute value; NaN where any is."""
        if "largest" not in self.sums:
            self.sums["largest"] = torch.stack(torch.aminmax(self.values)).float().abs().max()
        return float(self.sums["largest"])

    def with_noise_of(self, other: "Outputs") -> "Outputs":
        """Give the same, knowing how far another pass of the same model was away."""
        return replace(self, noise=0.0 if self.same(other) else largest_change(self, other))

    def same(self, other: "Outputs") -> bool:
        """Whether the two are bitwise equal."""
        return bool(torch.equal(self.values, other.values))

    def as_before(self, before: "Outputs") -> bool:
        """Whether the two differ by no more than the model's own noise."""
        return self.same(before) or (before.noise > 0 and largest_change(self, before) <= 2 * before.noise)

    def normaliser(self) -> torch.Tensor:
        """The logarithm of the sum of exponentials at each position, in float32."""
        if "normaliser" not in self.sums:
            self.sums["normaliser"] = torch.cat([part.float().logsumexp(-1) for part in self.values.split(_ROWS)])
        return self.sums["normaliser"]


def forward(model: Any, batch: Batch) -> Outputs:  # noqa: ANN401 - a model, or a PeftModel around it
    """Run one pass over the batch."""
    device = model.device
    inputs = {
        name: tensor.to(model.dtype) if tensor.is_floating_point() else tensor
        for name, tensor in batch.at(device).items()
    }
    if "input_ids" not in inputs and isinstance(model, PeftModel) and not model.active_peft_config.is_prompt_learning:
        model = model.base_model  # PEFT's own classes pass token ids on, given or not
    start = time.perf_counter()
    with torch.inference_mode():
        values = _answer(model(**inputs))
        if values.dim() == _PER_POSITION and batch.mask is not None:
            # Virtual tokens of a prompt stand in front.
            values = values[:, -batch.mask.shape[1] :][batch.mask.bool().to(values.device)]
        values = values.cpu()
    return Outputs(values, time.perf_counter() - start)


def _answer(answer: Any) -> torch.Tensor:  # noqa: ANN401 - transformers' outputs
    """What a model's task gives: logits, start and end of an answer, or the last hidden state."""
    if "start_logits" in answer:
        return torch.stack([answer["start_logits"], answer["end_logits"]], dim=-1)
    for name in ("logits", "last_hidden_state"):
        if name in answer and isinstance(answer[name], torch.Tensor):
            return answer[name]
    return next(value for value in answer.values() if isinstance(value, torch.Tensor))


def largest_change(one: Outputs, other: Outputs) -> float:
    """Give the largest absolute difference."""
    pairs = zip(one.values.split(_ROWS), other.values.split(_ROWS), strict=True)
    return max(float((a.float() - b.float()).abs().max()) for a, b in pairs)


def mean_loss(outputs: Outputs, targets: torch.Tensor) -> float | None:
    """Give mean nats per target; None where there is none, or where one names no output."""
    counted = targets != IGNORED
    if not counted.any() or int(targets.max()) >= outputs.values.shape[-1]:
        return None
    wanted = targets[counted]
    hit = outputs.values[counted].gather(-1, wanted[:, None])[:, 0].float()
    return float((outputs.normaliser()[counted] - hit).mean())


def mean_divergence(base: Outputs, adapter: Outputs) -> float:
    """Give the mean Kullback-Leibler divergence per position, base to adapter, in nats."""
    total = 0.0
    split = zip(
        base.values.split(_ROWS),
        adapter.values.split(_ROWS),
        base.normaliser().split(_ROWS),
        adapter.normaliser().split(_ROWS),
        strict=True,
    )
    for before, after, old, new in split:
        log_old = before.float() - old[:, None]
        rise = log_old - after.float()
        total += float((log_old.exp_() * rise).sum() + new.sum())
    return max(total / len(base.values), 0.0)


def mean_cosine(base: Outputs, adapter: Outputs) -> float:
    """Give the mean cosine between hidden states."""
    return float(functional.cosine_similarity(base.values.float(), adapter.values.float(), dim=-1).mean())
