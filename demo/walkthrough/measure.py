"""Logits and loss of a model on a few texts; for the scripts that hold a model."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

LENGTH = 96
"""Tokens of each text that are looked at."""


def logits(model: Any, tokenizer: Any, texts: Sequence[str], length: int = LENGTH) -> list[torch.Tensor]:  # noqa: ANN401 - transformers is not followed by mypy
    """The logits of every text, one forward pass each: no padding has a say in them."""
    model.eval()
    with torch.inference_mode():
        return [model(input_ids=ids(tokenizer, text, length)).logits[0].float() for text in texts]


def loss(model: Any, tokenizer: Any, texts: Sequence[str], length: int = LENGTH) -> float:  # noqa: ANN401 - the same
    """Mean nats per token on the texts."""
    total, count = 0.0, 0
    for text, found in zip(texts, logits(model, tokenizer, texts, length), strict=True):
        wanted = ids(tokenizer, text, length)[0, 1:]
        total += float(torch.nn.functional.cross_entropy(found[:-1], wanted, reduction="sum"))
        count += len(wanted)
    return total / count


def distance(one: Sequence[torch.Tensor], other: Sequence[torch.Tensor]) -> float:
    """The largest absolute difference; exactly zero where the two are equal bit for bit."""
    return max(float((a - b).abs().max()) for a, b in zip(one, other, strict=True))


def ids(tokenizer: Any, text: str, length: int) -> torch.Tensor:  # noqa: ANN401 - the same
    """The text as a batch of one."""
    return torch.tensor([tokenizer(text)["input_ids"][:length]])


def write_report(file: Path, found: Mapping[str, Any]) -> None:
    """Leave the figures for whoever started this script."""
    aside = file.with_suffix(".part")
    aside.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    aside.replace(file)
