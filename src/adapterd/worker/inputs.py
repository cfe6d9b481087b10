"""From probe examples to a model's inputs: token ids, targets, and made-up sound and pictures where it wants those."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer

from adapterd.core.examples import Example
from adapterd.worker.architecture import LANGUAGE, SEQ_2_SEQ_LM, SEQ_CLS

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "vocab.txt", "spiece.model")
IGNORED = -100
"""The target of a position that no loss is taken of."""
_MOST_TOUCHED = 2048
"""Trained or added token ids that are touched at the most."""
_PICTURES = 2


class UnknownInputError(Exception):
    """The model takes something that no input is made of here."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Inputs of one forward pass over all examples, padded on the right.

    Attributes:
        inputs: by the names of the model's own arguments.
        mask: which positions of outputs per position count, (texts, positions); None for outputs per text.
        targets: the token that should follow at each counted position, or the class of each text; IGNORED for none.
        digest: names all of it.
        tokens: token ids in it, without padding.
        largest: the largest token id.
        touched: trained or added token ids in it, of how many.
    """

    inputs: Mapping[str, torch.Tensor]
    mask: torch.Tensor | None
    targets: torch.Tensor | None
    digest: str
    texts: int
    tokens: int
    largest: int
    touched: tuple[int, int] = (0, 0)

    def at(self, device: torch.device) -> dict[str, torch.Tensor]:
        """The inputs on a device."""
        return {name: tensor.to(device) for name, tensor in self.inputs.items()}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a batch is made for.

    Attributes:
        tokens: of each example that are used.
        rows: token ids that the base knows; larger ones are folded into them.
        trained: token ids that the adapter trained or added, which generated sequences touch.
        invocation: token ids after which alone the adapter acts (aLoRA).
        classes: index of a class by its name.
    """

    task: str
    tokens: int
    rows: int
    trained: Sequence[int] = ()
    invocation: Sequence[int] = ()
    classes: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class _Row:
    """One sequence: ids, for each the id that should be said there, and what an encoder reads."""

    ids: list[int]
    targets: list[int]
    source: list[int]


def batch_for(model: Any, tokenizer: Any, examples: Sequence[Example], wanted: Wanted) -> Batch:  # noqa: ANN401 - transformers' model, and tokenizer or None
    """Make the batch that a model takes."""
    config, main = model.config, model.main_input_name
    decodes = bool(getattr(config, "is_encoder_decoder", False)) and wanted.task == SEQ_2_SEQ_LM
    rows = [_row(tokenizer, number, example, wanted, decodes=decodes) for number, example in enumerate(examples)]
    trained = [number for number in sorted(set(wanted.trained)) if 0 <= number < wanted.rows]
    touching = trained[:_MOST_TOUCHED]
    rows += _touching(touching, wanted.tokens)
    if wanted.invocation:
        rows = [_invoking(row, [n % wanted.rows for n in wanted.invocation]) for row in rows]
    if wanted.task == SEQ_CLS and getattr(config, "is_encoder_decoder", False):
        rows = [_ended(row, config.eos_token_id) for row in rows]
    pad = getattr(config, "pad_token_id", None) or 0
    ids, mask = _padded([row.ids for row in rows], pad)
    targets = _padded([row.targets for row in rows], IGNORED)[0][mask.bool()]
    texts = len(rows)
    if decodes:
        start = getattr(config, "decoder_start_token_id", None)
        first = torch.full((texts, 1), pad if start is None else start)
        # The decoder is given what came before.
        inputs = {"decoder_input_ids": torch.cat([first, ids[:, :-1]], dim=1)}
        if main == "input_ids":
            source, attended = _padded([row.source for row in rows], pad)
            inputs |= {"input_ids": source, "attention_mask": attended}
        else:
            inputs |= {main: _made_up(config, main, texts)}
    elif main != "input_ids":
        inputs = {main: _made_up(config, main, _PICTURES)}
        return Batch(inputs, None, None, _digest(inputs), _PICTURES, 0, -1)
    else:
        inputs = {"input_ids": ids, "attention_mask": mask}
    digest = _digest(inputs | {"targets": targets})
    per_text = wanted.task == SEQ_CLS
    if per_text:
        targets = torch.tensor([_class(e, wanted.classes) for e in examples] + [IGNORED] * (texts - len(examples)))
    known = targets if per_text or wanted.task in LANGUAGE else None
    size, largest = int(mask.sum()), max(max(row.ids) for row in rows)
    return Batch(
        inputs, None if per_text else mask, known, digest, texts, size, largest, (len(touching), len(wanted.trained))
    )


