"""Ways to break a saved adapter: each gives a change that is made in place to a copy of a good one's folder."""

import json
import os
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
PICKLE, INDEX = "adapter_model.bin", "adapter_model.safetensors.index.json"
PAGE = 4096

Tensors = dict[str, torch.Tensor]
Change = Callable[[Path], object]
Edit = Callable[[torch.Tensor], torch.Tensor]


def nothing(_: Path) -> None:
    """Leave it as it is: what is wrong lies elsewhere."""


def every(*changes: Change) -> Change:
    """Make several changes, one after the other."""

    def change(folder: Path) -> None:
        for each in changes:
            each(folder)

    return change


def weights(edit: Callable[[Tensors], Tensors]) -> Change:
    """Change the tensors of the file as a whole."""

    def change(folder: Path) -> None:
        tensors = {key: tensor.contiguous() for key, tensor in edit(load_file(folder / WEIGHTS)).items()}
        save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})

    return change


def tensors(part: str, edit: Edit) -> Change:
    """Change every tensor whose key this regular expression is found in."""
    return weights(lambda held: {key: edit(t).clone() if re.search(part, key) else t for key, t in held.items()})


def first(part: str, edit: Edit) -> Change:
    """Change the first tensor whose key this regular expression is found in."""

    def change(held: Tensors) -> Tensors:
        key = next(key for key in held if re.search(part, key))
        return held | {key: edit(held[key]).clone()}

    return weights(change)


def renamed(old: str, new: str) -> Change:
    """Rename every key by a regular expression; one that names nothing is a mistake of the corpus."""

    def change(held: Tensors) -> Tensors:
        fresh = {re.sub(old, new, key): tensor for key, tensor in held.items()}
        if fresh.keys() == held.keys() or len(fresh) != len(held):
            raise AssertionError(f"{old} -> {new} does not rename {min(held)}")
        return fresh

    return weights(change)


def without(part: str) -> Change:
    """Leave out every tensor whose key this regular expression is found in."""

    def change(held: Tensors) -> Tensors:
        kept = {key: tensor for key, tensor in held.items() if not re.search(part, key)}
        if len(kept) == len(held):
            raise AssertionError(f"{part} is in none of {sorted(held)}")
        return kept

    return weights(change)


def added(key: str, *shape: int) -> Change:
    """Add a tensor of small numbers."""
    return weights(lambda held: held | {key: torch.full(shape, 0.1)})


def exchanged(one: str, other: str) -> Change:
    """Exchange the tensors of two parts of the model."""

    def change(held: Tensors) -> Tensors:
        turn = {one: other, other: one}
        either = f"{re.escape(one)}|{re.escape(other)}"
        return {key: held[re.sub(either, lambda found: turn[found[0]], key)] for key in held}

    return weights(change)


def poisoned(value: float) -> Edit:
    """Set one value in the middle."""

    def edit(tensor: torch.Tensor) -> torch.Tensor:
        tensor = tensor.clone()
        tensor.view(-1)[tensor.numel() // 2] = value
        return tensor

    return edit


def flipped(tensor: torch.Tensor) -> torch.Tensor:
    """Flip the highest bit of the exponent of the largest value, as a fault of memory does."""
    kind, bit = {torch.float32: (torch.int32, 30), torch.bfloat16: (torch.int16, 14)}[tensor.dtype]
    bits = tensor.clone().view(-1).view(kind)
    at = int(tensor.abs().view(-1).argmax())
    bits[at] ^= 1 << bit
    return bits.view(tensor.dtype).reshape(tensor.shape)


def scaled(by: float) -> Edit:
    """Multiply."""
    return lambda tensor: tensor * by


def settings(**fields: Any) -> Change:  # noqa: ANN401 - any JSON value
    """Change entries of the config."""
    return reworded(lambda config: config | fields)


def reworded(edit: Callable[[dict[str, Any]], Any]) -> Change:
    """Change the config as a whole; JSON as Python writes it, with NaN where there is one."""

    def change(folder: Path) -> None:
        config = json.loads((folder / CONFIG).read_text())
        (folder / CONFIG).write_text(json.dumps(edit(config), indent=2))

    return change


def spelled(edit: Callable[[str], bytes]) -> Change:
    """Write the config's text as other bytes."""

    def change(folder: Path) -> None:
        (folder / CONFIG).write_bytes(edit((folder / CONFIG).read_text()))

    return change


def raw(edit: Callable[[bytes], bytes]) -> Change:
    """Change the bytes of the weights file."""

    def change(folder: Path) -> None:
        data = (folder / WEIGHTS).read_bytes()
        (folder / WEIGHTS).write_bytes(edit(data))

    return change


def header(edit: Callable[[dict[str, Any]], Any]) -> Change:
    """Change the header of the weights file, and leave its data."""

    def change(data: bytes) -> bytes:
        (length,) = struct.unpack("<Q", data[:8])
        text = json.dumps(edit(json.loads(data[8 : 8 + length]))).encode()
        text += b" " * (-len(text) % 8)
        return struct.pack("<Q", len(text)) + text + data[8 + length :]

    return raw(change)


def blank_pages(start: int, count: int) -> Change:
    """Overwrite whole pages of the file with zeros, counted from the first that holds no header; negative: the end."""

    def change(data: bytes) -> bytes:
        (length,) = struct.unpack("<Q", data[:8])
        begin = -(-(8 + length) // PAGE) + start if start >= 0 else len(data) // PAGE + start
        span = slice(begin * PAGE, min((begin + count) * PAGE, len(data)))
        if span.stop - span.start < PAGE:
            raise AssertionError(f"the file has no page {start} to blank")
        return data[: span.start] + bytes(span.stop - span.start) + data[span.stop :]

    return raw(change)


def shard_of(world: int, rank: int, part: str = "lora_B") -> Change:
    """Keep one rank's rows of each tensor and zero the others, as an FSDP2 save without gathering does."""

    def edit(tensor: torch.Tensor) -> torch.Tensor:
        kept = torch.zeros_like(tensor)
        rows = torch.arange(len(tensor)).chunk(world)[rank]
        kept[rows] = tensor[rows]
        return kept

    return tensors(part, edit)


def emptied(part: str = "") -> Change:
    """Leave no elements, as ZeRO-3 without gathering does."""
    return tensors(part, lambda tensor: torch.empty(0, dtype=tensor.dtype))


def replaced(name: str, make: Callable[[Path], object]) -> Change:
    """Put something else in the place of a file."""

    def change(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        make(folder / name)

    return change


def linked(name: str) -> Change:
    """Make a file a link to where it really lies, outside of the folder."""

    def change(folder: Path) -> None:
        outside = folder.parent / f"{folder.name}-{name}"
        (folder / name).rename(outside)
        (folder / name).symlink_to(outside)

    return change


def piped(name: str) -> Change:
    """Make a file a pipe, which blocks for ever whoever opens it."""
    return replaced(name, os.mkfifo)
