"""Probe texts as a batch, one forward pass, and what two sets of outputs say about each other."""

import hashlib
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional
from transformers import AutoTokenizer

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "tokenizer.model")

_ROWS = 64
"""Positions compared at a time: a whole batch over a large vocabulary, in float32, would double the memory."""
_IGNORED = -100


@dataclass(frozen=True, slots=True)
class Batch:
    """Token ids of all probe texts, padded on the right; `digest` names it."""

    ids: torch.Tensor
    mask: torch.Tensor
    digest: str

    @property
    def tokens(self) -> int:
        """Tokens without padding."""
        return int(self.mask.sum())

    @property
    def largest(self) -> int:
        """The largest token id."""
        return int(self.ids.max())

    def targets(self) -> torch.Tensor:
        """Give for each real position the token that follows, where one does."""
        following = torch.full_like(self.ids, _IGNORED)
        following[:, :-1] = torch.where(self.mask[:, 1:].bool(), self.ids[:, 1:], _IGNORED)
        return following[self.mask.bool()]


@dataclass(frozen=True, slots=True)
class Outputs:
    """What a model answers: logits or hidden states per real position, or logits per text; on the CPU.

    `noise` is the largest difference between two passes of the same model: zero where it is deterministic.
    """

    values: torch.Tensor
    seconds: float
    noise: float = 0.0

    @property
    def finite(self) -> bool:
        """Whether there is no NaN and no Inf."""
        return bool(torch.isfinite(self.values).all())

    def with_noise_of(self, other: "Outputs") -> "Outputs":
        """Give the same, knowing how far another pass of the same model was away."""
        return replace(self, noise=0.0 if self.same(other) else largest_change(self, other))

    def same(self, other: "Outputs") -> bool:
        """Whether the two are bitwise equal."""
        return bool(torch.equal(self.values, other.values))

    def as_before(self, before: "Outputs") -> bool:
        """Whether the two differ by no more than the model's own noise."""
        return self.same(before) or (before.noise > 0 and largest_change(self, before) <= 2 * before.noise)


def encode(tokenizer: Any, texts: tuple[str, ...], tokens: int, rows: int, pad: int) -> Batch:  # noqa: ANN401 - transformers' tokenizer, or None
    """Make a batch of the texts; where no tokenizer is at hand, of made-up ids that are the same each time.

    `rows` is the number of token ids that the base knows, `pad` the id that it takes for padding.
    """
    if tokenizer is not None:
        encoded = [list(tokenizer(text)["input_ids"])[:tokens] for text in texts]
    else:
        encoded = [[(7 + 31 * number + 13 * at) % rows for at in range(tokens)] for number in range(len(texts))]
    encoded = [[number % rows for number in ids] for ids in encoded if ids] or [[0]]
    width = max(len(ids) for ids in encoded)
    ids = torch.tensor([row + [pad] * (width - len(row)) for row in encoded])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in encoded])
    digest = hashlib.sha256(repr(encoded).encode()).hexdigest()
    return Batch(ids, mask, digest)


def find_tokenizer(folder: Path, gguf: str | None = None) -> Any:  # noqa: ANN401 - transformers' tokenizer, or None
    """Load the tokenizer of a folder or of the GGUF file in it; None where a library for its kind is not installed."""
    options = {"gguf_file": gguf} if gguf else {}
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False, **options)
    except ImportError:
        return None


def forward(model: Any, batch: Batch) -> Outputs:  # noqa: ANN401 - a model, or a PeftModel around it
    """Run one pass over the batch."""
    device = model.device
    ids, mask = batch.ids.to(device), batch.mask.to(device)
    start = time.perf_counter()
    with torch.inference_mode():
        answer = model(input_ids=ids, attention_mask=mask)
        values = answer["logits"] if "logits" in answer else answer["last_hidden_state"]
        if values.dim() == 3:  # noqa: PLR2004 - text, position, value; virtual tokens of a prompt stand in front
            values = values[:, -ids.shape[1] :][mask.bool()]
        values = values.cpu()
    return Outputs(values, time.perf_counter() - start)


def largest_change(one: Outputs, other: Outputs) -> float:
    """Give the largest absolute difference."""
    pairs = zip(one.values.split(_ROWS), other.values.split(_ROWS), strict=True)
    return max(float((a.float() - b.float()).abs().max()) for a, b in pairs)


def mean_loss(outputs: Outputs, targets: torch.Tensor) -> float:
    """Give mean nats per token."""
    total, count = 0.0, 0
    for logits, wanted in zip(outputs.values.split(_ROWS), targets.split(_ROWS), strict=True):
        total += float(functional.cross_entropy(logits.float(), wanted, ignore_index=_IGNORED, reduction="sum"))
        count += int((wanted != _IGNORED).sum())
    return total / max(count, 1)


def mean_divergence(base: Outputs, adapter: Outputs) -> float:
    """Give the mean Kullback-Leibler divergence per position, base to adapter, in nats."""
    total = 0.0
    for before, after in zip(base.values.split(_ROWS), adapter.values.split(_ROWS), strict=True):
        old, new = functional.log_softmax(before.float(), -1), functional.log_softmax(after.float(), -1)
        total += float(functional.kl_div(new, old, reduction="sum", log_target=True))
    return total / len(base.values)


def mean_cosine(base: Outputs, adapter: Outputs) -> float:
    """Give the mean cosine between hidden states."""
    return float(functional.cosine_similarity(base.values.float(), adapter.values.float(), dim=-1).mean())