def _row(tokenizer: Any, number: int, example: Example, wanted: Wanted, *, decodes: bool) -> _Row:  # noqa: ANN401 - transformers' tokenizer, or None
    """Tokenize one example; where no tokenizer is at hand, make up ids that are the same each time."""
    if tokenizer is None:
        ids = [(7 + 31 * number + 13 * at) % wanted.rows for at in range(wanted.tokens)]
        return _Row(ids, ids if decodes else _following(ids, 0), ids)
    prompt = list(tokenizer(example.prompt)["input_ids"])[: wanted.tokens] or [0]
    if not example.completion:
        ids = [number % wanted.rows for number in prompt]
        return _Row(ids, ids if decodes else _following(ids, 0), ids)
    answer = list(tokenizer(example.completion, add_special_tokens=False)["input_ids"])[: wanted.tokens]
    source, answer = [n % wanted.rows for n in prompt], [n % wanted.rows for n in answer]
    if decodes:
        return _Row(answer or source, answer or source, source)
    # The end of a long prompt is what its completion follows from.
    room = max(wanted.tokens - len(answer), 1)
    ids = source[-room:] + answer
    return _Row(ids, _following(ids, len(ids) - len(answer)), source)


def _following(ids: list[int], first: int) -> list[int]:
    """For each position the id that follows, where the loss is taken of it: those from `first` on."""
    return [ids[at] if at >= first and at < len(ids) else IGNORED for at in range(1, len(ids) + 1)]


def _touching(trained: Sequence[int], tokens: int) -> list[_Row]:
    """Sequences in which every trained or added token stands; no loss is taken of them."""
    chunks = [list(trained[at : at + tokens]) for at in range(0, len(trained), tokens)]
    return [_Row(chunk, [IGNORED] * len(chunk), chunk) for chunk in chunks]


def _invoking(row: _Row, invocation: list[int]) -> _Row:
    """The sequence with the invocation in front: all that follows is the adapter's."""
    return _Row(invocation + row.ids, [IGNORED] * len(invocation) + row.targets, row.source)


def _ended(row: _Row, end: int) -> _Row:
    """The sequence with one end in it, the last: an encoder-decoder reads its classes there."""
    ids = [number for number in row.ids if number != end] + [end]
    return _Row(ids, [IGNORED] * len(ids), ids)


def _padded(rows: Sequence[list[int]], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows as one tensor, padded on the right, and the mask of what is no padding."""
    width = max(len(row) for row in rows)
    ids = torch.tensor([row + [pad] * (width - len(row)) for row in rows])
    return ids, torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])


def _made_up(config: Any, main: str, count: int) -> torch.Tensor:  # noqa: ANN401 - a config of transformers
    """Sound or pictures of noise that is the same each time, in the sizes that the config names."""
    inner = getattr(config, "vision_config", config) if main == "pixel_values" else config
    if main == "input_features":
        sizes: tuple[int, ...] = (config.num_mel_bins, 2 * getattr(config, "max_source_positions", 1500))
    elif main == "pixel_values":
        size = inner.image_size
        sizes = (inner.num_channels, size, size) if isinstance(size, int) else (inner.num_channels, *size)
    elif main == "input_values":
        sizes = (16_000,)
    else:
        raise UnknownInputError(f"the base model takes {main}, of which adapterd makes none")
    return torch.randn(count, *sizes, generator=torch.Generator().manual_seed(0))


def _class(example: Example, classes: Mapping[str, int] | None) -> int:
    """The index of an example's class."""
    if isinstance(example.label, str):
        return (classes or {}).get(example.label, IGNORED)
    return IGNORED if example.label is None else example.label


def _digest(tensors: Mapping[str, torch.Tensor]) -> str:
    """Name tensors by their content."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tuple(tensor.shape)} ".encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def find_tokenizer(folder: Path, gguf: str | None = None, *, trusted: bool = False) -> Any:  # noqa: ANN401 - transformers' tokenizer, or None
    """Load the tokenizer of a folder or of the GGUF file in it; None where a library for its kind is not installed."""
    options = {"gguf_file": gguf} if gguf else {}
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=trusted, **options)
    except ImportError:
        return None
